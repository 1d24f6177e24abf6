# The thirteen regions with a grid zone, and the machine families of each; the same table as
# functions/domain/regions.py, which a test compares.
locals {
  machine_families = {
    "europe-central2"         = ["e2", "n1", "n2"]
    "europe-north1"           = ["e2", "n1", "n2", "a3", "a4"]
    "europe-southwest1"       = ["e2", "n1", "n2"]
    "europe-west1"            = ["e2", "n1", "n2", "a3", "g2"]
    "europe-west2"            = ["e2", "n1", "n2", "a3", "g2"]
    "europe-west3"            = ["e2", "n1", "n2", "g2"]
    "europe-west4"            = ["e2", "n1", "n2", "a2", "a3", "a4", "g2"]
    "europe-west6"            = ["e2", "n1", "n2", "g2"]
    "europe-west8"            = ["e2", "n1", "n2", "a3"]
    "europe-west9"            = ["e2", "n1", "n2", "a3"]
    "northamerica-northeast1" = ["e2", "n1", "n2", "g2"]
    "northamerica-northeast2" = ["e2", "n1", "n2", "a3", "g2"]
    "southamerica-east1"      = ["e2", "n1", "n2"]
  }

  # GPUs to be attached to n1 machines, and the regions that have them, by SkyPilot's catalogue of
  # 2026; other GPUs belong to their machine family.
  accelerators = {
    "nvidia-tesla-p100" = ["europe-west1"]
    "nvidia-tesla-p4"   = ["northamerica-northeast1"]
    "nvidia-tesla-t4"   = ["europe-central2", "europe-west1", "europe-west2", "europe-west3", "europe-west4", "northamerica-northeast1", "southamerica-east1"]
    "nvidia-tesla-v100" = ["europe-west4"]
  }

  training_regions = toset(coalesce(var.training_regions, keys(local.machine_families)))
}
