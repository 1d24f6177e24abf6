# What VMs are made from: a job names one (or takes `default`) and adds its machine type, zone,
# labels, metadata and time limit. Immutable, so a change makes new ones; VMs that run keep theirs.
resource "google_compute_instance_template" "vm" {
  #checkov:skip=CKV_GCP_40:An address is given only with vm.external_ip, which is off by default
  for_each = var.vms

  name_prefix  = "${var.prefix}-${each.key}-"
  description  = "VMs of SmartScheduler."
  machine_type = each.value.machine_type

  can_ip_forward = false

  labels = {
    managed-by = "smartscheduler"
  }

  metadata = {
    block-project-ssh-keys = "true"
    enable-oslogin         = "true"
    # The guest's lines reach Cloud Logging without an agent.
    serial-port-logging-enable = "true"
    startup-script             = file("${path.module}/../vm_runtime/startup.sh")
  }

  disk {
    auto_delete  = true
    boot         = true
    disk_size_gb = each.value.disk_gb
    disk_type    = each.value.disk_type
    mode         = "READ_WRITE"
    source_image = each.value.image
    type         = "PERSISTENT"
  }

  network_interface {
    # The adapter names the subnetwork of the VM's own region, which has the same name.
    subnetwork = google_compute_subnetwork.this[local._template_region].id

    dynamic "access_config" {
      for_each = each.value.external_ip ? ["ephemeral"] : []
      content {
        network_tier = "STANDARD"
      }
    }
  }

  dynamic "guest_accelerator" {
    for_each = each.value.accelerator == null ? [] : [each.value.accelerator]
    content {
      type  = guest_accelerator.value.type
      count = guest_accelerator.value.count
    }
  }

  scheduling {
    # A restart by Compute Engine would be outside the plan.
    automatic_restart           = false
    instance_termination_action = "STOP"
    on_host_maintenance         = each.value.spot || each.value.accelerator != null || contains(local._gpu_families, split("-", each.value.machine_type)[0]) ? "TERMINATE" : "MIGRATE"
    preemptible                 = each.value.spot
    provisioning_model          = each.value.spot ? "SPOT" : "STANDARD"

    max_run_duration {
      seconds = each.value.max_run_h * 3600
    }
  }

  service_account {
    email  = google_service_account.vm.email
    scopes = ["cloud-platform"]
  }

  shielded_instance_config {
    enable_integrity_monitoring = true
    enable_secure_boot          = true
    enable_vtpm                 = true
  }

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  # A GPU that belongs to the machine cannot be migrated either.
  _gpu_families = ["a2", "a3", "a4", "g2"]

  _template_region = sort(local.training_regions)[0]
}
