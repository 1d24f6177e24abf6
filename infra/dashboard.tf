locals {
  # Two columns of charts from the distribution metrics: the mean of what the lines said.
  _charts = [
    { title = "Intensity now (by grid zone) and as chosen (by job), gCO2eq/kWh", lines = { grid-intensity = "grid_zone", chosen-intensity = "job_id" } },
    { title = "Plan in force: expected gCO2eq left", lines = { plan-emissions = "job_id" } },
    { title = "Progress: share of steps done", lines = { progress = "job_id" } },
    { title = "VMs up", lines = { vms = "job_id" } },
    { title = "Age of the newest checkpoint, s", lines = { checkpoint-age = "job_id" } },
    { title = "VM up after its interval's end, s", lines = { past-interval = "job_id" } },
    { title = "Age of the forecast behind the plan, s", lines = { forecast-age = "job_id" } },
    { title = "Saved against run now, here, gCO2eq (receipts)", lines = { receipt-saving = "job_id" } },
  ]

  _chart_tiles = [
    for index, chart in local._charts : {
      width  = 24
      height = 16
      xPos   = 24 * (index % 2)
      yPos   = 16 * floor(index / 2)
      widget = {
        title = chart.title
        xyChart = {
          dataSets = [
            for metric, label in chart.lines : {
              plotType = "LINE"
              timeSeriesQuery = {
                timeSeriesFilter = {
                  filter = "metric.type=\"${local._metric}/${metric}\" resource.type=\"cloud_run_revision\""
                  aggregation = {
                    alignmentPeriod    = "300s"
                    perSeriesAligner   = "ALIGN_DELTA"
                    crossSeriesReducer = "REDUCE_MEAN"
                    groupByFields      = ["metric.label.${label}"]
                  }
                }
              }
            }
          ]
        }
      }
    }
  ]

  _counts_tiles = [
    for index, chart in [
      { title = "Decisions, by kind", type = "${local._metric}/decisions", on = "cloud_run_revision", by = ["metric.label.action"], align = "ALIGN_SUM" },
      { title = "Errors of the functions", type = "${local._metric}/errors", on = "cloud_run_revision", by = [], align = "ALIGN_SUM" },
      { title = "Ticks (one an hour; none: the forecast ages)", type = "${local._metric}/ticks", on = "cloud_run_revision", by = [], align = "ALIGN_SUM" },
      { title = "Dead letters", type = "pubsub.googleapis.com/subscription/num_undelivered_messages\" resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letters.name}", on = "pubsub_subscription", by = [], align = "ALIGN_MAX" },
      ] : {
      width  = 24
      height = 12
      xPos   = 24 * (index % 2)
      yPos   = 64 + 12 * floor(index / 2)
      widget = {
        title = chart.title
        xyChart = {
          dataSets = [{
            plotType = "STACKED_BAR"
            timeSeriesQuery = {
              timeSeriesFilter = {
                filter = "metric.type=\"${chart.type}\" resource.type=\"${chart.on}\""
                aggregation = {
                  alignmentPeriod    = "3600s"
                  perSeriesAligner   = chart.align
                  crossSeriesReducer = "REDUCE_SUM"
                  groupByFields      = chart.by
                }
              }
            }
          }]
        }
      }
    }
  ]

  _story_tiles = [
    for index, panel in [
      { title = "The story: decisions, plans, how jobs stand", filter = local._decisions },
      { title = "What went wrong", filter = local._queries.errors },
      ] : {
      width  = 48
      height = 20
      xPos   = 0
      yPos   = 88 + 20 * index
      widget = {
        title = panel.title
        logsPanel = {
          filter        = panel.filter
          resourceNames = ["projects/${var.project}"]
        }
      }
    }
  ]
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = "SmartScheduler (${var.prefix})"
    mosaicLayout = {
      columns = 48
      tiles   = concat(local._chart_tiles, local._counts_tiles, local._story_tiles)
    }
  })

  # The service fills in defaults, which would show as changes for ever.
  lifecycle {
    ignore_changes = [dashboard_json]
  }

  depends_on = [google_logging_metric.counter, google_logging_metric.distribution]
}
