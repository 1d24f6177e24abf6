# Everything that the deployment knows: jobs, checkpoints, forecasts, receipts, and its own code.
resource "google_storage_bucket" "this" {
  #checkov:skip=CKV_GCP_62:Access logs need a second bucket and tell what Cloud Audit Logs tell
  name                        = "${var.project}-${var.prefix}"
  location                    = var.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.purge_on_destroy

  versioning {
    enabled = true
  }

  # Only what was replaced or deleted ever goes, so never what LATEST points to, nor LATEST.
  lifecycle_rule {
    condition {
      days_since_noncurrent_time = var.retention.noncurrent_days
      with_state                 = "ARCHIVED"
    }
    action {
      type = "Delete"
    }
  }

  # An upload that broke off leaves parts that cost and that nobody sees.
  lifecycle_rule {
    condition {
      age = 7
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  depends_on = [google_project_service.this]
}
