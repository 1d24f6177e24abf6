"""The bucket, behind one Protocol: files on this machine, or Google Cloud Storage.

The one part of `vm_runtime` beside `contract` that `functions` may use: control plane and
VM compare-and-swap the same objects, so there is one implementation (docs/adr).
"""
