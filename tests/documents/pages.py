"""The pages that a person reads, and what is in them: blocks of code, links, headings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.glob("*.md"))]
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")


class Block(NamedTuple):
    """A fenced block: its page, its language, the line its text begins in."""

    page: Path
    language: str
    line: int
    text: str


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in _FENCE.finditer(text):
        yield Block(page, found[1], text.count("\n", 0, found.start(2)) + 1, found[2])


def prose(page: Path) -> str:
    """Without what stands in fences."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Where its links and pictures lead, without those of code."""
    return re.findall(r"\]\(([^)\s]+)\)", _CODE.sub("", prose(page)))


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them and `mkdocs.yml` tells the site to."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.replace("`", ""))
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        count = 0
        while (anchor := f"{slug}-{count}" if count else slug) in found:
            count += 1
        found.add(anchor)
    return found
