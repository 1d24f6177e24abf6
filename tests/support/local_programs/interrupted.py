"""Runs a training script in a job, in one process after the other, each ended in its own way.

Reads scenarios from standard input as JSON: `{"name", "stays": [[how, at, workers], ...]}`, and
writes each job into the folder given. The processes are forked from one that has imported torch:
cheap, but each is one of its own, with its own signals, session, lease and loaders.
"""

import json
import os
import sys
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import tiny_training  # noqa: F401  imported once, here, for all processes

from vm_runtime.launch import LocalRun, run_locally

SCRIPT = '''
import os, pathlib, random, signal, sys, time
import torch
from tiny_training import Average, tiny_trainer

how, at, workers, seen = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

class End:
    """Ends the process at the given count of batches, of training and validation."""
    count = 0
    def tick(self):
        End.count += 1
        if End.count == at and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if End.count == at and how in ("term", "twice"):
            os.kill(os.getpid(), signal.SIGTERM)
            if how == "twice":
                os.kill(os.getpid(), signal.SIGTERM)
        if how == "until":
            time.sleep(0.1)

def spread(outputs, targets):
    End().tick()  # in mid-validation
    return outputs.max() - outputs.min()

class Tick:
    def on_batch_end(self, loss):
        End().tick()  # within an optimizer step, before the next look
    def on_checkpoint(self, step):
        if how == "kill at checkpoint":
            os.kill(os.getpid(), signal.SIGKILL)

# Other first weights than before, as soon as there is something to restore.
checkpoints = pathlib.Path(seen).with_suffix("").glob("jobs/tiny/checkpoints/*/manifest.json")
init = random.SystemRandom().randint(1, 1000) if any(checkpoints) else 0

order = []
trainer = tiny_trainer(
    init=init, seen=order, metrics={"spread": spread}, num_workers=workers, accumulate=2,
    callbacks=[Average(), Tick()], checkpoint_every_s=None, checkpoint_in_background=True,
)
try:
    trainer.fit()
finally:
    with open(seen, "a") as file:
        file.write(" ".join(map(str, order)) + "\\n")
'''


def stay(folder: Path, name: str, how: str, at: int, workers: int) -> int:
    """Run the script once, in a process of its own; return its exit code, or minus its signal."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        script = folder / "train.py"
        now = datetime.now(UTC)
        run = LocalRun(
            script=script,
            args=[how, str(at), str(workers), str(folder / f"{name}.seen")],
            folder=folder / name,
            job_id="tiny",
            until=now + timedelta(seconds=at) if how == "until" else None,
            power_w=100.0,
        )
        code = run_locally(run, os.environ)
    except BaseException:  # noqa: BLE001  a fork must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Run all scenarios and print how each stay ended."""
    folder = Path(sys.argv[1])
    (folder / "train.py").write_text(SCRIPT)
    endings = {
        scenario["name"]: [
            stay(folder, scenario["name"], how, at, workers)
            for how, at, workers in scenario["stays"]
        ]
        for scenario in json.load(sys.stdin)
    }
    sys.stdout.write(json.dumps(endings))


if __name__ == "__main__":
    main()
