"""Making a VM from the instance template: what a VM's spec overrides in it."""

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from functions.adapters.compute_calls import ComputeCalls
from functions.adapters.compute_errors import NotFoundError
from functions.adapters.compute_reading import LONGEST_RUN
from functions.domain.lifecycle.disk import DataDiskSpec
from functions.domain.lifecycle.vm import VmSpec
from functions.domain.regions import region_of
from functions.errors import InvalidInputError
from vm_runtime.contract.instance import DATA_DEVICE

if TYPE_CHECKING:
    from google.cloud import compute_v1

_REGION = re.compile(r"(regions/)[^/]+(?=/subnetworks/)")
_SHORTEST_RUN = timedelta(seconds=30)
"""Compute Engine's own limit of `maxRunDuration`."""


def instance_of(spec: VmSpec, template: "compute_v1.InstanceProperties") -> "compute_v1.Instance":
    """Return what to send along with the template's name.

    A field that is sent replaces the template's whole field, so disks, labels, metadata and
    scheduling are sent as the template has them, with the spec's on top; so are the network
    interfaces, with the subnetwork of the VM's own region. All else (service account,
    accelerators, ...) comes from the template alone.
    """
    from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

    return compute_v1.Instance(
        name=spec.name,
        machine_type=f"zones/{spec.compute_zone}/machineTypes/{spec.machine_type}",
        labels={**template.labels, **spec.labels},
        metadata=_metadata(spec, template),
        disks=[*(_disk(spec, disk) for disk in template.disks), *_data_disks(spec)],
        network_interfaces=[_interface(spec, each) for each in template.network_interfaces],
        scheduling=_scheduling(spec, template),
    )


def _metadata(spec: VmSpec, template: "compute_v1.InstanceProperties") -> "compute_v1.Metadata":
    from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

    merged = {item.key: item.value for item in template.metadata.items} | spec.metadata
    items = [compute_v1.Items(key=str(key), value=value) for key, value in merged.items()]
    return compute_v1.Metadata(items=items)


def _interface(
    spec: VmSpec, interface: "compute_v1.NetworkInterface"
) -> "compute_v1.NetworkInterface":
    """One global template serves all regions: their subnetworks have one name."""
    copied = type(interface)(interface)
    del copied.kind, copied.name, copied.fingerprint  # only Compute Engine sets these
    copied.subnetwork = _REGION.sub(rf"\g<1>{region_of(spec.compute_zone).name}", copied.subnetwork)
    return copied


def _disk(spec: VmSpec, disk: "compute_v1.AttachedDisk") -> "compute_v1.AttachedDisk":
    """The disk carries the VM's labels, so that one that is left over is found; none should be."""
    copied = type(disk)(disk)
    del copied.kind, copied.index  # only Compute Engine sets these
    if not disk.source:  # else it exists, and is not ours to label or delete
        made = copied.initialize_params
        if made.disk_type and "/" not in made.disk_type:
            # A template takes the bare name, a VM wants the URL.
            made.disk_type = f"zones/{spec.compute_zone}/diskTypes/{made.disk_type}"
        made.labels = {**made.labels, **spec.labels}
        copied.initialize_params = made
        copied.auto_delete = True
    return copied


def _data_disks(spec: VmSpec) -> "list[compute_v1.AttachedDisk]":
    """The data disk outlives the VM: it is not deleted with it."""
    from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

    disk = spec.data_disk
    if disk is None:
        return []
    if disk.exists:
        return [attached_data_disk(disk.compute_zone, disk.name)]
    made = compute_v1.AttachedDiskInitializeParams(
        disk_name=disk.name,
        disk_size_gb=disk.size_gb,
        disk_type=_disk_type(disk),
        labels=disk.labels,
    )
    attached = compute_v1.AttachedDisk(
        device_name=DATA_DEVICE, initialize_params=made, auto_delete=False, mode="READ_WRITE"
    )
    return [attached]


def attached_data_disk(compute_zone: str, name: str) -> "compute_v1.AttachedDisk":
    """Return a disk that exists, as it is attached: where the guest looks, not deleted with it."""
    from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

    return compute_v1.AttachedDisk(
        device_name=DATA_DEVICE,
        source=f"zones/{compute_zone}/disks/{name}",
        auto_delete=False,
        mode="READ_WRITE",
    )


def data_disk_resource(spec: DataDiskSpec, *, source_snapshot: str) -> "compute_v1.Disk":
    """Return a disk to be made from a snapshot."""
    from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

    return compute_v1.Disk(
        name=spec.name,
        size_gb=spec.size_gb,
        type_=_disk_type(spec),
        labels=spec.labels,
        source_snapshot=source_snapshot,
    )


def _disk_type(spec: DataDiskSpec) -> str:
    return f"zones/{spec.compute_zone}/diskTypes/{spec.type}"


def _scheduling(spec: VmSpec, template: "compute_v1.InstanceProperties") -> "compute_v1.Scheduling":
    """The dead man's switch; and no restart by Compute Engine outside the plan."""
    from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

    scheduling = compute_v1.Scheduling(template.scheduling)
    del scheduling.termination_time  # excludes maxRunDuration
    wanted_s = timedelta(seconds=spec.max_run_duration_s)
    longest = max(_SHORTEST_RUN, min(wanted_s, LONGEST_RUN))
    scheduling.max_run_duration = compute_v1.Duration(seconds=int(longest.total_seconds()))
    scheduling.instance_termination_action = "STOP"
    scheduling.automatic_restart = False
    return scheduling


def template_name(url: str) -> str:
    """Return the `projects/P/global/instanceTemplates/NAME` of a template's URL.

    Terraform's `self_link_unique` ends in `?uniqueId=…`, which the API does not take.

    Raises:
        InvalidInputError: it is no global template.
    """
    start = url.partition("?")[0]
    parts = start[start.find("projects/") :].split("/") if "projects/" in start else []
    if parts[2:4] != ["global", "instanceTemplates"] or not all(parts) or len(parts) != 5:  # noqa: PLR2004
        raise InvalidInputError(
            "instance template: expected projects/PROJECT/global/instanceTemplates/NAME (one"
            f" template serves all regions), found {url!r}. Set it to Terraform's self_link."
        )
    return "/".join(parts)


def read_template(calls: ComputeCalls, template: str) -> "compute_v1.InstanceProperties":
    """Return what a template says.

    IAM: `compute.instanceTemplates.get`.

    Raises:
        InvalidInputError: there is none of that name.
        UnavailableError: no answer.
        PermissionDeniedError: a right is missing.
    """
    _, project, _, _, name = template.split("/")
    try:
        found = calls.call(
            lambda: calls.templates.get,
            {"project": project, "instance_template": name},
            doing=f"read instance template {template}",
            right="compute.instanceTemplates.get",
        )
    except NotFoundError as error:
        raise InvalidInputError(
            f"instance template: expected {template}, found none ({error}). Apply Terraform, or"
            " correct the setting."
        ) from error
    return found.properties
