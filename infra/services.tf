locals {
  _apis = toset([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudscheduler.googleapis.com",
    "compute.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
  ])
}

data "google_project" "this" {
  project_id = var.project
}

resource "google_project_service" "this" {
  for_each = var.enable_apis ? local._apis : []

  service = each.value
  # Others in the project may need them.
  disable_on_destroy = false
}

# With enable_apis = false nothing is enabled here, so what is missing is told at plan time.
data "google_project_service" "this" {
  for_each = var.enable_apis ? [] : local._apis

  project = var.project
  service = each.value

  lifecycle {
    postcondition {
      # The provider reads nothing, and no id, of a service that is not enabled.
      condition     = try(self.service == each.value && self.id != "", false)
      error_message = "enable_apis: ${each.value} is not enabled in ${var.project}; enable it (gcloud services enable ${each.value}) or set enable_apis = true."
    }
  }
}
