"""What VM and control plane agree on: documents, object names, clock.

The side that is called publishes the words: the VM owns job, checkpoint, progress,
lease, ledger and instance metadata. Pure: standard library and pydantic only, no I/O.
"""
