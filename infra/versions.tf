# Written so that provider 7.x takes it too: raise the constraint when you have tried it.
terraform {
  required_version = ">= 1.11.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.location

  default_labels = {
    managed-by-terraform = "smartscheduler"
  }
}
