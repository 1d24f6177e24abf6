"""What holds for every command: help, defaults, settings, errors, exit codes, completion."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
from sample_job import finished_job, put_job
from typer.testing import CliRunner, Result

from functions.cli import app
from functions.cli.config import FileDefaults, config_files, read_config, value_of
from functions.cli.exits import Exit, explain
from functions.cli.forecaster import SUMMARIES
from functions.cli.options import complete_grid_zone, complete_job, complete_region
from functions.errors import (
    InvalidInputError,
    PermissionDeniedError,
    QuotaExceededError,
    UnavailableError,
)
from vm_runtime.storage import open_store
from vm_runtime.storage.port import StorageDeniedError, StorageUnavailableError

OURS = {
    name: command
    for name, command in typer.main.get_group(app).commands.items()
    if name != "forecaster"  # has tests of its own
}


@pytest.fixture(autouse=True)
def nobody_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    for name in ("BUCKET", "PROJECT", "LOCATION"):
        monkeypatch.delenv(f"SMARTSCHEDULER_{name}", raising=False)


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    """Return the URL of a bucket with one finished job."""
    url = (tmp_path / "bucket").as_uri()
    put_job(open_store(url), finished_job())
    return url


def run(*arguments: object, **settings: Any) -> Result:  # noqa: ANN401 - of click's runner
    """Return the outcome of one call."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **settings)


def parameters() -> Iterator[tuple[str, Any]]:
    """Yield each argument and option of each command with the command's name."""
    for name, command in OURS.items():
        for parameter in command.params:
            yield name, parameter


def test_every_command_and_flag_has_a_help() -> None:
    """`--help` leaves nothing unexplained."""
    silent = [f"{name} {p.name}" for name, p in parameters() if not getattr(p, "help", "")]

    assert silent == []
    assert [name for name, command in OURS.items() if not command.help] == []


def test_every_flag_with_a_value_shows_its_default() -> None:
    """Who reads `--help` knows what happens without the flag."""
    silent = []
    for name, command in OURS.items():
        text = run(name, "--help", terminal_width=300).stdout
        for parameter in command.params:
            if parameter.param_type_name != "option" or parameter.is_flag:
                continue
            line = next(line for line in text.splitlines() if parameter.opts[0] in line.split())
            if "default: " not in line and "required]" not in line:
                silent.append(f"{name} {parameter.opts[0]}")

    assert silent == []


def test_every_number_says_its_unit() -> None:
    """A number without a unit is a trap."""
    units = ("seconds", "hours", "Jobs", "Seed", "gCO2eq/kWh", "How often")
    found = {}
    for info in app.registered_commands:
        assert info.callback
        for name, hint in get_type_hints(info.callback, include_extras=True).items():
            base, *extras = get_args(hint) or (hint,)
            if extras and base in {int, float}:
                found[f"{info.callback.__name__} {name}"] = extras[0].help

    assert len(found) >= 7
    assert [name for name, text in found.items() if not any(u in text for u in units)] == []


def test_help_of_no_command_loads_what_it_does_not_need() -> None:
    """Neither numpy nor any part of the product is loaded for any `--help`."""
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom functions.cli import app\n"
        f"for name in {sorted(OURS)}:\n"
        "    assert CliRunner().invoke(app, [name, '--help']).exit_code == 0, name\n"
        "heavy = ('numpy', 'torch', 'functions.domain', 'vm_runtime', 'forecaster', 'jinja2')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    found = subprocess.run(  # noqa: S603 - this interpreter, our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert found.strip() == "[]"


@pytest.mark.parametrize("width", [80, 40])
def test_help_fits_the_terminal(width: int) -> None:
    """Nothing sticks out of 80 columns, nor out of a narrow window but for single words."""
    for name in OURS:
        text = run(name, "--help", terminal_width=width).stdout

        assert max(map(len, text.splitlines())) <= 80


def test_root_help_has_every_command_once() -> None:
    """No command is missing from the sections."""
    lines = run("--help").stdout.splitlines()
    begins = [line.split()[0] for line in lines if line.startswith("  ") and line.split()]

    assert [begins.count(name) for name in OURS] == [1] * len(OURS)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInputError("x"), Exit.INPUT),
        (QuotaExceededError("x"), Exit.INPUT),
        (PermissionDeniedError("x"), Exit.DENIED),
        (StorageDeniedError("x"), Exit.DENIED),
        (UnavailableError("x"), Exit.LATER),
        (StorageUnavailableError("x"), Exit.LATER),
        (ZeroDivisionError("x"), Exit.BUG),
    ],
)
def test_exit_code_tells_what_to_do(error: Exception, code: Exit) -> None:
    """A script can tell a typo from missing rights, from a service that is down, from our bug."""
    text, found = explain(error)

    assert found is code
    assert "\n" not in text


def test_missing_credentials_name_the_command_that_gives_them() -> None:
    """What google.auth raises is told with what to do."""
    auth = pytest.importorskip("google.auth.exceptions", reason="needs the extra `functions`")
    text, code = explain(auth.DefaultCredentialsError("none found."))

    assert code is Exit.DENIED
    assert "gcloud auth application-default login" in text


def test_exit_codes_are_documented() -> None:
    """`--help` and the guide name every code."""
    text = " ".join(run("--help").stdout.split())
    guide = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")

    for code in Exit:
        assert f"{code.value} " in text
        assert f"| {code.value} |" in guide


def test_typo_in_a_command_gets_a_guess() -> None:
    """`statsu` is probably `status`."""
    done = run("statsu")

    assert done.exit_code == 2
    assert "Did you mean 'status'?" in done.stderr


def test_typo_in_a_job_gets_a_guess(bucket: str) -> None:
    """The near name is told, and what there is."""
    done = run("status", "digit", "--bucket", bucket)

    assert done.exit_code == 2
    assert "did you mean digits?" in done.stderr


@pytest.mark.parametrize("command", ["forecast", "sources"])
@pytest.mark.parametrize(("typed", "meant"), [("FRR", "FR"), ("ca-no", "CA-ON")])
def test_typo_in_a_grid_zone_gets_a_guess(
    command: str, typed: str, meant: str, bucket: str
) -> None:
    """Case does not matter; a wrong letter gets a guess."""
    more = ("--bucket", bucket) if command == "forecast" else ()
    done = run(command, typed, *more)

    assert done.exit_code == 2
    assert f"(did you mean {meant}?)" in done.stderr


def test_order_of_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    """A flag beats the environment, that the folder's file, that the user's own file."""
    here, home = config_files()
    home.parent.mkdir(parents=True)
    home.write_text(f'bucket = "{bucket}"\nproject = "home"\n')

    assert "digits" in run("list").stdout
    assert value_of("project").value == "home"

    here.write_text(f'bucket = "{(tmp_path / "empty").as_uri()}"\n')
    (tmp_path / "empty").mkdir()

    assert "digits" not in run("list").stdout

    monkeypatch.setenv("SMARTSCHEDULER_BUCKET", bucket)

    assert "digits" in run("list").stdout
    assert "digits" not in run("list", "--bucket", (tmp_path / "empty").as_uri()).stdout


def test_config_shows_where_each_value_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody has to guess which file or variable it was."""
    Path("smartscheduler.toml").write_text('project = "mine"\r\n', newline="")
    monkeypatch.setenv("SMARTSCHEDULER_BUCKET", "gs://b")
    found = json.loads(run("config", "--json").stdout)

    assert found["bucket"] == {"value": "gs://b", "origin": "environment SMARTSCHEDULER_BUCKET"}
    assert found["project"] == {"value": "mine", "origin": "file smartscheduler.toml"}
    assert found["location"] == {"value": None, "origin": "not set"}
    assert "SMARTSCHEDULER_BUCKET" in run("config").stdout


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bucket = ", "expected TOML"),
        ("buckets = 'gs://b'", "(did you mean bucket?)"),
        ("bucket = 3", "expected a text in quotes for bucket"),
        ("bucket = ''", "expected a text in quotes for bucket"),
    ],
)
def test_half_written_settings_are_told_but_do_not_stop_help(text: str, told: str) -> None:
    """The file is named with what to do; `--help` works all the same."""
    Path("smartscheduler.toml").write_text(text)
    done = run("list")

    assert done.exit_code == 2
    assert done.stderr.startswith("error: smartscheduler.toml: ")
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert run("list", "--help").exit_code == 0


def test_settings_file_that_is_no_text_is_told() -> None:
    """Bytes that are no UTF-8 are a person's mistake, not ours."""
    Path("smartscheduler.toml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(InvalidInputError, match="TOML in UTF-8"):
        read_config(Path("smartscheduler.toml"))


def test_defaults_are_read_only_when_asked_for() -> None:
    """A wrong file harms no command that needs none of it."""
    Path("smartscheduler.toml").write_text("nonsense")
    defaults = FileDefaults().get("simulate")

    assert defaults.get("as_json") is None
    assert defaults.get("forecast") is None
    with pytest.raises(InvalidInputError):
        defaults.get("bucket")()


def test_shell_completes_jobs_zones_and_regions(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names come from where they are; without a bucket there are none, and no error."""
    context = typer.Context(typer.main.get_group(app))

    assert complete_job(context, "") == []
    monkeypatch.setenv("SMARTSCHEDULER_BUCKET", bucket)
    assert complete_job(context, "dig") == ["digits"]
    assert complete_job(context, "x") == []
    assert complete_grid_zone("c") == ["CA-ON", "CH", "CA-QC"]
    assert "europe-west3" in complete_region("europe-w")


def test_bash_asks_the_program_for_completions(bucket: str) -> None:
    """The whole way, as bash takes it."""
    environment = os.environ | {
        "_SMARTSCHEDULER_COMPLETE": "complete_bash",
        "COMP_WORDS": "smartscheduler status d",
        "COMP_CWORD": "2",
        "SMARTSCHEDULER_BUCKET": bucket,
    }
    found = subprocess.run(
        [sys.executable, "-c", "from functions.cli import app; app(prog_name='smartscheduler')"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.stdout.split() == ["digits"]


@pytest.mark.parametrize(
    "environment",
    [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}],
    ids=["NO_COLOR", "dumb", "ascii"],
)
def test_poor_terminals_get_plain_text(bucket: str, environment: dict[str, str]) -> None:
    """No escape sequence, nothing wider than 80 columns, nothing that cannot be encoded."""
    for command in (["status", "digits"], ["forecast"], ["list"]):
        done = subprocess.run(  # noqa: S603 - this interpreter, our own code
            [sys.executable, "-m", "functions.cli", *command, "--bucket", bucket],
            env=os.environ | environment | {"COLUMNS": "80"},
            capture_output=True,
            check=False,
        )
        text = done.stdout.decode("ascii" if "PYTHONIOENCODING" in environment else "utf-8")

        assert done.returncode == 0, done.stderr
        assert "\x1b" not in text
        assert max(len(line) for line in text.splitlines()[:12]) <= 80


def test_watch_that_is_no_terminal_prints_changes_until_the_end(bucket: str) -> None:
    """In a log file each state stands once, as one line of JSON."""
    done = run("status", "digits", "--bucket", bucket, "--watch", "--json")

    assert done.exit_code == 0
    assert [json.loads(line)["state"]["phase"] for line in done.stdout.splitlines()] == ["finished"]


def test_list_for_programs_has_states(bucket: str) -> None:
    """`list --json` is one document."""
    (job,) = json.loads(run("list", "--bucket", bucket, "--json").stdout)

    assert job["job_id"] == "digits"
    assert job["phase"] == job["state"]["phase"] == "finished"
    assert job["progress"]["steps_done"] == 480


def test_list_survives_a_job_that_cannot_be_read(bucket: str) -> None:
    """One broken document does not hide all other jobs."""
    open_store(bucket).write("jobs/broken/job.json", b"{}")
    open_store(bucket).write("jobs/broken/state.json", b"{")
    text = run("list", "--bucket", bucket).stdout

    assert "unreadable" in text
    assert "digits" in text


def test_interrupt_ends_as_shells_have_it(monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    """Ctrl-C is 130, without a traceback."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("functions.cli.list_jobs.show_jobs", interrupted)
    done = run("list", "--bucket", bucket)

    assert done.exit_code == Exit.INTERRUPTED
    assert "Traceback" not in done.output


def test_help_of_the_forecaster_says_what_its_commands_say() -> None:
    """What `--help` has without loading them is what they say themselves."""
    commands = typer.main.get_group(app).commands["forecaster"].commands
    found = {name: command.get_short_help_str(100) for name, command in commands.items()}

    assert found == SUMMARIES
    for name in SUMMARIES:
        assert name in run("forecaster", "--help").stdout
