resource "google_billing_budget" "this" {
  count = var.budget == null ? 0 : 1

  billing_account = var.budget.billing_account
  display_name    = "SmartScheduler in ${var.project}"

  amount {
    specified_amount {
      currency_code = "USD"
      units         = tostring(floor(var.budget.usd_per_month))
    }
  }

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }

  threshold_rules {
    threshold_percent = 0.5
  }

  threshold_rules {
    threshold_percent = 1.0
  }

  all_updates_rule {
    monitoring_notification_channels = [for each in google_monitoring_notification_channel.email : each.id]
  }
}
