variable "alert_emails" {
  description = "Addresses that alerts are sent to; none: alerts are shown in the console only."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for each in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", each))])
    error_message = "alert_emails: expected e-mail addresses such as ops@example.com."
  }
}

variable "budget" {
  description = "Budget alert: id of the billing account, and USD a month. Null: none."
  type = object({
    billing_account = string
    usd_per_month   = number
  })
  default = null

  validation {
    condition     = var.budget == null ? true : var.budget.usd_per_month > 0
    error_message = "budget: expected usd_per_month above 0."
  }
}

variable "electricity_maps_key" {
  description = "Key of Electricity Maps. Never stored in the state; null: add it afterwards."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
}

variable "electricity_maps_key_version" {
  description = "Raise it (\"2\", \"3\", ...) to store a new electricity_maps_key."
  type        = string
  default     = "1"
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]*$", var.electricity_maps_key_version))
    error_message = "electricity_maps_key_version: expected a whole number of at least 1."
  }
}

variable "enable_apis" {
  description = "Enable the APIs that are needed; false if somebody else does that."
  type        = bool
  default     = true
  nullable    = false
}

variable "intensity_source" {
  description = "electricity_maps (needs a key), or generation_mix (no key, nine grid zones)."
  type        = string
  default     = "electricity_maps"
  nullable    = false

  validation {
    condition     = contains(["electricity_maps", "generation_mix"], var.intensity_source)
    error_message = "intensity_source: expected electricity_maps or generation_mix."
  }
}

variable "location" {
  description = "Region of functions, scheduler and bucket. VMs run in training_regions."
  type        = string
  default     = "europe-west1"
  nullable    = false

  validation {
    condition     = contains(keys(local.machine_families), var.location)
    error_message = "location: expected one of the thirteen regions with a grid zone: ${join(", ", keys(local.machine_families))}."
  }
}

variable "prefix" {
  description = "Begin of all names, so that several deployments fit into one project."
  type        = string
  default     = "smartscheduler"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,16}[a-z0-9]$", var.prefix))
    error_message = "prefix: expected 3 to 18 lower-case letters, digits and dashes, a letter first."
  }
}

variable "project" {
  description = "Id of the Google Cloud project; the one thing that must be given."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project: expected a project id such as my-project-123, not its name or number."
  }
}

variable "purge_on_destroy" {
  description = "Let `terraform destroy` delete the bucket with all checkpoints and receipts."
  type        = bool
  default     = false
  nullable    = false
}

variable "retention" {
  description = "Days: longest deadline of a job; how long replaced and deleted objects are kept."
  type = object({
    longest_deadline_days = optional(number, 14)
    noncurrent_days       = optional(number, 30)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.retention.noncurrent_days >= var.retention.longest_deadline_days
    error_message = "retention: expected noncurrent_days of at least longest_deadline_days, else a job's older checkpoints could go before the job ends."
  }

  validation {
    condition     = var.retention.longest_deadline_days >= 1 && var.retention.longest_deadline_days <= 120
    error_message = "retention: expected longest_deadline_days of 1 to 120; Compute Engine lets no VM with a time limit live longer than 120 days."
  }
}

variable "timing" {
  description = "Seconds: how far ahead a VM boots, and how long the control plane waits."
  type = object({
    boot_lead_s        = optional(number, 180)
    force_stop_after_s = optional(number, 300)
    lease_ttl_s        = optional(number, 120)
    shutdown_grace_s   = optional(number, 600)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.timing.shutdown_grace_s <= 900 && var.timing.force_stop_after_s <= 900
    error_message = "timing: expected shutdown_grace_s and force_stop_after_s of at most 900: no VM may outlive its interval by more than 15 minutes."
  }

  validation {
    condition     = min(var.timing.lease_ttl_s, var.timing.force_stop_after_s, var.timing.shutdown_grace_s) >= 30
    error_message = "timing: expected lease_ttl_s, force_stop_after_s and shutdown_grace_s of at least 30."
  }
}

variable "training_regions" {
  description = "Regions in which VMs may run; each gets a subnetwork. Null: all thirteen."
  type        = set(string)
  default     = null

  validation {
    condition     = alltrue([for each in coalesce(var.training_regions, []) : contains(keys(local.machine_families), each)])
    error_message = "training_regions: expected some of the thirteen regions with a grid zone: ${join(", ", keys(local.machine_families))}."
  }

  validation {
    condition     = var.training_regions == null ? true : length(var.training_regions) > 0
    error_message = "training_regions: expected at least one region, or null for all."
  }
}

variable "vms" {
  description = "Instance templates by name; a job that names none takes `default`. A job names its own machine type; the one here decides what is checked at plan time."
  type = map(object({
    accelerator = optional(object({
      type  = string
      count = optional(number, 1)
    }))
    disk_gb      = optional(number, 50)
    disk_type    = optional(string, "pd-balanced")
    external_ip  = optional(bool, false)
    image        = optional(string, "debian-cloud/debian-12")
    machine_type = optional(string, "e2-standard-8")
    max_run_h    = optional(number, 336)
    regions      = optional(set(string))
    spot         = optional(bool, false)
  }))
  default  = { default = {} }
  nullable = false

  validation {
    condition     = contains(keys(var.vms), "default")
    error_message = "vms: expected one named default, for jobs that name none."
  }

  validation {
    condition     = alltrue([for name in keys(var.vms) : can(regex("^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$", name))])
    error_message = "vms: expected names of at most 20 lower-case letters, digits and dashes, a letter first."
  }

  validation {
    condition = alltrue(flatten([
      for vm in var.vms : [
        for region in coalesce(vm.regions, var.training_regions, keys(local.machine_families)) :
        contains(lookup(local.machine_families, region, []), split("-", vm.machine_type)[0])
      ]
    ]))
    error_message = "vms: a machine_type is not in all of its regions (or all training_regions if it names none): ${join("; ", [for name, vm in var.vms : "${name}: ${vm.machine_type} is in ${join(", ", [for region, families in local.machine_families : region if contains(families, split("-", vm.machine_type)[0])])}"])}."
  }

  validation {
    condition     = alltrue([for vm in var.vms : vm.accelerator == null ? true : startswith(vm.machine_type, "n1-") && vm.accelerator.count >= 1])
    error_message = "vms: expected an accelerator, at least one, on n1 machines only; other GPUs come with their machine type (g2, a2, a3, a4)."
  }

  validation {
    condition = alltrue(flatten([
      for vm in var.vms : vm.accelerator == null ? [true] : [
        for region in coalesce(vm.regions, var.training_regions, keys(local.machine_families)) :
        contains(lookup(local.accelerators, vm.accelerator.type, []), region)
      ]
    ]))
    error_message = "vms: an accelerator is not in all regions of its template (or all training_regions if it names none): ${join("; ", [for type, regions in local.accelerators : "${type} is in ${join(", ", regions)}"])}."
  }

  validation {
    condition     = alltrue([for vm in var.vms : vm.max_run_h >= 1 && vm.max_run_h <= 2880])
    error_message = "vms: expected max_run_h of 1 to 2880 (120 days, Compute Engine's limit)."
  }

  validation {
    condition     = alltrue([for vm in var.vms : vm.disk_gb >= 10 && vm.disk_gb <= 65536])
    error_message = "vms: expected disk_gb of 10 to 65536."
  }
}
