"""Program of every child process: import ahead, wait for orders, run a Python program.

Run by path, and it must know nothing of this project: importing torch takes 3 to 4 real
seconds, an hour and more of simulated time, so it happens before a VM is asked for.

    python -P standby_program.py NICENESS MODULE...

Standard input has one JSON line (`env`, `cwd`, `log`, `argv`) and then stays open for as
long as the parent lives; at its end the whole process group is killed, so nothing is left
behind even by a parent that got SIGKILL. It must be the leader of its process group.
"""

import atexit
import importlib
import json
import os
import queue
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

READY = b"ready\n"
"""Written to standard output once everything is imported."""


def watch(pipe: int, orders: "queue.SimpleQueue[bytes]") -> None:
    """Hand over the first line of `pipe`; kill the process group when it ends."""
    text = b""
    while chunk := os.read(pipe, 65536):
        text += chunk
        if text.endswith(b"\n"):
            orders.put(text)
    os.killpg(0, signal.SIGKILL)


def import_if_installed(name: str) -> None:
    """Import `name`; only its own absence is fine, an error inside it is not."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise


def run(order: dict[str, Any]) -> None:
    """Become the program that `order` asks for, with its environment, folder and log file."""
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    argv = order["argv"]
    if argv[0] == "-m":
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = argv
        runpy.run_path(argv[0], run_name="__main__")


def end(program: Callable[[dict[str, Any]], None], order: dict[str, Any]) -> NoReturn:
    """Run `program` and exit as Python does, but without taking torch apart.

    Clearing some thousand modules takes seconds on a busy machine: the VM would seem to be up
    for many simulated minutes after its work. `multiprocessing` ends its children so, too.
    """
    code = 0
    try:
        program(order)
    except SystemExit as request:
        is_text = request.code is not None and not isinstance(request.code, int)
        if is_text:
            sys.stderr.write(f"{request.code}\n")
        code = 1 if is_text else int(request.code or 0)
    except BaseException:  # noqa: BLE001 - as the interpreter itself does at the top
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - as multiprocessing does
    atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing does
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF)


def main() -> None:
    """Import, wait, run."""
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=watch, args=(pipe, orders), name="parent-watch", daemon=True).start()
    os.nice(int(sys.argv[1]))
    for name in sys.argv[2:]:
        import_if_installed(name)
    os.write(1, READY)
    end(run, json.loads(orders.get()))


if __name__ == "__main__":
    main()
