"""A local training from its wish to its end: folder, source, loop, receipt and report."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from functions.cli.local.carbon import source_of
from functions.cli.local.folder import Folder, Saved
from functions.cli.local.run import Ended, Run, Watcher
from functions.cli.local.wanted import Wanted
from functions.cli.report import write_report
from functions.domain.accounting.document import Receipt
from functions.domain.lifecycle.state import Phase
from functions.errors import InvalidInputError

FINISHED, FAILED, INTERRUPTED, TERMINATED = 0, 1, 130, 143
"""Exit codes; 2 is a wish that cannot be met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a local training ended."""

    exit_code: int
    """0 finished, 1 failed, 130 interrupted by Ctrl-C, 143 by SIGTERM."""
    phase: Phase
    """`active` if there is more to do: run it again."""
    message: str
    """Why it failed, for a person; empty if it did not."""
    receipt: Receipt | None
    """What it emitted, against what; `None` while there is more to do."""
    report: Path | None
    """The report, if it could be written."""
    folder: Path
    """Where all of it is."""

    @property
    def finished(self) -> bool:
        """Whether all work is done."""
        return self.exit_code == FINISHED


def train(wanted: Wanted, folder: Folder, watcher: Watcher, *, restart: bool = False) -> Outcome:
    """Train in clean hours, or go on with it, until it is over or interrupted.

    Args:
        wanted: what.
        folder: where its state is kept.
        watcher: is shown how it goes.
        restart: whether to begin anew; what is in the folder is set aside, not deleted.

    Raises:
        SchedulerError: it cannot be done; the message says what to mend.
    """
    if restart and (folder.path / "local.json").exists():
        with folder.held():
            pass  # nobody may be training in what is set aside
        watcher.trouble(f"what was in {folder.path} is now in {folder.set_aside()}")
    with folder.held(), _logged(folder):
        before = folder.load()
        if before is not None:
            _check_same(before, wanted, folder)
            wanted = before.wanted
        source = source_of(wanted, folder.path)
        run = Run(folder=folder, wanted=wanted, source=source, watcher=watcher, before=before)
        ended = run.run()
        return _outcome(ended, folder, _report(ended, folder, watcher))


def _check_same(before: Saved, wanted: Wanted, folder: Folder) -> None:
    differences = before.wanted.differences(wanted)
    if differences:
        raise InvalidInputError(
            f"{folder.path}: expected the same command again, found another one"
            f" ({'; '.join(differences)}). Give another --dir for another training, or --restart"
            " to set what is there aside and begin anew."
        )


def _report(ended: Ended, folder: Folder, watcher: Watcher) -> Path | None:
    try:
        write_report(ended.documents, folder.report)
    except InvalidInputError as error:
        watcher.trouble(f"no report: {error}")
        return None
    return folder.report


def _outcome(ended: Ended, folder: Folder, report: Path | None) -> Outcome:
    if ended.stopped_by is not None:
        exit_code = 128 + ended.stopped_by
    else:
        exit_code = FINISHED if ended.phase is Phase.FINISHED else FAILED
    state = ended.documents.state
    return Outcome(
        exit_code=exit_code,
        phase=ended.phase,
        message=state.message if state and ended.phase is Phase.FAILED else "",
        receipt=ended.receipt if ended.phase.is_final else None,
        report=report,
        folder=folder.path,
    )


@contextmanager
def _logged(folder: Folder) -> Iterator[None]:
    """Write what the control plane decides, and why, to a file instead of the terminal."""
    logger = logging.getLogger("functions")
    handler = logging.FileHandler(folder.log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(level)
        logger.propagate = propagate
