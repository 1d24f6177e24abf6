"""What runs on the VM: the resumable trainer and what keeps it safe."""
