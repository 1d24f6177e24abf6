"""The client library of Compute Engine: built when first called, bounded time-outs and retries."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from functions.adapters.compute_errors import port_error
from functions.adapters.google_calls import each_attempt, patient
from functions.errors import UnavailableError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud import compute_v1

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a call may take; a function has minutes, and the heartbeat comes again."""

    attempt_s: float = 15.0
    """One attempt, seconds."""
    total_s: float = 45.0
    """No attempt begins after that, seconds."""
    pause_s: float = 0.5
    """Longest pause before the second attempt, seconds; doubles each time."""


class ComputeCalls:
    """The clients that VMs, disks and snapshots need, and how to call them.

    They are used with `*_unary` methods only: the library's waiting for operations leaves
    the endpoint that it was given, and nobody here waits.
    """

    def __init__(
        self, *, endpoint: str, credentials: "Credentials | None", patience: Patience
    ) -> None:
        """Take where to call; nothing is built yet.

        Args:
            endpoint: address of another server, for tests; empty: Google's.
            credentials: `None`: application default credentials.
            patience: limits of each call.
        """
        self._endpoint, self._credentials, self._patience = endpoint, credentials, patience
        self._built: list[Any] = []

    @cached_property
    def instances(self) -> "compute_v1.InstancesClient":
        """Client of VMs."""
        from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

        return self._client(compute_v1.InstancesClient)

    @cached_property
    def operations(self) -> "compute_v1.ZoneOperationsClient":
        """Client of zonal operations."""
        from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

        return self._client(compute_v1.ZoneOperationsClient)

    @cached_property
    def templates(self) -> "compute_v1.InstanceTemplatesClient":
        """Client of global instance templates."""
        from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

        return self._client(compute_v1.InstanceTemplatesClient)

    @cached_property
    def disks(self) -> "compute_v1.DisksClient":
        """Client of zonal disks."""
        from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

        return self._client(compute_v1.DisksClient)

    @cached_property
    def snapshots(self) -> "compute_v1.SnapshotsClient":
        """Client of snapshots."""
        from google.cloud import compute_v1  # noqa: PLC0415 - its import costs seconds

        return self._client(compute_v1.SnapshotsClient)

    def call(
        self,
        method: Callable[[], Callable[..., R]],
        request: dict[str, Any],
        *,
        doing: str,
        right: str,
    ) -> R:
        """Call a method, again if the answer was lost or was 429 or 5xx.

        Args:
            method: gives the bound method; may build its client.
            request: fields of its request.
            doing: what it does, for messages.
            right: the IAM permission that it needs, for messages.

        Raises:
            SchedulerError: for whatever the client raised, see `compute_errors.port_error`.
        """
        with _port_errors(doing, right):
            return method()(
                request=request,
                retry=patient(self._patience.total_s, pause_s=self._patience.pause_s),
                timeout=each_attempt(self._patience.attempt_s),
            )

    def all_zones(
        self,
        listed: Callable[[], Callable[..., Any]],
        request: dict[str, object],
        *,
        doing: str,
        right: str,
    ) -> Iterator[Any]:
        """Yield each zone's part of an aggregated list, page by page.

        Args:
            listed: returns the client's method; the client is built when it is called.
            request: its request.
            doing: for messages, `list VMs`.
            right: the permission that it needs.

        Raises:
            UnavailableError: no answer, or one without some zones: what is only not seen would
                be made a second time.
            PermissionDeniedError: the right is missing.
        """
        pager = self.call(listed, request, doing=doing, right=right)
        # Further pages are fetched under way, and may fail as the first may.
        for page in self.guarded(pager.pages, doing=doing, right=right):
            if page.unreachables:
                raise UnavailableError(
                    f"{doing}: expected all zones, {', '.join(page.unreachables)} did not answer."
                    " It is tried again."
                )
            yield from page.items.values()

    def guarded(self, pages: Iterator[R], *, doing: str, right: str) -> Iterator[R]:
        """Yield pages, which are fetched one by one; raises as `call` does."""
        while True:
            with _port_errors(doing, right):
                try:
                    page = next(pages)
                except StopIteration:
                    return
            yield page

    def close(self) -> None:
        """Close the connections of the clients that were built."""
        for client in self._built:
            client.transport.close()

    def _client(self, kind: Callable[..., R]) -> R:
        options = {"api_endpoint": self._endpoint} if self._endpoint else None
        client = kind(transport="rest", credentials=self._credentials, client_options=options)
        self._built.append(client)
        return client


@contextmanager
def _port_errors(doing: str, right: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        known = port_error(error, doing=doing, right=right)
        if known is None:
            raise
        raise known from error
