"""Program between the runtime and a wrapped command: keeps it in a group that dies as a whole.

    python -I keeper.py COMMAND ARGUMENT...

It leads a process group of its own, starts the command in it and ends with its exit code, or
128 + N if signal N ended it. Standard input stays open for as long as the runtime lives: at its
end the whole group is killed, so nothing trains on though the runtime got SIGKILL. SIGTERM is
meant for the command: the keeper itself goes on until that has ended. Standard library only.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

NOT_FOUND = 127
"""As shells have it: there is no such command, or it cannot be run."""


def watch(pipe: int) -> None:
    """Kill the group at the end of `pipe`."""
    while os.read(pipe, 64):
        pass
    os.killpg(0, signal.SIGKILL)


def main(command: list[str]) -> int:
    """Run the command and return how it ended."""
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    # Not SIG_IGN: that would be inherited by the command.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    threading.Thread(target=watch, args=(pipe,), daemon=True).start()
    try:
        code = subprocess.call(command)  # noqa: S603 - what the user asked for, no shell
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return NOT_FOUND
    with suppress(ValueError):
        return 128 - code if code < 0 else code
    return 1


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
