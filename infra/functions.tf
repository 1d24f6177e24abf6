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

  # Who may call: the functions look at the token themselves, too (docs/security.md). The name
  # stands for the address, which no function can be told before it exists.
  _caller = {
    for name in local._functions : name => {
      SMARTSCHEDULER_CALLER  = google_service_account.caller.email
      SMARTSCHEDULER_SERVICE = "${var.prefix}-${replace(name, "_", "-")}"
    }
  }

  # uv finds the CPU build of torch, whose hash requirements.txt names; pip would take gigabytes.
  _build = {
    GOOGLE_PYTHON_PACKAGE_MANAGER = "uv"
    UV_TORCH_BACKEND              = "cpu"
  }

  # The version that the tests run on.
  _runtime = "python311"
}

resource "google_cloudfunctions2_function" "forecast" {
  name        = "${var.prefix}-forecast"
  description = "Forecasts carbon intensity, plans every job and publishes the plans."
  location    = var.location

  build_config {
    entry_point           = "forecast"
    environment_variables = local._build
    runtime               = local._runtime
    service_account       = google_service_account.build.id

    source {
      storage_source {
        bucket = google_storage_bucket_object.archive.bucket
        object = google_storage_bucket_object.archive.name
      }
    }
  }

  service_config {
    all_traffic_on_latest_revision   = true
    available_cpu                    = "2"
    available_memory                 = "2Gi"
    environment_variables            = merge(local._environment, local._caller["forecast"], { SMARTSCHEDULER_TIME_LIMIT_S = "450" })
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    max_instance_count               = 1
    max_instance_request_concurrency = 1
    service_account_email            = google_service_account.function["forecast"].email
    timeout_seconds                  = 540

    secret_environment_variables {
      key        = "SMARTSCHEDULER_ELECTRICITY_MAPS_KEY"
      project_id = var.project
      secret     = google_secret_manager_secret.electricity_maps_key.secret_id
      # Read when an instance starts, so a key that is added later is found without a deploy.
      version = "latest"
    }
  }

  depends_on = [
    google_project_iam_member.build,
    google_secret_manager_secret_iam_member.forecast,
    google_secret_manager_secret_version.electricity_maps_key,
    google_storage_bucket_iam_member.build,
  ]
}

resource "google_cloudfunctions2_function" "actuator" {
  for_each = local._actuators

  name        = "${var.prefix}-${replace(each.key, "_", "-")}"
  description = "Takes the steps of ${each.key}: observe, decide, one step."
  location    = var.location

  build_config {
    entry_point           = each.key
    environment_variables = local._build
    runtime               = local._runtime
    service_account       = google_service_account.build.id

    source {
      storage_source {
        bucket = google_storage_bucket_object.archive.bucket
        object = google_storage_bucket_object.archive.name
      }
    }
  }

  service_config {
    all_traffic_on_latest_revision   = true
    available_cpu                    = "1"
    available_memory                 = "512Mi"
    environment_variables            = merge(local._environment, local._caller[each.key])
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    max_instance_count               = 3
    max_instance_request_concurrency = 1
    service_account_email            = google_service_account.function[each.key].email
    timeout_seconds                  = 300
  }

  depends_on = [
    google_project_iam_member.build,
    google_storage_bucket_iam_member.build,
  ]
}

# Nobody else may call them.
resource "google_cloud_run_service_iam_member" "calls" {
  for_each = merge({ forecast = google_cloudfunctions2_function.forecast }, google_cloudfunctions2_function.actuator)

  location = each.value.location
  service  = each.value.name
  role     = "roles/run.invoker"
  member   = google_service_account.caller.member
}
