"""The pages as a real browser shows them: whole, quiet, without network, in both themes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import Visit, needs_browser, running_chromium
from memory_blobs import MemoryBlobStore
from sample_job import finished_job, put_job, running_job, sample_receipt

from functions.handlers.overview import read_overview
from functions.report.index import render_index
from functions.report.page import render_report
from vm_runtime.contract.codec import encode

needs_browser()
pytest.importorskip("plotly", reason="the report needs the extra `demo`")

if TYPE_CHECKING:
    from playwright.sync_api import Browser

THEMES = "light", "dark"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Give one browser for all tests here."""
    with running_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the files of a finished job, a running one, and the overview."""
    store = MemoryBlobStore()
    put_job(store, finished_job())
    texts = {
        "finished": render_report(finished_job()),
        "running": render_report(running_job()),
        "index": render_index(read_overview(store, finished_job().read_at)),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("name", "charts"), [("finished", 5), ("running", 2)])
def test_report_is_drawn_without_a_word_and_without_network(
    browser: "Browser", pages: dict[str, Path], name: str, charts: int, theme: str
) -> None:
    """All charts are there, the console is empty, and nothing but the file was asked for."""
    visit = Visit(browser, pages[name], color_scheme=theme)

    assert visit.wait_until_drawn() == charts
    assert visit.page.locator(".js-plotly-plot .main-svg").count() >= charts
    assert visit.told == []
    assert [url for url in visit.asked if url != pages[name].as_uri()] == []
    buttons = "buttons => buttons.map(button => button.dataset.title)"
    offered = visit.page.locator(".modebar-btn").evaluate_all(buttons)
    assert "Zoom in" in offered
    assert not [title for title in offered if "Share" in title]
    paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = visit.page.locator(".xtick text").first.evaluate("e => getComputedStyle(e).fill")
    assert (paper, ink) == {
        "light": ("rgb(255, 255, 255)", "rgb(28, 30, 33)"),
        "dark": ("rgb(21, 23, 26)", "rgb(231, 233, 236)"),
    }[theme]
    visit.close()


def test_key_figures_of_the_page_are_those_of_the_receipt(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    """What the page says, to the last digit, is what the JSON says."""
    visit = Visit(browser, pages["finished"])
    found = visit.page.locator("data").evaluate_all(
        "all => all.map(e => [e.dataset.key, Number(e.value)])"
    )
    receipt = json.loads(encode(sample_receipt()))

    assert {key for key, _ in found} >= {"emissions_gco2eq", "energy_kwh", "overhead_kwh", "vms"}
    assert dict(found) == {key: receipt[key] for key, _ in found}
    visit.close()


@pytest.mark.parametrize("name", ["finished", "running", "index"])
def test_phone_needs_no_sideways_scrolling(
    browser: "Browser", pages: dict[str, Path], name: str
) -> None:
    """At 390 pixels the page is as wide as the screen; wide tables scroll by themselves."""
    visit = Visit(browser, pages[name], **PHONE)
    if name != "index":
        visit.wait_until_drawn()

    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
    visit.close()


@pytest.mark.parametrize("name", ["finished", "index"])
def test_arrow_keys_tell_an_hour_in_words(
    browser: "Browser", pages: dict[str, Path], name: str
) -> None:
    """Who has no pointer reads every hour of the heat strip."""
    visit = Visit(browser, pages[name])
    visit.page.locator(".strip").focus()
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("ArrowRight")
    first = visit.page.locator(".readout").inner_text()
    visit.page.keyboard.press("ArrowDown")
    second = visit.page.locator(".readout").inner_text()

    assert "Mon 2 Jun 07:00 UTC" in first
    assert "gCO2eq/kWh" in second
    assert first != second
    visit.close()


def test_every_chart_and_table_has_a_name(browser: "Browser", pages: dict[str, Path]) -> None:
    """Who hears the page is told what each picture shows, and each table has a caption."""
    visit = Visit(browser, pages["finished"])
    names = visit.page.locator(".chart").evaluate_all("all => all.map(e => e.ariaLabel)")
    tables = visit.page.locator("table").count()

    assert all(len(name) > 30 for name in names)
    assert len(set(names)) == len(names) == 5
    assert visit.page.locator("table > caption").count() == tables
    assert visit.page.locator("html[lang=en]").count() == 1
    visit.close()


def test_page_without_a_script_still_has_its_figures(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    """Where scripts are forbidden, path, receipt and tables are there all the same."""
    visit = Visit(browser, pages["finished"], java_script_enabled=False)

    assert visit.page.locator(".heat td.ran").count() >= 6
    assert visit.page.get_by_text("The same work another way").count() == 1
    visit.close()
