"""The one key of a VM's metadata that changes while it runs."""

from typing import TYPE_CHECKING

from vm_runtime.contract.instance import Attribute

if TYPE_CHECKING:
    from google.cloud import compute_v1


def is_set(metadata: "compute_v1.Metadata", wanted: str) -> bool:
    """Whether the metadata already has this interval end."""
    return any(
        item.key == Attribute.INTERVAL_END and item.value == wanted for item in metadata.items
    )


def with_interval_end(metadata: "compute_v1.Metadata", wanted: str) -> "compute_v1.Metadata":
    """The whole of it, as setMetadata replaces all; its fingerprint guards the other keys."""
    from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

    items = [item for item in metadata.items if item.key != Attribute.INTERVAL_END]
    items.append(compute_v1.Items(key=str(Attribute.INTERVAL_END), value=wanted))
    return compute_v1.Metadata(fingerprint=metadata.fingerprint, items=items)
