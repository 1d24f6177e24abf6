# Custom roles with just what each function calls. permissions.json is compared, both ways,
# with what the adapters call: tests/infra/test_permissions.py.
locals {
  _permissions = jsondecode(file("${path.module}/permissions.json"))

  # A VM with an address of its own needs one right more where it is made.
  _external_ip = anytrue([for each in var.vms : each.external_ip]) ? ["compute.subnetworks.useExternalIp"] : []

  # Names in conditions.
  _objects = "projects/_/buckets/${google_storage_bucket.this.name}/objects"

  # What a function may write, by the begin of the objects' names.
  _writes = {
    forecast = ["forecasts/", "index.html", "intensity/", "jobs/", "open/"]
    move_vm  = ["jobs/"]
    start_vm = ["jobs/"]
    stop_vm  = ["jobs/"]
  }

  # What a VM writes and reads of a job, right below its folder. `extract` gives what stands in
  # the braces' place, up to the next part: equal, if nothing stands between job and part.
  _vm_writes = ["checkpoints/", "environment/", "ledger/", "lease.json", "metrics.csv", "progress.json"]
  _vm_reads  = concat(local._vm_writes, ["job.json", "source/"])

  _job_of   = "resource.name.extract('/objects/jobs/{job}/')"
  _in_a_job = "resource.name.startsWith('${local._objects}/jobs/') && ${local._job_of} != ''"
  _any_of = { for name, parts in { reads = local._vm_reads, writes = local._vm_writes } :
    name => join(" || ", [for each in parts : "resource.name.extract('/objects/jobs/{job}/${each}') == ${local._job_of}"])
  }
}

resource "google_project_iam_custom_role" "function" {
  for_each = local._functions

  role_id     = replace("${var.prefix}_${each.key}", "-", "_")
  title       = "SmartScheduler: ${each.key}"
  description = "What the function ${each.key} calls, and nothing else."
  permissions = concat(
    local._permissions[each.key],
    contains(["move_vm", "start_vm"], each.key) ? local._external_ip : [],
  )

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "function" {
  for_each = local._functions

  project = var.project
  role    = google_project_iam_custom_role.function[each.key].id
  member  = google_service_account.function[each.key].member
}

# To make a VM, or change its metadata, is to act as its account: as this one and no other.
resource "google_service_account_iam_member" "acts_as_vm" {
  for_each = local._actuators

  service_account_id = google_service_account.vm.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.function[each.key].member
}

resource "google_project_iam_custom_role" "object_reader" {
  role_id     = replace("${var.prefix}_object_reader", "-", "_")
  title       = "SmartScheduler: reads objects"
  permissions = ["storage.objects.get", "storage.objects.list"]

  depends_on = [google_project_service.this]
}

# A VM needs less: names, and what is in some objects. Listing has no condition, as it is asked of
# the bucket and not of an object.
resource "google_project_iam_custom_role" "object_lister" {
  role_id     = replace("${var.prefix}_object_lister", "-", "_")
  title       = "SmartScheduler: lists objects"
  permissions = ["storage.objects.list"]

  depends_on = [google_project_service.this]
}

resource "google_project_iam_custom_role" "object_getter" {
  role_id     = replace("${var.prefix}_object_getter", "-", "_")
  title       = "SmartScheduler: gets objects"
  permissions = ["storage.objects.get"]

  depends_on = [google_project_service.this]
}

# Replacing an object is deleting it, to Cloud Storage.
resource "google_project_iam_custom_role" "object_writer" {
  role_id     = replace("${var.prefix}_object_writer", "-", "_")
  title       = "SmartScheduler: writes objects"
  permissions = ["storage.objects.create", "storage.objects.delete"]

  depends_on = [google_project_service.this]
}

resource "google_storage_bucket_iam_member" "reads" {
  for_each = google_service_account.function

  bucket = google_storage_bucket.this.name
  role   = google_project_iam_custom_role.object_reader.id
  member = each.value.member
}

resource "google_storage_bucket_iam_member" "writes" {
  for_each = local._writes

  bucket = google_storage_bucket.this.name
  role   = google_project_iam_custom_role.object_writer.id
  member = google_service_account.function[each.key].member

  condition {
    title      = "own-prefixes"
    expression = join(" || ", [for each in each.value : "resource.name.startsWith('${local._objects}/${each}')"])
  }
}

# A VM runs the user's code, which can do what its account can. It reads what it runs, and its
# checkpoints; not what is planned, forecast or settled.
resource "google_storage_bucket_iam_member" "vm_lists" {
  bucket = google_storage_bucket.this.name
  role   = google_project_iam_custom_role.object_lister.id
  member = google_service_account.vm.member
}

resource "google_storage_bucket_iam_member" "vm_reads" {
  bucket = google_storage_bucket.this.name
  role   = google_project_iam_custom_role.object_getter.id
  member = google_service_account.vm.member

  condition {
    title      = "runtime-and-jobs"
    expression = "resource.name.startsWith('${local._objects}/runtime/') || (${local._in_a_job} && (${local._any_of.reads}))"
  }
}

# It writes what is the VM's below jobs/; never a job or a source, nor the wheel that all VMs
# install.
resource "google_storage_bucket_iam_member" "vm_writes" {
  bucket = google_storage_bucket.this.name
  role   = google_project_iam_custom_role.object_writer.id
  member = google_service_account.vm.member

  condition {
    title = "not-the-control-plane"
    # How long a VM was there the control plane sees by itself.
    expression = "${local._in_a_job} && (${local._any_of.writes}) && !resource.name.endsWith('-vm.json')"
  }
}

resource "google_pubsub_topic_iam_member" "publishes" {
  for_each = local._functions

  topic  = google_pubsub_topic.interval_plan.id
  role   = "roles/pubsub.publisher"
  member = google_service_account.function[each.key].member
}

resource "google_project_iam_member" "vm_logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.vm.member
}

resource "google_project_iam_member" "build" {
  for_each = toset(["roles/artifactregistry.writer", "roles/logging.logWriter"])

  project = var.project
  role    = each.value
  member  = google_service_account.build.member
}

resource "google_storage_bucket_iam_member" "build" {
  bucket = google_storage_bucket.this.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member

  condition {
    title      = "function-source-only"
    expression = "resource.name.startsWith('${local._objects}/deploy/')"
  }
}
