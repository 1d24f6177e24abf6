"""The keys of a VM's metadata that change: its interval's end, and more when it is started."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.cloud import compute_v1


def is_set(metadata: "compute_v1.Metadata", wanted: Mapping[str, str]) -> bool:
    """Whether the metadata already has these values."""
    return dict(wanted).items() <= {item.key: item.value for item in metadata.items}.items()


def with_values(
    metadata: "compute_v1.Metadata", wanted: Mapping[str, str]
) -> "compute_v1.Metadata":
    """The whole of it, as setMetadata replaces all; its fingerprint guards the other keys."""
    from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

    items = [item for item in metadata.items if item.key not in wanted]
    items += [compute_v1.Items(key=str(key), value=value) for key, value in wanted.items()]
    return compute_v1.Metadata(fingerprint=metadata.fingerprint, items=items)
