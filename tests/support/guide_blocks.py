"""The code blocks of the guides, as CommonMark sees them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
ADRS = ROOT / "docs" / "adr"
"""Records of decisions: what was thought on one day, not what a reader does."""


@dataclass(frozen=True)
class Block:
    """One code block: where it begins, its language and its text."""

    guide: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """Return the place, as editors find it."""
        return f"{self.guide.relative_to(ROOT)}:{self.line}"


def guides() -> list[Path]:
    """Return README, every guide and the model card."""
    found = [path for path in sorted((ROOT / "docs").rglob("*.md")) if ADRS not in path.parents]
    return [ROOT / "README.md", *found, ROOT / "forecaster" / "weights" / "README.md"]


def blocks(guide: Path) -> Iterator[Block]:
    """Yield the guide's code blocks in their order; an indented one has the language `indented`."""
    for token in MarkdownIt("commonmark").parse(guide.read_text(encoding="utf-8")):
        if token.type in {"fence", "code_block"}:
            first = (token.map or [0])[0] + 1
            language = token.info.split()[0] if token.info else ""
            language = "indented" if token.type == "code_block" else language
            yield Block(guide, first, language, token.content)
