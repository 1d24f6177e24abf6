"""The life of a job's VMs: what is, what should be, and the one step between them."""
