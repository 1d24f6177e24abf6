locals {
  _environment = {
    DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA = "true"
    SMARTSCHEDULER_BOOT_LEAD_S                     = tostring(var.timing.boot_lead_s)
    SMARTSCHEDULER_BOUNDARY_JOB                    = "projects/${var.project}/locations/${var.location}/jobs/${local._boundary_job}"
    SMARTSCHEDULER_BUCKET                          = google_storage_bucket.this.url
    SMARTSCHEDULER_FORCE_STOP_AFTER_S              = tostring(var.timing.force_stop_after_s)
    SMARTSCHEDULER_FORECAST_JOB                    = "projects/${var.project}/locations/${var.location}/jobs/${local._forecast_job}"
    SMARTSCHEDULER_INSTANCE_TEMPLATES              = join(",", [for name, each in google_compute_instance_template.vm : "${name}=${each.id}"])
    SMARTSCHEDULER_INTENSITY_SOURCE                = var.intensity_source
    SMARTSCHEDULER_LEASE_TTL_S                     = tostring(var.timing.lease_ttl_s)
    SMARTSCHEDULER_LOCATION                        = var.location
    SMARTSCHEDULER_PROJECT                         = var.project
    SMARTSCHEDULER_SHUTDOWN_GRACE_S                = tostring(var.timing.shutdown_grace_s)
    SMARTSCHEDULER_TOPIC                           = google_pubsub_topic.interval_plan.name
  }

  # Only forecast has the model, the planner for all jobs, and the key. The others may run side by
  # side: state is compared and swapped.
  _sizes = {
    forecast = { cpu = "2", instances = 1, memory = "2Gi", time_limit_s = 450, timeout_s = 540 }
    move_vm  = { cpu = "1", instances = 3, memory = "512Mi", time_limit_s = 240, timeout_s = 300 }
    start_vm = { cpu = "1", instances = 3, memory = "512Mi", time_limit_s = 240, timeout_s = 300 }
    stop_vm  = { cpu = "1", instances = 3, memory = "512Mi", time_limit_s = 240, timeout_s = 300 }
  }

  _does = {
    forecast = "Forecasts carbon intensity, plans every job and publishes the plans."
    move_vm  = "Makes a job's VM in a cleaner place, lets the old one hand over, removes it."
    start_vm = "Makes a job's VM where none runs, or lets one run longer."
    stop_vm  = "Stops and removes VMs, and closes jobs that are over."
  }
}

resource "google_cloudfunctions2_function" "this" {
  for_each = local._sizes

  name        = local._services[each.key]
  description = local._does[each.key]
  location    = var.location

  build_config {
    entry_point = each.key
    # The version that the tests run on.
    runtime         = "python311"
    service_account = google_service_account.build.id

    # uv finds the CPU build of torch, whose hash requirements.txt names; pip would take gigabytes.
    environment_variables = {
      GOOGLE_PYTHON_PACKAGE_MANAGER = "uv"
      UV_TORCH_BACKEND              = "cpu"
    }

    source {
      storage_source {
        bucket = google_storage_bucket_object.archive.bucket
        object = google_storage_bucket_object.archive.name
      }
    }
  }

  service_config {
    all_traffic_on_latest_revision   = true
    available_cpu                    = each.value.cpu
    available_memory                 = each.value.memory
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    max_instance_count               = each.value.instances
    max_instance_request_concurrency = 1
    service_account_email            = google_service_account.function[each.key].email
    timeout_seconds                  = each.value.timeout_s

    environment_variables = merge(local._environment, {
      # Who may call: the functions look at the token themselves, too (docs/security.md). The name
      # stands for the address, which no function can be told before it exists.
      SMARTSCHEDULER_CALLER       = google_service_account.caller.email
      SMARTSCHEDULER_SERVICE      = local._services[each.key]
      SMARTSCHEDULER_TIME_LIMIT_S = tostring(each.value.time_limit_s)
    })

    dynamic "secret_environment_variables" {
      for_each = each.key == "forecast" ? [google_secret_manager_secret.electricity_maps_key] : []
      content {
        key        = "SMARTSCHEDULER_ELECTRICITY_MAPS_KEY"
        project_id = var.project
        secret     = secret_environment_variables.value.secret_id
        # Read when an instance starts, so a key that is added later is found without a deploy.
        version = "latest"
      }
    }
  }

  depends_on = [
    google_project_iam_member.build,
    google_secret_manager_secret_iam_member.forecast,
    google_secret_manager_secret_version.electricity_maps_key,
    google_storage_bucket_iam_member.build,
  ]
}

# Nobody else may call them.
resource "google_cloud_run_service_iam_member" "calls" {
  for_each = google_cloudfunctions2_function.this

  location = each.value.location
  service  = each.value.name
  role     = "roles/run.invoker"
  member   = google_service_account.caller.member
}
