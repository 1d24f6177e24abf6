"""Interpreters that stand by: they start what they are told, and die with their parent."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from local_world import is_alive
from waiting import until

from functions.local.standby import Child, Order, StandbyPool, child_environment

ECHO = """
import json, os, sys
print(json.dumps({
    "argv": sys.argv, "cwd": os.getcwd(), "seen": os.environ.get("SEEN"), "name": __name__,
    "has_colorsys": "colorsys" in sys.modules,
    "has_ours": any(name.startswith(("vm_runtime", "functions")) for name in sys.modules),
}))
sys.exit(5)
"""


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """An order to run a script that says what it sees."""
    script = tmp_path / "echo.py"
    script.write_text(ECHO)
    return Order(
        env=child_environment() | {"SEEN": "yes"},
        cwd=str(tmp_path),
        log=str(tmp_path / "echo.log"),
        argv=(str(script), "--flag"),
    )


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[StandbyPool]:
    """A pool of one that has imported a module that nobody else imports."""
    pool = StandbyPool(
        size=1, modules=("colorsys", "not_installed.anywhere"), log=tmp_path / "standby.log"
    )
    pool.fill(timeout_s=20)
    yield pool
    pool.close()


def launched(pool: StandbyPool, order: Order) -> Child:
    """Ask until a standby is ready."""
    child = until(lambda: pool.launch(order))
    assert child is not None
    return child


def finished(child: Child) -> int:
    """Wait for a child's end and return its exit code."""
    until(lambda: child.exit_code is not None)
    code = child.exit_code
    child.close()
    assert code is not None
    return code


def test_order_runs_with_all_that_was_imported(
    pool: StandbyPool, order: Order, tmp_path: Path
) -> None:
    """The program runs as __main__ with its arguments, folder, environment, log and imports."""
    assert finished(launched(pool, order)) == 5
    said = (tmp_path / "echo.log").read_text()
    assert f'"argv": ["{tmp_path}/echo.py", "--flag"], "cwd": "{tmp_path}"' in said
    assert '"seen": "yes", "name": "__main__"' in said
    assert '"has_colorsys": true, "has_ours": false' in said


def test_module_runs_as_main(pool: StandbyPool, order: Order, tmp_path: Path) -> None:
    """`-m MODULE` runs a module as `python -m` does."""
    child = launched(pool, replace(order, argv=("-m", "json.tool", "--help")))
    assert finished(child) == 0
    assert "usage" in (tmp_path / "echo.log").read_text()


@pytest.mark.parametrize(
    ("last", "code", "text"),
    [
        ("pass", 0, "bye"),
        ("sys.exit()", 0, "bye"),
        ("sys.exit(75)", 75, "bye"),
        ("sys.exit('no disk')", 1, "no disk"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()", 0, "late"),
    ],
)
def test_end_is_that_of_python(
    order: Order, tmp_path: Path, last: str, code: int, text: str
) -> None:
    """Exit code, traceback, other threads and exit handlers are as without a standby."""
    script = tmp_path / "echo.py"
    script.write_text(
        f"import atexit, sys, threading, time\natexit.register(print, 'bye')\n{last}\n"
    )
    pool = StandbyPool(size=0, modules=(), log=tmp_path / "standby.log")
    assert finished(launched(pool, order)) == code
    log = (tmp_path / "echo.log").read_text()
    assert text in log
    assert "bye" in log


def test_pool_refills_itself(pool: StandbyPool, order: Order, tmp_path: Path) -> None:
    """Each start finds a standby, the second as the first."""
    assert [finished(launched(pool, order)), finished(launched(pool, order))] == [5, 5]
    assert (tmp_path / "echo.log").read_text().count('"has_colorsys": true') == 2


def test_half_made_standby_is_not_given_away(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While all standbys still import, an order waits instead of taking one of them."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "slow_module.py").write_text("import time; time.sleep(0.5)")
    pool = StandbyPool(size=1, modules=("slow_module",), log=tmp_path / "standby.log")
    pool.spawn()
    before = pool.pids
    assert pool.launch(order) is None
    assert pool.pids == before
    child = launched(pool, order)
    assert child.pid == before[0]
    assert finished(child) == 5
    pool.close()


def test_without_a_pool_the_start_is_plain(order: Order, tmp_path: Path) -> None:
    """A pool of none starts a fresh interpreter."""
    pool = StandbyPool(size=0, modules=("colorsys",), log=tmp_path / "standby.log")
    assert finished(launched(pool, order)) == 5
    assert '"has_colorsys": false' in (tmp_path / "echo.log").read_text()


def test_dead_standby_is_passed_over(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby whose imports failed is replaced, and its error is in the log."""
    (tmp_path / "broken_module.py").write_text("raise ValueError('broken on purpose')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pool = StandbyPool(size=1, modules=("broken_module",), log=tmp_path / "standby.log")
    pool.fill(timeout_s=20)
    until(lambda: "broken on purpose" in (tmp_path / "standby.log").read_text())
    assert finished(launched(pool, order)) == 5
    pool.close()


def test_sigterm_before_the_order_ends_it(tmp_path: Path) -> None:
    """SIGTERM before the runtime has its handler simply ends the process."""
    child = Child((), log=tmp_path / "standby.log")
    assert child.wait_ready(20)
    child.terminate()
    assert finished(child) == -signal.SIGTERM


def test_close_ends_all(tmp_path: Path) -> None:
    """A closed pool leaves no process."""
    pool = StandbyPool(size=2, modules=(), log=tmp_path / "standby.log")
    pool.fill(timeout_s=20)
    pids = pool.pids
    assert len(pids) == 2
    assert all(map(is_alive, pids))
    pool.close()
    assert not any(map(is_alive, pids))


def test_children_die_with_a_killed_parent(tmp_path: Path) -> None:
    """After kill -9 of the parent neither standby nor guest nor its worker is left."""
    parent = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", PARENT.format(folder=str(tmp_path))],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    worker = tmp_path / "worker"
    until(lambda: worker.exists() and worker.read_text())
    pids.append(int(worker.read_text()))
    assert all(map(is_alive, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not any(map(is_alive, pids)))


PARENT = """
import time
from pathlib import Path
from functions.local.standby import Child, Order, child_environment
folder = Path({folder!r})
script = folder / "guest.py"
script.write_text(
    "import pathlib, subprocess, sys, time\\n"
    "worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\\n"
    "pathlib.Path('worker').write_text(str(worker.pid))\\n"
    "time.sleep(600)\\n"
)
guest, idle = (Child((), log=folder / "standby.log") for _ in range(2))
guest.start(Order(env=child_environment(), cwd=str(folder), log=str(folder / "log"),
                  argv=(str(script),)))
print(guest.pid, idle.pid, flush=True)
time.sleep(600)
"""
