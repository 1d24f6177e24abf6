# What cannot work is refused at plan time, by the variable's name.
mock_provider "google" {}

variables {
  electricity_maps_key = null
  project              = "my-project-123"
}

run "region_without_grid_zone" {
  command = plan

  variables {
    training_regions = ["us-central1"]
  }

  expect_failures = [var.training_regions]
}

run "no_region_at_all" {
  command = plan

  variables {
    training_regions = []
  }

  expect_failures = [var.training_regions]
}

run "control_plane_elsewhere" {
  command = plan

  variables {
    location = "us-central1"
  }

  expect_failures = [var.location]
}

run "machine_that_a_region_lacks" {
  command = plan

  variables {
    training_regions = ["europe-west4", "europe-southwest1"]
    vms              = { default = { machine_type = "g2-standard-8" } }
  }

  expect_failures = [var.vms]
}

run "retention_shorter_than_a_deadline" {
  command = plan

  variables {
    retention = { longest_deadline_days = 60, noncurrent_days = 30 }
  }

  expect_failures = [var.retention]
}

run "vm_that_could_outlive_its_interval" {
  command = plan

  variables {
    timing = { shutdown_grace_s = 3600 }
  }

  expect_failures = [var.timing]
}

run "project_by_its_name" {
  command = plan

  variables {
    project = "My Project"
  }

  expect_failures = [var.project]
}

run "prefix_too_long" {
  command = plan

  variables {
    prefix = "a-prefix-that-is-much-too-long"
  }

  expect_failures = [var.prefix]
}

run "no_address" {
  command = plan

  variables {
    alert_emails = ["nobody"]
  }

  expect_failures = [var.alert_emails]
}

run "no_default_template" {
  command = plan

  variables {
    vms = { gpu = { machine_type = "n1-standard-8" } }
  }

  expect_failures = [var.vms]
}

run "api_that_is_missing" {
  command = plan

  variables {
    enable_apis = false
  }

  override_data {
    target = data.google_project_service.this["compute.googleapis.com"]
    values = { id = "" }
  }

  expect_failures = [data.google_project_service.this]
}

run "apis_that_somebody_else_enabled" {
  command = plan

  variables {
    enable_apis = false
  }

  assert {
    condition     = length(google_project_service.this) == 0
    error_message = "Nothing is enabled here."
  }
}

run "no_source_of_that_name" {
  command = plan

  variables {
    intensity_source = "crystal_ball"
  }

  expect_failures = [var.intensity_source]
}

run "disk_that_holds_no_image" {
  command = plan

  variables {
    vms = { default = { disk_gb = 5 } }
  }

  expect_failures = [var.vms]
}

run "vm_that_compute_engine_would_not_let_live" {
  command = plan

  variables {
    vms = { default = { max_run_h = 5000 } }
  }

  expect_failures = [var.vms]
}

run "budget_of_nothing" {
  command = plan

  variables {
    budget = { billing_account = "012345-567890-ABCDEF", usd_per_month = 0 }
  }

  expect_failures = [var.budget]
}

run "deadline_longer_than_a_vm_may_live" {
  command = plan

  variables {
    retention = { longest_deadline_days = 200, noncurrent_days = 400 }
  }

  expect_failures = [var.retention]
}

run "time_outs_that_are_none" {
  command = plan

  variables {
    timing = { lease_ttl_s = 5 }
  }

  expect_failures = [var.timing]
}

run "accelerator_that_a_region_lacks" {
  command = plan

  variables {
    training_regions = ["europe-west4", "europe-north1"]
    vms              = { default = { accelerator = { type = "nvidia-tesla-t4" }, machine_type = "n1-standard-8" } }
  }

  expect_failures = [var.vms]
}

run "accelerator_that_fits_no_machine" {
  command = plan

  variables {
    training_regions = ["europe-west4"]
    vms              = { default = { accelerator = { type = "nvidia-tesla-t4" }, machine_type = "e2-standard-8" } }
  }

  expect_failures = [var.vms]
}
