# One service account for each part, and none has a key.
locals {
  _functions = toset(["forecast", "move_vm", "start_vm", "stop_vm"])

  _actuators = toset(["move_vm", "start_vm", "stop_vm"])

  # Names in the cloud, of the function and of its account.
  _services = {
    for name in local._functions : name => "${var.prefix}-${replace(name, "_", "-")}"
  }
}

resource "google_service_account" "function" {
  for_each = local._functions

  account_id   = local._services[each.key]
  display_name = "SmartScheduler: function ${each.key}"

  depends_on = [google_project_service.this]
}

resource "google_service_account" "vm" {
  account_id   = "${var.prefix}-vm"
  display_name = "SmartScheduler: VMs that train"

  depends_on = [google_project_service.this]
}

# What calls the functions: Cloud Scheduler and the push subscriptions, as this account.
resource "google_service_account" "caller" {
  account_id   = "${var.prefix}-caller"
  display_name = "SmartScheduler: caller of the functions"

  depends_on = [google_project_service.this]
}

# What builds the functions. The default account often lacks the roles, and builds then fail.
resource "google_service_account" "build" {
  account_id   = "${var.prefix}-build"
  display_name = "SmartScheduler: builds of the functions"

  depends_on = [google_project_service.this]
}
