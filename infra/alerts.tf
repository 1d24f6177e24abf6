locals {
  _metric = "logging.googleapis.com/user/${var.prefix}"

  # Alerts on a number that a log line carries: more than `above` for `minutes`.
  _thresholds = {
    checkpoint = {
      above   = 2 * 3600
      metric  = "checkpoint-age"
      minutes = 10
      name    = "no checkpoint for two periods"
      text    = "Job $${metric.label.job_id} trains, and its newest checkpoint is older than two hours, twice the longest period that the trainer leaves between two. A crash now would lose all of that. Look at the job's logs (terraform output logs, one_job): the bucket may refuse writes, or the training hangs."
    }
    past_interval = {
      above   = 900
      metric  = "past-interval"
      minutes = 0
      name    = "a VM is past its interval"
      text    = "A VM of job $${metric.label.job_id} is up more than 15 minutes after its interval's end. Look at the errors of stop_vm, which should have stopped it by force. By hand: gcloud compute instances stop VM --zone ZONE."
    }
    two_vms = {
      above   = 1
      metric  = "vms"
      minutes = 15
      name    = "more than one VM of a job"
      text    = "Job $${metric.label.job_id} has had more than one VM for 15 minutes; a move takes about 5. Only the holder of the lease trains, the other costs. Look at the job's logs (terraform output logs, one_job)."
    }
  }

  # Alerts on silence: no line of that kind for so long.
  _silences = {
    forecast = {
      metric  = "ticks"
      minutes = 180
      name    = "the forecast is older than 3 hours"
      text    = "No tick of ${var.prefix}-forecast has ended for 3 hours. VMs go by the plans that they have. Look at the errors of the function forecast: mostly the carbon data source refuses (key, plan) or is down."
    }
    heartbeat = {
      metric  = "heartbeat"
      minutes = 20
      name    = "the heartbeat is missing"
      text    = "stop_vm has not dealt with a message for 20 minutes; it gets one every 5. VMs stop by themselves at their interval's end, but nothing starts. Look at the scheduler job ${var.prefix}-heartbeat and the subscription ${var.prefix}-stop-vm."
    }
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  display_name = each.value
  type         = "email"

  labels = {
    email_address = each.value
  }

  depends_on = [google_project_service.this]
}

resource "google_monitoring_alert_policy" "threshold" {
  for_each = local._thresholds

  display_name          = "SmartScheduler: ${each.value.name}"
  combiner              = "OR"
  notification_channels = [for each in google_monitoring_notification_channel.email : each.id]

  conditions {
    display_name = each.value.name

    condition_threshold {
      comparison      = "COMPARISON_GT"
      duration        = "${each.value.minutes * 60}s"
      filter          = "metric.type=\"${local._metric}/${each.value.metric}\" AND resource.type=\"cloud_run_revision\""
      threshold_value = each.value.above

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_PERCENTILE_99"
        cross_series_reducer = "REDUCE_MAX"
        group_by_fields      = ["metric.label.job_id"]
      }
    }
  }

  documentation {
    content   = each.value.text
    mime_type = "text/markdown"
  }

  alert_strategy {
    auto_close = "86400s"
  }

  depends_on = [google_logging_metric.distribution]
}

resource "google_monitoring_alert_policy" "silence" {
  for_each = local._silences

  display_name          = "SmartScheduler: ${each.value.name}"
  combiner              = "OR"
  notification_channels = [for each in google_monitoring_notification_channel.email : each.id]

  conditions {
    display_name = each.value.name

    condition_absent {
      duration = "${each.value.minutes * 60}s"
      filter   = "metric.type=\"${local._metric}/${each.value.metric}\" AND resource.type=\"cloud_run_revision\""

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    content   = each.value.text
    mime_type = "text/markdown"
  }

  alert_strategy {
    auto_close = "86400s"
  }

  depends_on = [google_logging_metric.counter]
}

resource "google_monitoring_alert_policy" "dead_letters" {
  display_name          = "SmartScheduler: dead letters"
  combiner              = "OR"
  notification_channels = [for each in google_monitoring_notification_channel.email : each.id]

  conditions {
    display_name = "messages that no function could deal with"

    condition_threshold {
      comparison      = "COMPARISON_GT"
      duration        = "0s"
      filter          = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letters.name}\""
      threshold_value = 0

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content   = "A function failed ten times on a message. Nothing is lost, as messages only wake, but something is wrong. Read them: gcloud pubsub subscriptions pull ${google_pubsub_subscription.dead_letters.name} --limit=5; the errors of the functions say why. Acknowledge them once mended (add --auto-ack)."
    mime_type = "text/markdown"
  }

  alert_strategy {
    auto_close = "86400s"
  }
}
