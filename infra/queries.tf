# Links into the Logs Explorer, so that the console reads like the story of a job. Saved
# queries proper (google_logging_saved_query) came with provider 7; links do without.
locals {
  _queries = {
    decisions = local._decisions
    errors    = "(${local._from_functions} OR labels.\"compute.googleapis.com/resource_name\"=~\"^ss-\") AND severity>=WARNING"
    one_job   = "(${local._from_functions} AND jsonPayload.job_id=\"JOB\") OR labels.\"compute.googleapis.com/resource_name\"=~\"^ss-JOB-[0-9]+$\""
  }
}
