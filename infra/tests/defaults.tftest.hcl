# Plans with the provider mocked: nothing is called, nothing is made.
mock_provider "google" {}

variables {
  electricity_maps_key = null
  project              = "my-project-123"
}

run "one_input_is_enough" {
  command = plan

  assert {
    condition     = google_storage_bucket.this.name == "my-project-123-smartscheduler"
    error_message = "The bucket is named after project and prefix."
  }

  assert {
    condition     = google_storage_bucket.this.public_access_prevention == "enforced" && google_storage_bucket.this.uniform_bucket_level_access
    error_message = "The bucket is private."
  }

  assert {
    condition     = google_storage_bucket.this.force_destroy == false
    error_message = "Checkpoints survive terraform destroy unless purge_on_destroy says otherwise."
  }

  assert {
    condition     = alltrue([for rule in google_storage_bucket.this.lifecycle_rule : one(rule.action).type != "Delete" || one(rule.condition).days_since_noncurrent_time == 30])
    error_message = "The lifecycle deletes only what was replaced, never what LATEST points to."
  }

  assert {
    condition     = length(google_compute_subnetwork.this) == 13 && length(google_compute_router_nat.this) == 13
    error_message = "VMs may run in all thirteen regions, and go out by NAT."
  }

  assert {
    condition     = length(google_compute_instance_template.vm["default"].network_interface[0].access_config) == 0
    error_message = "VMs have no public address."
  }

  assert {
    condition     = google_compute_instance_template.vm["default"].scheduling[0].provisioning_model == "STANDARD" && google_compute_instance_template.vm["default"].scheduling[0].max_run_duration[0].seconds == 336 * 3600
    error_message = "VMs are standard ones that Compute Engine stops after max_run_h."
  }

  assert {
    condition     = google_compute_instance_template.vm["default"].metadata["block-project-ssh-keys"] == "true" && one(google_compute_firewall.no_ingress.deny).protocol == "all"
    error_message = "Nobody reaches a VM."
  }

  assert {
    condition     = alltrue([for each in google_cloudfunctions2_function.this : one(each.service_config).ingress_settings == "ALLOW_INTERNAL_ONLY"])
    error_message = "Functions are not reached from outside."
  }

  assert {
    condition     = [for name, each in google_cloudfunctions2_function.this : name if length(one(each.service_config).secret_environment_variables) > 0] == ["forecast"]
    error_message = "Only forecast sees the key."
  }

  assert {
    condition     = alltrue([for each in google_pubsub_subscription.function : one(each.dead_letter_policy).max_delivery_attempts == 10 && one(each.expiration_policy).ttl == ""])
    error_message = "Subscriptions have dead letters and never expire."
  }

  assert {
    condition     = google_storage_bucket_object.archive.name == "deploy/functions-${local.archive_fingerprint}.zip"
    error_message = "The archive's name carries its hash."
  }

  assert {
    condition     = one(google_cloudfunctions2_function.this["forecast"].build_config).environment_variables["UV_TORCH_BACKEND"] == "cpu"
    error_message = "The builder takes the CPU build of torch."
  }

  # What these expressions let through is tested on them: tests/infra/test_object_rights.py.
  assert {
    condition     = one(google_storage_bucket_iam_member.vm_reads.condition).expression == trimspace(file("tests/vm_reads.cel"))
    error_message = "What VMs read is in tests/vm_reads.cel: put ${one(google_storage_bucket_iam_member.vm_reads.condition).expression} there."
  }

  assert {
    condition     = one(google_storage_bucket_iam_member.vm_writes.condition).expression == trimspace(file("tests/vm_writes.cel"))
    error_message = "What VMs write is in tests/vm_writes.cel: put ${one(google_storage_bucket_iam_member.vm_writes.condition).expression} there."
  }

  assert {
    condition     = google_pubsub_topic.interval_plan.schema_settings[0].encoding == "JSON"
    error_message = "Messages are checked."
  }

  assert {
    condition     = length(google_billing_budget.this) == 0 && length(google_monitoring_notification_channel.email) == 0
    error_message = "Budget and addresses are options."
  }
}

run "gpu_on_spot" {
  command = plan

  variables {
    training_regions = ["europe-west1", "europe-west4"]
    vms = { default = {
      disk_gb      = 200
      image        = "deeplearning-platform-release/common-cu129-ubuntu-2404-nvidia-580"
      machine_type = "g2-standard-8"
      spot         = true
    } }
  }

  assert {
    condition     = google_compute_instance_template.vm["default"].scheduling[0].on_host_maintenance == "TERMINATE" && google_compute_instance_template.vm["default"].scheduling[0].preemptible
    error_message = "A VM with a GPU cannot be migrated, and Spot is preemptible."
  }

  assert {
    condition     = length(google_compute_subnetwork.this) == 2
    error_message = "Only the named regions get a subnetwork."
  }
}

run "attached_accelerator" {
  command = plan

  variables {
    training_regions = ["europe-west4"]
    vms = { default = {
      accelerator  = { type = "nvidia-tesla-t4" }
      machine_type = "n1-standard-8"
    } }
  }

  assert {
    condition     = one(google_compute_instance_template.vm["default"].guest_accelerator).count == 1 && google_compute_instance_template.vm["default"].scheduling[0].on_host_maintenance == "TERMINATE"
    error_message = "The accelerator is attached, and the VM is not migrated."
  }
}

run "own_addresses" {
  command = plan

  variables {
    vms = { default = { external_ip = true } }
  }

  assert {
    condition     = length(google_compute_router_nat.this) == 0 && length(google_compute_instance_template.vm["default"].network_interface[0].access_config) == 1
    error_message = "With addresses of their own VMs need no NAT."
  }

  assert {
    condition     = contains(google_project_iam_custom_role.function["start_vm"].permissions, "compute.subnetworks.useExternalIp") && !contains(google_project_iam_custom_role.function["stop_vm"].permissions, "compute.subnetworks.useExternalIp")
    error_message = "Who makes VMs may give them an address, nobody else."
  }
}

run "data_that_stay_in_the_eu" {
  command = plan

  variables {
    training_regions = ["europe-west1", "europe-west3", "europe-west9"]
    location         = "europe-west9"
  }

  assert {
    condition     = google_storage_bucket.this.location == "EUROPE-WEST9" || google_storage_bucket.this.location == "europe-west9"
    error_message = "The bucket is where location says."
  }

  assert {
    condition     = alltrue([for each in google_compute_subnetwork.this : startswith(each.region, "europe-")])
    error_message = "No VM can be made elsewhere: there is no subnetwork."
  }
}

run "budget_and_addresses" {
  command = plan

  variables {
    alert_emails = ["ops@example.com"]
    budget       = { billing_account = "012345-567890-ABCDEF", usd_per_month = 50 }
  }

  assert {
    condition     = length(google_billing_budget.this) == 1 && length(google_monitoring_notification_channel.email) == 1
    error_message = "Both are made."
  }
}

run "two_templates" {
  command = plan

  variables {
    vms = {
      default = { spot = true }
      gpu = {
        image        = "deeplearning-platform-release/common-cu129-ubuntu-2404-nvidia-580"
        machine_type = "g2-standard-8"
        regions      = ["europe-west1", "europe-west4"]
      }
    }
  }

  assert {
    condition     = google_compute_instance_template.vm["default"].scheduling[0].provisioning_model == "SPOT" && google_compute_instance_template.vm["gpu"].scheduling[0].provisioning_model == "STANDARD"
    error_message = "Each template is as it was asked for."
  }

  assert {
    condition     = google_compute_instance_template.vm["gpu"].scheduling[0].on_host_maintenance == "TERMINATE" && google_compute_instance_template.vm["default"].disk[0].source_image == "debian-cloud/debian-12"
    error_message = "Each template is as it was asked for."
  }
}

# A job with keep_disk takes no variable: its disk follows it by what the functions may do.
run "keep_disk" {
  command = plan

  assert {
    condition     = contains(google_project_iam_custom_role.function["move_vm"].permissions, "compute.snapshots.create") && contains(google_project_iam_custom_role.function["start_vm"].permissions, "compute.disks.use")
    error_message = "keep_disk needs move_vm to copy a disk and start_vm to attach it."
  }

  assert {
    condition     = alltrue([for name, role in google_project_iam_custom_role.function : name == "stop_vm" || !contains(role.permissions, "compute.snapshots.delete")])
    error_message = "Only stop_vm may delete a snapshot."
  }
}
