"""The lease as its holder sees it: taken, renewed and released by compare-and-swap.

Two margins keep two holders apart though their clocks differ: a holder stops to believe in
its lease `margin_s` before it expires, and nobody takes it until `margin_s` after.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from vm_runtime.contract import object_names
from vm_runtime.contract.clock import Clock
from vm_runtime.contract.codec import DocumentError, decode, encode
from vm_runtime.contract.lease import Lease
from vm_runtime.session import LeaseLostError
from vm_runtime.storage.port import (
    BlobNotFoundError,
    BlobStore,
    PreconditionFailedError,
    StorageError,
)

_log = logging.getLogger(__name__)

MARGIN_OF_TTL = 0.1
"""Default margin as a share of the time to live, at least."""

SKEW_MARGIN_S = 30.0
"""Default margin of a lease of at least four times as much: two of them bear clocks that are 60 s
apart. A shorter lease is one between processes of one machine, with one clock."""

_RENEWALS_PER_TTL = 4
_JOIN_S = 5.0


def default_margin_s(ttl_s: float) -> float:
    """Return the allowance for clock skew of a lease of `ttl_s`: 30 s of 120 s."""
    tenth_s = MARGIN_OF_TTL * ttl_s
    return max(tenth_s, SKEW_MARGIN_S) if ttl_s >= 4 * SKEW_MARGIN_S else tenth_s


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """What this process last wrote and saw confirmed."""

    lease: Lease
    generation: int
    sure_until: datetime
    sure_until_monotonic_s: float


class LeaseKeeper:
    """One holder of a job's lease, with a thread that renews it."""

    def __init__(  # noqa: PLR0913 - who, of what, until when
        self,
        *,
        store: BlobStore,
        clock: Clock,
        job_id: str,
        holder: str,
        incarnation: int,
        ttl_s: float,
        margin_s: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Hold nothing yet.

        Args:
            store: the bucket.
            clock: the deployment's clock.
            job_id: the job.
            holder: VM name and a nonce of this boot.
            incarnation: of this VM.
            ttl_s: how long a lease lasts without renewal, seconds on `clock`.
            margin_s: allowance for clock skew, seconds on `clock`; `None`: `default_margin_s`.
            monotonic: real seconds that never step back.

        Raises:
            ValueError: the margin leaves no time to hold the lease.
        """
        self._margin_s = default_margin_s(ttl_s) if margin_s is None else margin_s
        if not 0 <= self._margin_s < ttl_s / 2:
            raise ValueError(
                f"expected 0 <= margin_s < ttl_s / 2, found {self._margin_s} of {ttl_s}"
            )
        self._store, self._clock, self._monotonic = store, clock, monotonic
        self._job_id, self._holder, self._incarnation = job_id, holder, incarnation
        self._name = object_names.lease(job_id)
        self._ttl_s = ttl_s
        self._held: _Held | None = None
        self._lost = ""
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def lost(self) -> str:
        """Why the lease is lost for good, empty while it is not."""
        return self._lost

    def held_surely(self, now: datetime) -> bool:
        """Whether nobody else can hold the lease at `now`. Local and conservative: no I/O.

        It turns false by itself as time goes by, so a VM that was stalled or cut off stops
        though nobody could tell it. Real elapsed time counts too: the machine's clock may
        be set back.
        """
        held = self._held
        return (
            held is not None
            and not self._lost
            and now < held.sure_until
            and self._monotonic() < held.sure_until_monotonic_s
        )

    def held_by_another(self) -> bool:
        """Whether another holder may be training now, as far as the bucket tells."""
        lease, _ = self._read()
        if lease is None or lease.holder == self._holder:
            return False
        return lease.is_held(self._clock.now() - timedelta(seconds=self._margin_s))

    def acquire(self) -> bool:
        """Take the lease if it is free; returns whether it is held now.

        Free is: absent, released, or expired for longer than the margin.

        Raises:
            LeaseLostError: a VM of a higher incarnation has had it.
            StorageError: the bucket did not answer; try again.
        """
        with self._writing:
            if self._lost:
                raise LeaseLostError(self._lost)
            lease, generation = self._read()
            if lease is not None:
                self._check_incarnation(lease)
                # A write whose answer was lost may have made this process the holder already.
                mine = lease.holder == self._holder
                taken_until = self._clock.now() - timedelta(seconds=self._margin_s)
                if not mine and lease.is_held(taken_until):
                    return False
            try:
                self._write(generation, acquired_at=None)
            except PreconditionFailedError:
                return False  # somebody was faster; the next call looks again
            return True

    def renew(self) -> None:
        """Prolong the lease by its time to live.

        After it ran out it may still be prolonged: the generation tells that nobody took it.

        Raises:
            LeaseLostError: somebody else has taken it, or it was never held.
            StorageError: the bucket did not answer; the lease lasts as long as before.
        """
        with self._writing:
            held = self._held
            if held is None or self._lost:
                raise LeaseLostError(self._lost or "expected a lease to renew, found none held.")
            try:
                self._write(held.generation, acquired_at=held.lease.acquired_at)
            except PreconditionFailedError:
                self._write(self._adopt(), acquired_at=held.lease.acquired_at)

    def release(self) -> None:
        """Stop renewing and give the lease back, so that a successor need not wait.

        Without effect if it is not held or was lost.

        Raises:
            StorageError: the bucket did not answer; the lease then expires by itself.
        """
        self._stop_renewing()
        with self._writing:
            held, self._held = self._held, None
            if held is None or self._lost:
                return
            gone = encode(replace(held.lease, released=True))
            try:
                self._store.write(self._name, gone, if_generation=held.generation)
            except PreconditionFailedError:
                try:
                    self._store.write(self._name, gone, if_generation=self._adopt())
                except LeaseLostError as error:
                    _log.info("lease was not there to be released: %s", error)

    def start_renewing(self) -> None:
        """Renew in the background, each quarter of the time to live, until released."""
        self._thread = threading.Thread(target=self._keep_renewing, name="lease", daemon=True)
        self._thread.start()

    def _keep_renewing(self) -> None:
        wait_s = self._clock.wait_s(self._ttl_s / _RENEWALS_PER_TTL)
        while not self._closing.wait(wait_s):
            try:
                self.renew()
            except LeaseLostError as error:
                _log.error("lease lost, training stops: %s", error, extra={"event": "lease_lost"})
                return
            except (StorageError, DocumentError) as error:
                _log.warning(
                    "lease not renewed, trying again: %s",
                    error,
                    extra={"event": "lease_unreachable"},
                )

    def _stop_renewing(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    def _adopt(self) -> int:
        """Return the generation of the lease in the bucket if it is still this holder's."""
        lease, generation = self._read()
        if lease is not None and lease.holder == self._holder and not lease.released:
            return generation
        found = "none" if lease is None else f"{lease.holder} (incarnation {lease.incarnation})"
        self._lost = f"expected {self._holder} to hold {self._name}, found {found}."
        raise LeaseLostError(self._lost)

    def _check_incarnation(self, lease: Lease) -> None:
        if lease.incarnation > self._incarnation:
            self._lost = (
                f"expected no incarnation above {self._incarnation} in {self._name}, found"
                f" {lease.incarnation} ({lease.holder}): this VM was superseded."
            )
            raise LeaseLostError(self._lost)

    def _read(self) -> tuple[Lease | None, int]:
        try:
            blob = self._store.read(self._name)
        except BlobNotFoundError:
            return None, 0
        return decode(Lease, blob.data, name=self._name), blob.generation

    def _write(self, generation: int, *, acquired_at: datetime | None) -> None:
        # Both clocks are read before the write: however long it takes, the belief is older.
        now, monotonic_s = self._clock.now(), self._monotonic()
        lease = Lease(
            job_id=self._job_id,
            holder=self._holder,
            incarnation=self._incarnation,
            acquired_at=acquired_at or now,
            expires_at=now + timedelta(seconds=self._ttl_s),
        )
        written = self._store.write(self._name, encode(lease), if_generation=generation)
        sure_s = self._ttl_s - self._margin_s
        self._held = _Held(
            lease=lease,
            generation=written,
            sure_until=now + timedelta(seconds=sure_s),
            sure_until_monotonic_s=monotonic_s + self._clock.wait_s(sure_s),
        )
