# Numbers out of the functions' log lines; functions/handlers/telling.py writes them.
locals {
  _from_functions = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(${join(" OR ", [for each in values(local._services) : "\"${each}\""])})"

  _decisions = "${local._from_functions} AND jsonPayload.event=(\"decision\" OR \"plan\" OR \"status\")"

  # name => event, field and label of each distribution metric.
  _distributions = {
    checkpoint-age   = { event = "status", field = "checkpoint_age_s", label = "job_id", unit = "s", text = "Age of the newest checkpoint of a job that trains" }
    chosen-intensity = { event = "status", field = "chosen_gco2eq_per_kwh", label = "job_id", unit = "1", text = "Mean intensity that the plan expects of the interval that runs, gCO2eq/kWh" }
    forecast-age     = { event = "status", field = "forecast_age_s", label = "job_id", unit = "s", text = "Age of the forecast behind the plan in force" }
    grid-intensity   = { event = "grid", field = "gco2eq_per_kwh", label = "grid_zone", unit = "1", text = "Carbon intensity now, gCO2eq/kWh, average, life cycle" }
    past-interval    = { event = "status", field = "past_interval_s", label = "job_id", unit = "s", text = "How long a VM has been up after its interval's end" }
    plan-emissions   = { event = "plan", field = "expected_gco2eq", label = "job_id", unit = "1", text = "What the plan in force expects, gCO2eq" }
    progress         = { event = "status", field = "progress_share", label = "job_id", unit = "1", text = "Share of a job's steps that is done" }
    receipt-saving   = { event = "receipt", field = "saved_gco2eq", label = "job_id", unit = "1", text = "gCO2eq saved against run now, here, by the receipt" }
    vms              = { event = "status", field = "vms", label = "job_id", unit = "1", text = "VMs of a job that are up" }
  }

  _counters = {
    decisions = { filter = "jsonPayload.event=\"decision\"", label = "action", text = "Steps taken, by kind" }
    errors    = { filter = "severity>=ERROR", label = null, text = "Errors of the functions" }
    ticks     = { filter = "jsonPayload.event=\"tick\"", label = null, text = "Forecasts made" }
    heartbeat = { filter = "httpRequest.status=200 AND resource.labels.service_name=\"${local._services["stop_vm"]}\"", label = null, text = "Messages that stop_vm has dealt with" }
  }
}

resource "google_logging_metric" "distribution" {
  for_each = local._distributions

  name            = "${var.prefix}/${each.key}"
  description     = each.value.text
  filter          = "${local._from_functions} AND jsonPayload.event=\"${each.value.event}\" AND jsonPayload.${each.value.field}:*"
  value_extractor = "EXTRACT(jsonPayload.${each.value.field})"

  label_extractors = {
    (each.value.label) = "EXTRACT(jsonPayload.${each.value.label})"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit

    labels {
      key        = each.value.label
      value_type = "STRING"
    }
  }

  bucket_options {
    exponential_buckets {
      growth_factor      = 1.4
      num_finite_buckets = 64
      scale              = 0.01
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_logging_metric" "counter" {
  for_each = local._counters

  name        = "${var.prefix}/${each.key}"
  description = each.value.text
  filter      = "${local._from_functions} AND ${each.value.filter}"

  label_extractors = each.value.label == null ? {} : {
    (each.value.label) = "EXTRACT(jsonPayload.${each.value.label})"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    dynamic "labels" {
      for_each = each.value.label == null ? [] : [each.value.label]
      content {
        key        = labels.value
        value_type = "STRING"
      }
    }
  }

  depends_on = [google_project_service.this]
}
