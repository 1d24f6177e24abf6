"""Runs all checks and prints what they found."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from functions.cli.doctor import here
from functions.cli.doctor.findings import Check, Finding, Verdict, run_all, skipped
from functions.cli.doctor.google import Deployment, check_clock, check_credentials
from functions.cli.exits import Exit
from functions.cli.strip import look_of

_SIGNS = {
    Verdict.GOOD: ("✓", "ok", "green"),
    Verdict.WARNING: ("!", "! ", "yellow"),
    Verdict.BAD: ("✗", "X ", "bold red"),
    Verdict.SKIPPED: ("-", "- ", "dim"),
}
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT_S = 10.0


def run(
    *, bucket: str | None, project: str | None, location: str | None, offline: bool, as_json: bool
) -> None:
    """Look at everything, and end with exit code 1 if something is bad."""
    checks = [
        ("python", here.check_python),
        ("packages", here.check_packages),
        ("settings", here.check_settings),
        ("key here", here.check_key),
        *_of_bucket(bucket, offline=offline),
        *_of_google(bucket, project, location, offline=offline),
    ]
    with Console(stderr=True).status("looking ..."):
        findings = run_all(checks)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in findings], indent=1))
    else:
        _print(findings)
    if any(each.verdict is Verdict.BAD for each in findings):
        raise typer.Exit(Exit.NO)


def _of_bucket(bucket: str | None, *, offline: bool) -> list[tuple[str, Check]]:
    from functions.cli.doctor.bucket import check_bucket, check_forecast  # noqa: PLC0415 - numpy

    if bucket is None:
        mend = "smartscheduler doctor --bucket URL"
        return [("bucket", lambda: skipped("bucket", "no bucket is set", mend))]
    if offline and not bucket.startswith("file://"):
        return [("bucket", lambda: skipped("bucket", "--offline"))]
    return [
        ("bucket", lambda: check_bucket(bucket)),
        ("forecast", lambda: check_forecast(bucket)),
    ]


def _of_google(
    bucket: str | None, project: str | None, location: str | None, *, offline: bool
) -> list[tuple[str, Check]]:
    if offline or (bucket is not None and bucket.startswith("file://") and project is None):
        why = "--offline" if offline else "the bucket is a folder, and no project is set"
        return [("Google Cloud", lambda: skipped("Google Cloud", why))]
    clock: list[tuple[str, Check]] = [("clock", lambda: check_clock(_plain_get))]
    credentials: list[tuple[str, Check]] = [("credentials", lambda: check_credentials(_session))]
    if project is None:
        mend = "smartscheduler doctor --project ID"
        rest: list[tuple[str, Check]] = [
            ("deployment", lambda: skipped("deployment", "no project is set", mend))
        ]
        return clock + credentials + rest
    deployment = Deployment(project=project, location=location, get=_authorised_get)
    return clock + credentials + deployment.checks()


def _plain_get(url: str) -> Any:  # noqa: ANN401 - an answer of requests
    import requests  # noqa: PLC0415 - slow import

    return requests.head(url, timeout=_TIMEOUT_S)


def _authorised_get(url: str) -> Any:  # noqa: ANN401 - an answer of requests
    return _session().get(url, timeout=_TIMEOUT_S)


@lru_cache(maxsize=1)
def _session() -> Any:  # noqa: ANN401 - of google.auth
    """Return a session with fresh credentials; raises what google.auth raises."""
    import google.auth  # noqa: PLC0415 - slow import
    from google.auth.transport import requests as transport  # noqa: PLC0415

    untyped: Any = transport
    credentials: Any = google.auth.default(scopes=[_SCOPE])[0]
    credentials.refresh(untyped.Request())
    return untyped.AuthorizedSession(credentials)


def _print(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False)
    look = look_of(console)
    for each in findings:
        sign, plain, style = _SIGNS[each.verdict]
        line = Text()
        line.append(f"{plain if look.ascii_only else sign} ", style if look.colour else "")
        line.append(f"{each.check}: ", "bold" if look.colour else "")
        line.append(each.found)
        console.print(line, soft_wrap=True)
        if each.mend:
            console.print(
                Text(f"    {'->' if look.ascii_only else '→'} {each.mend}"), soft_wrap=True
            )
    count = sum(each.verdict is Verdict.BAD for each in findings)
    console.print(Text("Nothing is wrong." if not count else f"{count} to mend."))
