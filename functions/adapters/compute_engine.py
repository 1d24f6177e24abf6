"""The fleet on Google Compute Engine; `google-cloud-compute` is loaded when first called."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from functions.adapters.compute_calls import ComputeCalls, Patience
from functions.adapters.compute_errors import (
    AlreadyExistsError,
    ConditionNotMetError,
    InUseError,
    NotFoundError,
)
from functions.adapters.compute_making import instance_of, read_template, template_name
from functions.adapters.compute_metadata import is_set, with_values
from functions.adapters.compute_reading import Owned, read_operation, read_vm
from functions.adapters.compute_refusals import REFUSALS, exists, never_began, refused
from functions.adapters.compute_request import as_uuid
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmSpec
from functions.errors import (
    InvalidInputError,
    PermissionDeniedError,
    SchedulerError,
    UnavailableError,
)
from vm_runtime.contract.instance import Attribute, Label

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud import compute_v1

_LOG = logging.getLogger(__name__)

_METADATA_TRIES = 5


class ComputeEngineFleet:
    """`VmFleet` on Compute Engine.

    VMs are made from global instance templates, in whatever compute zone is asked for.
    Only VMs with the label `managed-by=smartscheduler` and the name of this deployment are
    listed, and so only these touched.
    """

    def __init__(  # noqa: PLR0913 - where to call, by name
        self,
        *,
        project: str,
        instance_templates: Mapping[str, str],
        deployment: str = "",
        endpoint: str = "",
        credentials: "Credentials | None" = None,
        patience: Patience | None = None,
    ) -> None:
        """Take where to call; nothing is loaded, built or called yet.

        Args:
            project: Google Cloud project of the VMs.
            instance_templates: URLs by name, of global ones, full or from `projects/` on.
            deployment: value of the label `deployment`; empty: VMs of all deployments.
            endpoint: address of another server, for tests; empty: Google's.
            credentials: `None`: application default credentials.
            patience: limits of each call; `None`: those of `Patience`.

        Raises:
            InvalidInputError: a template's URL is none.
        """
        self._project, self._owned = project, Owned(deployment)
        self._templates = {name: template_name(url) for name, url in instance_templates.items()}
        self._said: dict[str, compute_v1.InstanceProperties] = {}
        self._calls = ComputeCalls(
            endpoint=endpoint, credentials=credentials, patience=patience or Patience()
        )

    def list(self) -> Sequence[Vm]:
        """Return all managed VMs in all zones: one aggregatedList (a page has 500).

        IAM: `compute.instances.list`.

        Raises:
            UnavailableError: no answer, or one without some zones: a VM that is only not seen
                would be made a second time.
            PermissionDeniedError: a right is missing.
        """
        scopes = self._calls.all_zones(
            lambda: self._calls.instances.aggregated_list,
            {"project": self._project, "filter": self._owned.filter},
            doing="list VMs",
            right="compute.instances.list",
        )
        found = [read_vm(one, self._owned) for scope in scopes for one in scope.instances]
        return [vm for vm in found if vm is not None]

    def insert(self, spec: VmSpec, *, request_id: str) -> Operation:
        """Start to create a VM; if the name exists, return a done operation without failure.

        A refusal of the call is a done operation that has failed, like one that comes later.

        IAM: `compute.instanceTemplates.get` (once per process),
        `compute.instanceTemplates.useReadOnly`, `compute.instances.create`,
        `compute.instances.setMetadata`, `compute.instances.setLabels`,
        `compute.instances.setServiceAccount`, `compute.instances.setTags`,
        `compute.disks.create`, `compute.disks.setLabels`, `compute.images.useReadOnly`,
        `compute.disks.use` (a data disk), `compute.instances.get` (if the name is taken),
        `compute.subnetworks.use`, `compute.subnetworks.useExternalIp`, and
        `iam.serviceAccounts.actAs` on the VM's service account.

        Raises:
            UnavailableError: no answer; it may have worked.
            PermissionDeniedError: a right is missing.
            InvalidInputError: the template does not exist, or no template has that name.
        """
        what = f"VM {spec.name}"
        doing = f"create {what} in {spec.compute_zone}"
        template = self._template_of(spec)
        instance = instance_of(spec, self._properties(template))
        try:
            operation = self._calls.call(
                lambda: self._calls.instances.insert_unary,
                {
                    "project": self._project,
                    "zone": spec.compute_zone,
                    "request_id": as_uuid(request_id),
                    "source_instance_template": template,
                    "instance_resource": instance,
                },
                doing=doing,
                right="compute.instances.create and those listed at ComputeEngineFleet.insert",
            )
        except AlreadyExistsError as error:
            self._tell_whose(spec, error)
            return exists(what, spec.compute_zone, error)
        except NotFoundError as error:
            # Deleted since it was read? Then to read it again says what to do.
            self._said.pop(template, None)
            self._properties(template)
            return refused(what, spec.compute_zone, error)
        except (*REFUSALS, InUseError) as error:
            return refused(what, spec.compute_zone, error)
        return read_operation(operation, spec.compute_zone)

    def operation(self, name: str, compute_zone: str) -> Operation:
        """Look at an operation; an unknown one is done without failure.

        IAM: `compute.zoneOperations.get`.

        Raises:
            UnavailableError: no answer.
            PermissionDeniedError: a right is missing.
        """
        ended = never_began(name, compute_zone)
        if ended is not None:
            return ended
        try:
            operation = self._calls.call(
                lambda: self._calls.operations.get,
                {"project": self._project, "zone": compute_zone, "operation": name},
                doing=f"look at operation {name} in {compute_zone}",
                right="compute.zoneOperations.get",
            )
        except NotFoundError:
            return Operation.over(name, compute_zone)
        return read_operation(operation, compute_zone)

    def stop(self, vm: Vm, *, request_id: str) -> None:
        """Power off by force; a VM that is gone or down is fine.

        IAM: `compute.instances.stop`.

        Raises:
            UnavailableError: no answer, or not possible now; it may have worked.
            PermissionDeniedError: a right is missing.
        """
        self._change(
            lambda: self._calls.instances.stop_unary,
            vm,
            {"request_id": as_uuid(request_id), "no_graceful_shutdown": True},
            verb="stop",
        )

    def delete(self, vm: Vm, *, request_id: str) -> None:
        """Delete it with its boot disk (made so that it goes with it); gone is fine.

        IAM: `compute.instances.delete`, `compute.disks.delete`.

        Raises:
            UnavailableError: no answer, or not possible now; it may have worked.
            PermissionDeniedError: a right is missing.
        """
        self._change(
            lambda: self._calls.instances.delete_unary,
            vm,
            {"request_id": as_uuid(request_id), "no_graceful_shutdown": True},
            verb="delete",
        )

    def set_interval_end(self, vm: Vm, end: datetime, *, request_id: str) -> None:
        """Tell a running VM when to stop, by its metadata; a VM that is gone is fine.

        Other keys of the metadata stay as they are, whoever else changes them meanwhile.

        IAM: `compute.instances.get`, `compute.instances.setMetadata`, and
        `iam.serviceAccounts.actAs` on the VM's service account.

        Raises:
            UnavailableError: no answer, or somebody else kept changing the metadata.
            PermissionDeniedError: a right is missing.
        """
        wanted: dict[str, str] = {Attribute.INTERVAL_END: end.astimezone(UTC).isoformat()}
        self._set_metadata(vm, wanted, request_id=request_id)

    def start(self, vm: Vm, metadata: Mapping[str, str], *, request_id: str) -> Operation:
        """Set metadata of a stopped VM, then start it; gone or up is done without failure.

        So is one that lost our label: it is left alone. A refusal of the call is a done operation
        that has failed, like one that comes later.

        IAM: `compute.instances.get`, `compute.instances.setMetadata`, `compute.instances.start`,
        and `iam.serviceAccounts.actAs` on the VM's service account.

        Raises:
            UnavailableError: no answer; it may have worked.
            PermissionDeniedError: a right is missing.
        """
        what = f"VM {vm.name}"
        gone = Operation.over(f"gone-{vm.name}", vm.compute_zone)
        if not self._set_metadata(vm, metadata, request_id=f"{request_id}/metadata"):
            return gone
        place = {"project": self._project, "zone": vm.compute_zone, "instance": vm.name}
        try:
            operation = self._calls.call(
                lambda: self._calls.instances.start_unary,
                {**place, "request_id": as_uuid(request_id)},
                doing=f"start VM {vm.name} in {vm.compute_zone}",
                right="compute.instances.start",
            )
        except NotFoundError:
            return gone
        except REFUSALS as error:
            return refused(what, vm.compute_zone, error)
        return read_operation(operation, vm.compute_zone)

    def _set_metadata(self, vm: Vm, wanted: Mapping[str, str], *, request_id: str) -> bool:
        """Return whether there is a VM of ours that has these values now."""
        for attempt in range(_METADATA_TRIES):
            metadata = self._metadata(vm)
            if metadata is None or is_set(metadata, wanted):
                return metadata is not None
            # Compute Engine may answer a repeated id with the first try's refusal.
            key = as_uuid(f"{request_id}/{attempt}" if attempt else request_id)
            try:
                self._change(
                    lambda: self._calls.instances.set_metadata_unary,
                    vm,
                    {"request_id": key, "metadata_resource": with_values(metadata, wanted)},
                    verb="setMetadata",
                )
            except ConditionNotMetError as error:
                told = {"event": "metadata_raced"}
                _LOG.info("VM %s: metadata changed meanwhile: %s", vm.name, error, extra=told)
            else:
                return True
        raise UnavailableError(
            f"VM {vm.name}: somebody else changed its metadata {_METADATA_TRIES} times while"
            f" {', '.join(wanted)} was being set. It is tried again; find out who does that."
        )

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    def _template_of(self, spec: VmSpec) -> str:
        template = self._templates.get(spec.template)
        if template is None:
            raise InvalidInputError(
                f"VM {spec.name}: expected one of the instance templates"
                f" {', '.join(self._templates) or '(none)'}, found {spec.template!r} in the job."
                " Mend the job's template, or add it to the deployment (Terraform: vms)."
            )
        return template

    def _properties(self, template: str) -> "compute_v1.InstanceProperties":
        """What a template says; it never changes, so once per process is enough."""
        if template not in self._said:
            self._said[template] = read_template(self._calls, template)
        return self._said[template]

    def _metadata(self, vm: Vm) -> "compute_v1.Metadata | None":
        try:
            instance = self._calls.call(
                lambda: self._calls.instances.get,
                {"project": self._project, "zone": vm.compute_zone, "instance": vm.name},
                doing=f"read VM {vm.name} in {vm.compute_zone}",
                right="compute.instances.get",
            )
        except NotFoundError:
            return None
        if not self._owned.has(instance.labels):
            told = {"event": "label_lost"}
            _LOG.warning(
                "VM %s: its label was taken away meanwhile; left alone", vm.name, extra=told
            )
            return None
        return instance.metadata

    def _tell_whose(self, spec: VmSpec, error: Exception) -> None:
        """Say what to do if a name is taken by something that is not ours: it is never touched."""
        place = {"project": self._project, "zone": spec.compute_zone, "instance": spec.name}
        try:
            found = self._calls.call(
                lambda: self._calls.instances.get,
                place,
                doing=f"read VM {spec.name} in {spec.compute_zone}",
                right="compute.instances.get",
            )
        except SchedulerError:  # A disk has the name, say; what was refused says so.
            found = None
        if found is not None and self._owned.has(found.labels):
            return
        _LOG.error(
            "VM %s: the name is taken in %s by something without the labels of this deployment"
            " (%s). It is left alone and the job takes its next name. If nobody needs it, delete"
            " it: gcloud compute instances delete %s --zone %s; a disk: gcloud compute disks list",
            *(spec.name, spec.compute_zone, error, spec.name, spec.compute_zone),
            extra={"event": "name_taken", "job_id": spec.labels.get(Label.JOB, "")},
        )

    def _change(
        self,
        method: Callable[[], Callable[..., "compute_v1.Operation"]],
        vm: Vm,
        request: dict[str, Any],
        *,
        verb: str,
    ) -> None:
        doing = f"{verb} VM {vm.name} in {vm.compute_zone}"
        place = {"project": self._project, "zone": vm.compute_zone, "instance": vm.name}
        right = f"compute.instances.{verb}"
        try:
            answer = self._calls.call(method, {**place, **request}, doing=doing, right=right)
        except NotFoundError:
            return
        except REFUSALS as error:
            raise UnavailableError(f"{error} It is tried again.") from error
        operation = read_operation(answer, vm.compute_zone)
        if operation.failure is FailureKind.DENIED:
            raise PermissionDeniedError(f"{doing}: {operation.message}. Grant {right}.")
        if operation.failure is not None:
            raise UnavailableError(f"{doing}: {operation.message}. It is tried again.")
