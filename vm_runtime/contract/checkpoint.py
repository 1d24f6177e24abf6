"""What a committed checkpoint looks like: the manifest, and the pointer to the latest."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from vm_runtime.contract.base import Count, JobId, RelativePath, Utc, document

CheckpointId: TypeAlias = Annotated[str, Field(pattern=r"^[0-9]{10,}-[0-9]{6,}(-[0-9]{2,})?$")]
"""`<step>-<incarnation>`, zero-padded, see `object_names.checkpoint_id`; it becomes part of the
names of objects, and the VM that wrote it runs the user's code."""


@document
class CheckpointFile:
    """One payload file of a checkpoint."""

    name: RelativePath
    """Name below the checkpoint's folder."""
    size_bytes: Count
    """Its size, bytes."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Its SHA-256, lower-case hexadecimal."""


@document
class CheckpointManifest:
    """Commit marker of a checkpoint: written after the payload, so it exists only if all does."""

    checkpoint_id: CheckpointId
    """`<step>-<incarnation>`, zero-padded, see `object_names.checkpoint_id`; with `-02` and so on
    behind it where an incarnation wrote the same step before: nothing is written over."""
    job_id: JobId
    """The job."""
    step: Count
    """Optimizer steps that the state contains."""
    incarnation: Count
    """Incarnation of the VM that wrote it."""
    created_at: Utc
    """When the manifest was written."""
    files: tuple[CheckpointFile, ...] = Field(min_length=1)
    """All payload files."""
    finished: bool = False
    """Whether training is complete in this state."""
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the model's weights (names, types, shapes, bytes): equal bits, equal digest."""
    torch_version: str
    """Version of torch that wrote the payload."""
    runtime_version: str
    """Version of this distribution that wrote it."""
    schema_version: Literal[1] = 1
    """Version of this document."""


@document
class Latest:
    """The conditional pointer `checkpoints/LATEST`.

    A new lease holder rewrites it at once with its own incarnation, before it restores:
    that moves the generation, so a superseded VM's conditional write fails.
    """

    checkpoint_id: CheckpointId | None
    """The checkpoint to resume from; `None`: none yet."""
    step: Count
    """Its step; 0 if there is none."""
    incarnation: Count
    """Incarnation of the writer of this pointer."""
    updated_at: Utc
    """When it was written."""
    finished: bool = False
    """Whether training is complete in that checkpoint."""
    schema_version: Literal[1] = 1
    """Version of this document."""
