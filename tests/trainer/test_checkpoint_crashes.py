"""Whatever crashes, races or is superseded, LATEST is whole and no committed checkpoint is lost."""

import hashlib
import itertools
from collections.abc import Callable

from fake_session import FaultyStore, KilledError, SteppingClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from memory_blobs import MemoryBlobStore

from vm_runtime.checkpoint import Checkpoints, CheckpointWriteError
from vm_runtime.checkpoint_objects import Content
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.codec import decode
from vm_runtime.session import LeaseLostError
from vm_runtime.storage.port import StorageError, StorageUnavailableError

LATEST = object_names.latest("job")
MOST_OPERATIONS = 14
"""A commit of two files that prunes has about as many."""

Fault = Callable[[int, str, str], BaseException | None]


class ObservedStore(MemoryBlobStore):
    """Remembers each checkpoint that LATEST has named, in order."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.committed: list[Latest] = []

    @property
    def newest(self) -> str | None:
        """The last one."""
        return self.committed[-1].checkpoint_id if self.committed else None

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Write, and remember."""
        generation = super().write(name, data, if_generation=if_generation)
        if name == LATEST:
            latest = decode(Latest, data, name=name)
            if latest.checkpoint_id not in {None, self.newest}:
                assert latest.checkpoint_id not in {each.checkpoint_id for each in self.committed}
                self.committed.append(latest)
        return generation


def no_fault(number: int, verb: str, name: str) -> None:
    """Let everything work."""
    del number, verb, name


class Writers(RuleBasedStateMachine):
    """VMs of growing incarnations, of which any may still be alive and write."""

    def __init__(self) -> None:
        """Begin with an empty bucket."""
        super().__init__()
        self.store = ObservedStore()
        self.faults: list[Fault] = []
        self.alive: list[tuple[Checkpoints, FaultyStore]] = []
        self.incarnation = 0
        self.raced = False

    def _call(self, faulty: FaultyStore, fault: Fault, act: Callable[[], object]) -> bool:
        """Act with a fault; return whether it went well."""
        start = len(faulty.operations)
        faulty._fails = lambda number, verb, name: fault(number - start, verb, name)  # noqa: SLF001
        try:
            act()
        except (LeaseLostError, CheckpointWriteError, StorageError, KilledError):
            return False
        finally:
            faulty._fails = no_fault  # noqa: SLF001
        return True

    def _commit(self, index: int, fault: Fault, delta: int) -> None:
        if not self.alive:
            return
        writer, faulty = self.alive[index % len(self.alive)]
        step = writer.latest.step + delta
        payload: dict[str, Content] = {
            "a": lambda stream: stream.write(b"%d by %d" % (step, id(writer))),
            "b": lambda stream: [stream.write(b"x"), stream.write(bytes(step))],
        }
        self._call(
            faulty,
            fault,
            lambda: writer.commit(step, payload, finished=False, weights_sha256="0" * 64),
        )

    @rule(restarted=st.booleans(), at=st.integers(0, 8), kills=st.booleans())
    def start(self, *, restarted: bool, at: int, kills: bool) -> None:
        """A VM takes over: a new one, or the same again after a restart; it may be killed."""
        self.incarnation += not restarted or self.incarnation == 0
        faulty = FaultyStore(self.store, fails=no_fault)
        writer = Checkpoints(faulty, "job", self.incarnation, SteppingClock(), sleep=lambda _: None)
        fault = _raise_at(at, KilledError()) if kills else no_fault
        if self._call(faulty, fault, writer.take_over):
            self.alive.append((writer, faulty))

    @rule(index=st.integers(0, 5), delta=st.integers(0, 3))
    def commit(self, index: int, delta: int) -> None:
        """Some VM, the rightful one or a zombie, commits undisturbed."""
        self._commit(index, no_fault, delta)

    @rule(
        index=st.integers(0, 5),
        at=st.integers(0, MOST_OPERATIONS),
        lands=st.booleans(),
        killed=st.booleans(),
    )
    def crash(self, index: int, at: int, *, lands: bool, killed: bool) -> None:
        """It is killed at an operation, or the bucket does not answer from then on."""
        if not self.alive:
            return
        faulty = self.alive[index % len(self.alive)][1]
        faulty._lands = lands  # noqa: SLF001
        error = KilledError() if killed else StorageUnavailableError("no answer")
        self._commit(index, _raise_at(at, error, for_ever=not killed), 1)
        faulty._lands = False  # noqa: SLF001
        if killed:
            del self.alive[index % len(self.alive)]

    @rule(
        index=st.integers(0, 5),
        rival=st.integers(0, 5),
        at=st.integers(0, MOST_OPERATIONS),
        takes_over=st.booleans(),
    )
    def race(self, index: int, rival: int, at: int, *, takes_over: bool) -> None:
        """Between two operations of one, another commits, perhaps after taking over."""

        def fault(number: int, verb: str, name: str) -> None:
            del verb, name
            if number == at:
                if takes_over:
                    self.start(restarted=False, at=0, kills=False)
                self._commit(len(self.alive) - 1 if takes_over else rival, no_fault, 1)

        if (
            self.alive
            and self.alive[index % len(self.alive)] is not self.alive[rival % len(self.alive)]
        ):
            self.raced = True
            self._commit(index, fault, 1)

    @invariant()
    def latest_is_whole(self) -> None:
        """What LATEST names can be restored, to the byte, and so can another one."""
        for checkpoint_id in self._ids():
            # Of two that write at once, the rightful one clears away what the other has begun.
            if self.store.list(object_names.manifest("job", checkpoint_id)) and not self.raced:
                assert self._is_whole(checkpoint_id), "expected the payload before its manifest"
        committed = self.store.committed
        if not committed:
            return
        latest = decode(Latest, self.store.read(LATEST).data, name=LATEST)
        assert latest.checkpoint_id == committed[-1].checkpoint_id
        assert self._is_whole(str(latest.checkpoint_id))
        assert all(a.incarnation <= b.incarnation for a, b in itertools.pairwise(committed))
        if len(committed) > 1:
            others = [each for each in self._ids() if each != latest.checkpoint_id]
            assert any(self._is_whole(each) for each in others), "expected a second one"
        successor = Checkpoints(self.store, "job", 10**6 - 1, SteppingClock())
        successor._latest = latest  # noqa: SLF001 - taking over would end the others' chances
        with successor.restore() as restored:
            assert restored is not None
            assert restored.manifest.checkpoint_id == latest.checkpoint_id

    def _ids(self) -> set[str]:
        folder = object_names.checkpoints_folder("job")
        names = [info.name.removeprefix(folder) for info in self.store.list(folder)]
        return {name.split("/")[0] for name in names if "/" in name}

    def _is_whole(self, checkpoint_id: str) -> bool:
        name = object_names.manifest("job", checkpoint_id)
        folder = object_names.checkpoint_folder("job", checkpoint_id)
        try:
            manifest = decode(CheckpointManifest, self.store.read(name).data, name=name)
            found = [self.store.read(folder + file.name).data for file in manifest.files]
        except StorageError:
            return False
        return [hashlib.sha256(data).hexdigest() for data in found] == [
            file.sha256 for file in manifest.files
        ]


def _raise_at(at: int, error: BaseException, *, for_ever: bool = False) -> Fault:
    def fault(number: int, verb: str, name: str) -> BaseException | None:
        del verb, name
        return error if number == at or (for_ever and number > at) else None

    return fault


TestWriters = Writers.TestCase
TestWriters.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
