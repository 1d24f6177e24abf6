"""The embedded cloud: every port on one machine with nothing but pip packages (design 8)."""
