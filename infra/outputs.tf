output "add_key" {
  description = "Adds the key of Electricity Maps if it was not given."
  value       = "printf %s \"$KEY\" | gcloud secrets versions add ${google_secret_manager_secret.electricity_maps_key.secret_id} --data-file=- --project=${var.project}"
}

output "bucket" {
  description = "URL of the bucket; export SMARTSCHEDULER_BUCKET with it."
  value       = google_storage_bucket.this.url
}

output "dashboard" {
  description = "Where to watch."
  value       = "https://console.cloud.google.com/monitoring/dashboards/builder/${basename(google_monitoring_dashboard.this.id)}?project=${var.project}"
}

output "logs" {
  description = "Links to the logs: all decisions, what went wrong, one job (replace JOB)."
  value = {
    for name, query in local._queries :
    name => "https://console.cloud.google.com/logs/query;query=${urlencode(query)}?project=${var.project}"
  }
}

output "next" {
  description = "What to do now."
  value       = <<-EOT
    1. export SMARTSCHEDULER_BUCKET=${google_storage_bucket.this.url}
    2. smartscheduler submit job.json --source DIR
    3. smartscheduler status JOB
    Before terraform destroy delete the VMs that the functions made: gcloud compute instances list --project=${var.project} --filter=labels.managed-by=smartscheduler
  EOT
}
