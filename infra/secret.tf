resource "google_secret_manager_secret" "electricity_maps_key" {
  secret_id = "${var.prefix}-electricity-maps-key"

  replication {
    user_managed {
      replicas {
        location = var.location
      }
    }
  }

  depends_on = [google_project_service.this]
}

# Write-only: the key is in no state and no plan. Without one a placeholder lets the function
# be made; `gcloud secrets versions add` brings the key later, and `latest` finds it.
resource "google_secret_manager_secret_version" "electricity_maps_key" {
  secret                 = google_secret_manager_secret.electricity_maps_key.id
  secret_data_wo         = var.electricity_maps_key == null ? "unset" : var.electricity_maps_key
  secret_data_wo_version = var.electricity_maps_key_version
}

resource "google_secret_manager_secret_iam_member" "forecast" {
  secret_id = google_secret_manager_secret.electricity_maps_key.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function["forecast"].member
}
