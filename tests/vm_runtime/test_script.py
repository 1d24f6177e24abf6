"""How a script ends, and what is made of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from session_parts import JOB, OutageStore, Parts

from vm_runtime.contract.progress import RunState
from vm_runtime.script import ExitCode, download_source, run_script
from vm_runtime.session import StopReason, current_session
from vm_runtime.storage.port import StorageError

BEGIN = "from vm_runtime.session import current_session\nsession = current_session()\n"

BROKEN = {
    "raises": ("raise RuntimeError('no such layer')", "no such layer"),
    "does not compile": ("def (", "SyntaxError"),
    "misses a module": ("import no_such_module", "no_such_module"),
    "returns at once": ("x = 1", "without calling"),
    "exits": ("import sys\nsys.exit(3)", "exited with 3"),
    "exits with a message": ("import sys\nsys.exit('no data')", "no data"),
    "exits with a list": ("import sys\nsys.exit(['no', 'data'])", "'no', 'data'"),
    "raises in mid-training": (f"{BEGIN}session.begin()\n1 / 0\n", "ZeroDivisionError"),
    "leaves in mid-training": (f"{BEGIN}session.begin()\n", "returned in between"),
}

GOOD = {
    "finishes": ("session.end(finished=True, stopped_because=None)", ExitCode.FINISHED),
    "finishes and exits": (
        "session.end(finished=True, stopped_because=None)\nraise SystemExit(0)",
        ExitCode.FINISHED,
    ),
    "finishes, then raises": (
        "session.end(finished=True, stopped_because=None)\nraise ValueError",
        ExitCode.FINISHED,
    ),
    "stops": (
        "session.end(finished=False, stopped_because=session.stop_reason())",
        ExitCode.MORE_TO_DO,
    ),
}


@pytest.fixture
def parts() -> Iterator[Parts]:
    """A session that has started."""
    parts = Parts()
    parts.session.start()
    yield parts
    parts.session.leave("the test is over")


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_script_is_reported(parts: Parts, tmp_path: Path, case: str) -> None:
    """What is wrong and what to do stands in the progress, the ledger is closed, the lease free."""
    source, complaint = BROKEN[case]
    script = tmp_path / "train.py"
    script.write_text(source)
    assert run_script(parts.session, script, (), work_folder=tmp_path) is ExitCode.FAILED
    report = parts.progress()
    assert (report.state, report.failures_in_a_row) == (RunState.FAILED, 1)
    assert complaint in report.message
    assert "What to do" in report.message
    assert parts.ledger().ended_because == "failed"
    assert not parts.lease.held_surely(parts.session.clock.now())
    assert not parts.store.list("jobs/a/lease") or b'"released": true' in (
        parts.store.read("jobs/a/lease.json").data
    )


@pytest.mark.parametrize("case", GOOD)
def test_the_session_says_how_it_ended(parts: Parts, tmp_path: Path, case: str) -> None:
    """What the session was told counts, whatever the script does after."""
    ending, code = GOOD[case]
    script = tmp_path / "train.py"
    script.write_text(f"{BEGIN}session.begin()\n{ending}\n")
    assert run_script(parts.session, script, (), work_folder=tmp_path) is code
    assert current_session() is None


def test_a_script_that_is_stopped_while_waiting_has_more_to_do(
    parts: Parts, tmp_path: Path
) -> None:
    """Returning after `begin` gave a reason breaks no contract."""
    parts.stop.raise_flag(StopReason.SIGNAL)
    script = tmp_path / "train.py"
    script.write_text(f"{BEGIN}session.begin()\n")
    code = run_script(parts.session, script, (), work_folder=tmp_path)
    assert code is ExitCode.MORE_TO_DO
    assert parts.progress().state is RunState.STOPPED


def test_the_script_sees_its_arguments_and_its_folder(parts: Parts, tmp_path: Path) -> None:
    """Arguments, modules and files beside the script are where a script expects them."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "helper.py").write_text("WORD = 'seen'")
    script = tmp_path / "nets/train.py"
    script.write_text(
        f"import sys, helper\n{BEGIN}session.begin()\n"
        "import pathlib\npathlib.Path('out').write_text(helper.WORD + sys.argv[1])\n"
        "session.end(finished=True, stopped_because=None)"
    )
    run_script(parts.session, script, ("x",), work_folder=tmp_path)
    assert (tmp_path / "out").read_text() == "seenx"


def test_a_missing_script_is_reported(parts: Parts, tmp_path: Path) -> None:
    """The message names the file and what there is instead."""
    (tmp_path / "main.py").write_text("")
    code = run_script(parts.session, tmp_path / "train.py", (), work_folder=tmp_path)
    assert code is ExitCode.FAILED
    assert "train.py" in parts.progress().message
    assert "main.py" in parts.progress().message


def test_the_source_is_copied_with_its_folders(tmp_path: Path) -> None:
    """All files below the source folder arrive; the console's folder markers do not."""
    store = OutageStore()
    store.write("jobs/a/source/train.py", b"1")
    store.write("jobs/a/source/nets/cnn.py", b"2")
    store.write("jobs/ab/source/other.py", b"3")
    assert download_source(store, JOB, tmp_path) == ["nets/cnn.py", "train.py"]
    assert (tmp_path / "nets/cnn.py").read_bytes() == b"2"


def test_a_source_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    """No object name may write elsewhere on the machine."""

    class Evil(OutageStore):
        def list(self, prefix: str) -> list:
            return [type("Info", (), {"name": f"{prefix}../../evil"})]

    with pytest.raises(StorageError, match="expected an object name"):
        download_source(Evil(), JOB, tmp_path)
