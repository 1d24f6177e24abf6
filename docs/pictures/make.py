"""Makes the pictures of README and guides from a finished demo: `python docs/pictures/make.py`.

Needs what `make demo` left (`--folder`), playwright and a Chromium on this machine. The terminal
is drawn by rich as SVG, the pages are photographed; each file stays below 300 kB.
"""

import argparse
import io
import re
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console, RenderableType

from functions.cli.demo.ending import proof_line
from functions.cli.demo.saved import DemoFolder
from functions.cli.forecast import heat_of
from functions.cli.live import live_view
from functions.cli.reading import JobReader
from functions.cli.receipt import print_receipt
from functions.cli.report import write_report
from functions.cli.strip import Look, heat_strip
from functions.handlers.overview import newest_forecast, read_overview
from functions.report.documents import JobDocuments
from functions.report.index import render_index
from functions.report.story import story
from vm_runtime.storage import open_store
from vm_runtime.storage.port import BlobStore

HERE = Path(__file__).parent
LARGEST_BYTES = 300_000
COLUMNS = 82
_COLOURS = 64
_SPEED = 600.0
_SHOTS = {
    "report": ("light", 1080, 1240),
    "report-dark": ("dark", 1080, 1240),
    "report-phone": ("light", 390, 844),
    "grids": ("light", 1080, 760),
}


def main() -> None:
    """Make all pictures, and fail if one has become too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="a finished demo")
    parser.add_argument("--out", type=Path, default=HERE, help="where to write to")
    arguments = parser.parse_args()
    folder = DemoFolder(arguments.folder)
    store = open_store((folder.cloud / "bucket").as_uri())
    documents = _at_its_end(store)
    arguments.out.mkdir(parents=True, exist_ok=True)
    proof = proof_line(documents, folder.load())
    _terminal(arguments.out, documents, store)
    _pages(arguments.out, documents, store, proof)
    for file in sorted(arguments.out.glob("*.*g")):
        size = file.stat().st_size
        sys.stdout.write(f"{file.name}: {size // 1000} kB\n")
        if size > LARGEST_BYTES:
            sys.exit(f"{file}: expected at most {LARGEST_BYTES} bytes, found {size}")


def _at_its_end(store: BlobStore) -> JobDocuments:
    """Return the demo's job as it was when its receipt was written, on the demo's clock."""
    (job_id,) = {info.name.split("/")[1] for info in store.list("jobs/")}
    forecast = newest_forecast(store, _now())
    if forecast is None:
        sys.exit("expected a finished demo, found no forecast: run `make demo` first")
    documents = JobReader(store, job_id).read(_now())
    if documents.receipt is None:
        sys.exit("expected a finished demo, found no receipt: run `make demo` first")
    return JobReader(store, job_id).read(documents.receipt.created_at)


def _now() -> datetime:
    return datetime.now(UTC)


def _terminal(out: Path, documents: JobDocuments, store: BlobStore) -> None:
    look = Look(colour=True)
    view = live_view(documents, story(documents), look, speed=_SPEED)
    _svg(out / "demo.svg", "make demo", view)
    forecast = newest_forecast(store, _now())
    if forecast is not None:
        heat = heat_of(forecast, forecast.origin, 0, 24)
        spans = {zone.grid_zone: (min(zone.p50), max(zone.p50)) for zone in forecast.zones}
        notes = {name: f"{low:.0f}-{high:.0f}" for name, (low, high) in spans.items()}
        _svg(out / "forecast.svg", "smartscheduler forecast", heat_strip(heat, look, notes=notes))
    if documents.receipt is not None:
        console = _console()
        print_receipt(console, documents.receipt)
        _save(console, out / "receipt.svg", "smartscheduler receipt digits")


def _console() -> Console:
    return Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, highlight=False
    )


def _svg(file: Path, title: str, view: RenderableType) -> None:
    console = _console()
    console.print(view)
    _save(console, file, title)


def _save(console: Console, file: Path, title: str) -> None:
    # rich names fonts on somebody's server; a picture shall ask nobody.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title=title), flags=re.DOTALL)
    file.write_text(svg, encoding="utf-8")


def _pages(out: Path, documents: JobDocuments, store: BlobStore, proof: str) -> None:
    report, grids = out / "report.html", out / "grids.html"
    write_report(documents, report, proof=proof)
    grids.write_text(render_index(read_overview(store, documents.read_at)), encoding="utf-8")
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (theme, width, height) in _SHOTS.items():
            page = browser.new_page(
                color_scheme=theme,
                viewport={"width": width, "height": height},
                is_mobile=width < height // 2,
                has_touch=width < height // 2,
            )
            page.goto((grids if name == "grids" else report).absolute().as_uri())
            if name != "grids":
                page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
            _save(out / f"{name}.png", page.screenshot())
            page.close()
        browser.close()
    report.unlink()
    grids.unlink()


def _save(file: Path, png: bytes) -> None:
    """Write the picture with few colours: it has few."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


if __name__ == "__main__":
    main()
