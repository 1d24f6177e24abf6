"""One file per vendor API; the only place that knows their libraries."""
