"""Chromium as installed on this machine, driven by playwright; skipped by name where absent."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def needs_browser() -> None:
    """Skip the tests of a module where there is no browser to draw pages."""
    if CHROMIUM is None:
        pytest.skip("no chromium here to draw the page", allow_module_level=True)
    pytest.importorskip("playwright", reason="playwright is not installed to drive chromium")


@contextmanager
def running_chromium() -> Iterator[Any]:
    """Give a browser of playwright."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - where it is installed

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page that was opened, with all that it said and asked for."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:  # noqa: ANN401 - playwright's
        """Open `file` with the browser's settings `context`, such as a colour scheme or width."""
        self.told: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_context(**context).new_page()
        # A machine that is busy with all other tests needs a minute for a page.
        self.page.set_default_timeout(240_000)
        self.page.on("console", lambda message: self.told.append(message.text))
        self.page.on("pageerror", lambda error: self.told.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def wait_until_drawn(self) -> int:
        """Wait for the charts and return how many were drawn."""
        self.page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
        return int(self.page.evaluate("document.documentElement.dataset.drawn"))

    def close(self) -> None:
        """Close the page and its settings."""
        self.page.context.close()
