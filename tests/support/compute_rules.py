"""What Compute Engine takes and refuses, and how it writes things."""

import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from google.cloud import compute_v1 as gce

T = TypeVar("T", gce.Instance, gce.Disk, gce.Snapshot)

PROJECT = "tests"
TEMPLATE = f"projects/{PROJECT}/global/instanceTemplates/trainer-1"

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[-_a-z0-9]{0,63}")
_LEAST_GB = 10
_MOST_S = 120 * 86_400


class RefusedError(Exception):
    """A call that is refused: HTTP status, reason and message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        """Take what the answer says."""
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


def trainer_template() -> gce.InstanceTemplate:
    """Return a template as Terraform makes it."""
    disk = gce.AttachedDisk(
        boot=True,
        kind="compute#attachedDisk",
        index=0,
        initialize_params=gce.AttachedDiskInitializeParams(
            disk_size_gb=30,
            disk_type="pd-balanced",
            source_image="projects/debian-cloud/global/images/debian-13-v20260901",
            labels={"team": "trainers"},
        ),
    )
    return gce.InstanceTemplate(
        name="trainer-1",
        properties=gce.InstanceProperties(
            machine_type="e2-standard-8",
            disks=[disk],
            labels={"team": "trainers"},
            metadata=gce.Metadata(
                fingerprint="of-the-template",
                items=[
                    gce.Items(key="startup-script", value="#!/bin/bash\n"),
                    gce.Items(key="ss-lease-ttl-s", value="1"),
                ],
            ),
            scheduling=gce.Scheduling(
                provisioning_model="SPOT",
                on_host_maintenance="TERMINATE",
                termination_time="2030-01-01T00:00:00Z",
                automatic_restart=True,
            ),
            network_interfaces=[gce.NetworkInterface(network="global/networks/default")],
        ),
    )


def check(body: gce.Instance, zone: str) -> None:
    """Refuse what Compute Engine refuses."""
    scheduling, disk = body.scheduling, body.disks[0]
    longest_s, made = scheduling.max_run_duration.seconds, disk.initialize_params
    rules = {
        "name": _NAME.fullmatch(body.name),
        "machineType": re.fullmatch(rf"(.*/)?zones/{zone}/machineTypes/[-\w]+", body.machine_type),
        "scheduling.terminationTime": not (scheduling.termination_time and longest_s),
        "scheduling.maxRunDuration": not longest_s or 30 <= longest_s <= _MOST_S,
        "scheduling.instanceTerminationAction": not longest_s
        or scheduling.instance_termination_action in {"STOP", "DELETE"},
        "disks": disk.boot and made.source_image and not any(one.boot for one in body.disks[1:]),
        "disks.source": all(_is_data_disk(one, zone) for one in body.disks[1:]),
        "diskType": re.fullmatch(rf"(.*/)?zones/{zone}/diskTypes/[-\w]+", made.disk_type),
        "networkInterfaces": body.network_interfaces,
        "labels": all(map(_LABEL.fullmatch, (*body.labels, *body.labels.values()))),
    }
    wrong = [name for name, holds in rules.items() if not holds]
    if wrong:
        raise RefusedError(400, "invalid", f"Invalid value for field: {', '.join(wrong)}")


def _is_data_disk(one: gce.AttachedDisk, zone: str) -> bool:
    """Whether it is one that exists in the zone, or one to be made, with a type of the zone."""
    made = one.initialize_params
    if one.source:
        return re.fullmatch(rf"(.*/)?zones/{zone}/disks/[-\w]+", one.source) is not None
    is_type = re.fullmatch(rf"(.*/)?zones/{zone}/diskTypes/[-\w]+", made.disk_type)
    return bool(is_type and made.disk_size_gb >= _LEAST_GB)


def check_disk(body: gce.Disk, zone: str, source: gce.Snapshot | None) -> None:
    """Refuse a disk that Compute Engine refuses.

    Args:
        body: what is asked for.
        zone: where.
        source: the snapshot that it is made from.
    """
    rules = {
        "name": _NAME.fullmatch(body.name),
        "type": re.fullmatch(rf"(.*/)?zones/{zone}/diskTypes/[-\w]+", body.type_),
        "sizeGb": body.size_gb >= max(_LEAST_GB, source.disk_size_gb if source else 0),
        "labels": all(map(_LABEL.fullmatch, (*body.labels, *body.labels.values()))),
    }
    wrong = [name for name, holds in rules.items() if not holds]
    if wrong:
        raise RefusedError(400, "invalid", f"Invalid value for field: {', '.join(wrong)}")


def check_labels(name: str, labels: Mapping[str, str]) -> None:
    """Refuse a name and labels that Compute Engine refuses."""
    is_fine = _NAME.fullmatch(name) and all(map(_LABEL.fullmatch, (*labels, *labels.values())))
    if not is_fine:
        raise RefusedError(400, "invalid", "Invalid value for field: name or labels")


def having_label(text: str, everything: Iterable[T]) -> list[T]:
    """Return what a list's filter lets through: `labels.KEY=VALUE`, or no filter."""
    wanted = re.fullmatch(r"labels\.([-_a-z0-9]+)=([-_a-z0-9]+)", text)
    if text and wanted is None:
        raise RefusedError(400, "invalid", f"Invalid list filter expression {text}")
    return [one for one in everything if wanted is None or one.labels.get(wanted[1]) == wanted[2]]


def zone_url(zone: str) -> str:
    """Return the URL of a compute zone."""
    return f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{zone}"


def global_url() -> str:
    """Return the URL below which what belongs to no zone is."""
    return f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/global"


def as_error(code: str, message: str) -> gce.Errors:
    """Return an operation's error, with the details that a stock-out has."""
    info = gce.ErrorInfo(reason="resource_availability", metadatas={"zonesAvailable": "there-b"})
    details = [gce.ErrorDetails(error_info=info)] if "EXHAUSTED" in code else []
    return gce.Errors(code=code, message=message, error_details=details)


def last(url: str) -> str:
    """Return the last part of a URL."""
    return url.rpartition("/")[2]


def fingerprint() -> str:
    """Return a new fingerprint."""
    return uuid.uuid4().hex[:12]


def pacific(moment: datetime) -> str:
    """As Compute Engine writes times: with milliseconds and the offset of California."""
    local = (moment - timedelta(hours=8)).replace(tzinfo=None)
    return local.isoformat(timespec="milliseconds") + "-08:00"
