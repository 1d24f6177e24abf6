"""What was emitted, against what, on which basis: computed after the fact, on actual carbon."""
