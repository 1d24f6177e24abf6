# A network of its own without any ingress: VMs are reached by nobody, they call out. The
# subnetworks have one name in all regions, which is how a VM of any region finds its own.
resource "google_compute_network" "this" {
  name                    = var.prefix
  auto_create_subnetworks = false

  depends_on = [google_project_service.this]
}

resource "google_compute_subnetwork" "this" {
  for_each = local.training_regions

  name    = var.prefix
  region  = each.value
  network = google_compute_network.this.id
  # One /20 (4,092 VMs) a region, the same for a region whatever the others are.
  ip_cidr_range            = cidrsubnet("10.128.0.0/12", 8, index(keys(local.machine_families), each.value))
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
  }
}

# Said aloud although it is the default: nothing comes in, not even from within the network.
resource "google_compute_firewall" "no_ingress" {
  name          = "${var.prefix}-no-ingress"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  priority      = 1000
  source_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }
}

# The way out for VMs without an address of their own; costs nothing while no VM runs.
resource "google_compute_router" "this" {
  for_each = alltrue([for each in var.vms : each.external_ip]) ? [] : local.training_regions

  name    = var.prefix
  region  = each.value
  network = google_compute_network.this.id
}

resource "google_compute_router_nat" "this" {
  for_each = google_compute_router.this

  name                               = var.prefix
  region                             = each.value.region
  router                             = each.value.name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}
