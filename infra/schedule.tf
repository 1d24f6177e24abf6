locals {
  _boundary_job = "${var.prefix}-boundary"

  _forecast_job = "${var.prefix}-forecast"
}

resource "google_cloud_scheduler_job" "forecast" {
  name             = local._forecast_job
  description      = "Forecasts and plans, each full hour."
  region           = var.location
  schedule         = "0 * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "600s"

  retry_config {
    min_backoff_duration = "30s"
    max_backoff_duration = "300s"
    retry_count          = 3
  }

  http_target {
    http_method = "POST"
    uri         = google_cloudfunctions2_function.this["forecast"].service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = google_cloudfunctions2_function.this["forecast"].service_config[0].uri
    }
  }

  depends_on = [google_cloud_run_service_iam_member.calls]
}

# What makes progress certain: any message may be lost, this one comes every five minutes.
resource "google_cloud_scheduler_job" "heartbeat" {
  name        = "${var.prefix}-heartbeat"
  description = "Lets the functions look at all jobs, every 5 minutes."
  region      = var.location
  schedule    = "*/5 * * * *"
  time_zone   = "Etc/UTC"

  pubsub_target {
    topic_name = google_pubsub_topic.interval_plan.id
    data       = base64encode(jsonencode({ kind = "heartbeat", schema_version = 1 }))
  }
}

# What makes progress punctual: `forecast` re-aims it at the next start or stop.
resource "google_cloud_scheduler_job" "boundary" {
  name        = local._boundary_job
  description = "Lets the functions look at all jobs at the next start or stop."
  region      = var.location
  schedule    = "0 0 1 1 *"
  time_zone   = "Etc/UTC"

  pubsub_target {
    topic_name = google_pubsub_topic.interval_plan.id
    data       = base64encode(jsonencode({ kind = "boundary", schema_version = 1 }))
  }

  lifecycle {
    ignore_changes = [paused, schedule]
  }
}
