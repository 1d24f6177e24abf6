# Messages only wake; state is in the bucket. Still, what is no WakeUp is refused at the door.
resource "google_pubsub_schema" "wake_up" {
  name       = "${var.prefix}-wake-up"
  type       = "PROTOCOL_BUFFER"
  definition = file("${path.module}/wake_up.proto")

  depends_on = [google_project_service.this]
}

resource "google_pubsub_topic" "interval_plan" {
  #checkov:skip=CKV_GCP_83:Messages hold plans, no secrets; Google's own encryption at rest suffices
  name                       = "${var.prefix}-interval-plan"
  message_retention_duration = "86400s"

  schema_settings {
    schema   = google_pubsub_schema.wake_up.id
    encoding = "JSON"
  }
}

resource "google_pubsub_topic" "dead_letters" {
  #checkov:skip=CKV_GCP_83:Messages hold plans, no secrets; Google's own encryption at rest suffices
  name                       = "${var.prefix}-dead-letters"
  message_retention_duration = "604800s"

  depends_on = [google_project_service.this]
}

# Without a subscription dead letters would be lost.
resource "google_pubsub_subscription" "dead_letters" {
  name                       = "${var.prefix}-dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  message_retention_duration = "604800s"
  retain_acked_messages      = false

  expiration_policy {
    ttl = ""
  }
}

locals {
  _pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

# Our own push subscriptions: the ones that Eventarc makes have no dead letters and an
# acknowledgement deadline that cannot be set.
resource "google_pubsub_subscription" "function" {
  for_each = local._actuators

  name                 = "${var.prefix}-${replace(each.key, "_", "-")}"
  topic                = google_pubsub_topic.interval_plan.id
  ack_deadline_seconds = 300
  # A wake-up of yesterday wakes nobody: the heartbeat has come 288 times since.
  message_retention_duration = "86400s"

  push_config {
    # The framework reads the topic from the path.
    push_endpoint = "${google_cloudfunctions2_function.this[each.key].service_config[0].uri}/${google_pubsub_topic.interval_plan.id}?pubsub_trigger=true"

    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = google_cloudfunctions2_function.this[each.key].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "5s"
    maximum_backoff = "300s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 10
  }

  expiration_policy {
    ttl = ""
  }

  depends_on = [google_pubsub_topic_iam_member.dead_letters]
}

# Pub/Sub itself moves dead letters: it publishes them, and takes them off the subscription.
resource "google_pubsub_topic_iam_member" "dead_letters" {
  topic  = google_pubsub_topic.dead_letters.id
  role   = "roles/pubsub.publisher"
  member = local._pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  for_each = google_pubsub_subscription.function

  subscription = each.value.id
  role         = "roles/pubsub.subscriber"
  member       = local._pubsub_agent
}

# Pub/Sub signs the tokens as the caller.
resource "google_service_account_iam_member" "pubsub_signs" {
  service_account_id = google_service_account.caller.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local._pubsub_agent
}
