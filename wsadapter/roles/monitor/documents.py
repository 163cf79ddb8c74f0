"""The pages of docs/ as the monitor serves them: what its own page links to, of this version, from this machine.

They are Markdown where an installation has them (`share/doc/wsadapter` of its prefix; in a clone the folder itself) and
become HTML when somebody asks, each once. Nothing else of the machine can be had: what there is is known at the start.
"""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import wsadapter

if TYPE_CHECKING:
    from markdown_it.token import Token

HTML: Final = "text/html; charset=utf-8"
PICTURES: Final = {".svg": "image/svg+xml", ".png": "image/png"}
FIRST: Final = "index.md"


def directory() -> Path | None:
    """Of a clone, else of the installation; None where the pages were not installed."""
    clone = Path(wsadapter.__file__).resolve().parents[1]
    installed = Path(sys.prefix) / "share" / "doc" / "wsadapter"
    place = clone / "docs" if (clone / "pyproject.toml").is_file() else installed
    return place if (place / FIRST).is_file() else None


def documents(place: Path | None) -> dict[str, tuple[str, Callable[[], bytes]]]:
    """Path below `/docs/` -> its content type, and what makes its body."""
    if place is None:
        return {"": (HTML, lambda: _page("Not here", "<p>The pages were not installed with this program.</p>"))}
    found = {path.name: path for path in sorted(place.iterdir()) if path.is_file()}
    pages = {name: (HTML, cache(lambda path=path: page(path))) for name, path in found.items() if path.suffix == ".md"}
    pictures = {
        name: (PICTURES[path.suffix], path.read_bytes) for name, path in found.items() if path.suffix in PICTURES
    }
    return {**pages, **pictures, "": pages[FIRST]}


def page(path: Path) -> bytes:
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(path.read_text(encoding="utf-8"))
    for heading, anchor in zip(_headings(tokens), anchors([text.content for text in _texts(tokens)]), strict=True):
        heading.attrSet("id", anchor)
    title = next((text.content for text in _texts(tokens)), path.stem)
    return _page(title, str(markdown.renderer.render(tokens, markdown.options, {})))


def anchors(headings: Sequence[str]) -> Iterator[str]:
    """As GitHub names them, and the site: so a link to a section is the same everywhere."""
    seen: set[str] = set()
    for text in headings:
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        anchor, number = slug, 0
        while anchor in seen:
            number += 1
            anchor = f"{slug}-{number}"
        seen.add(anchor)
        yield anchor


def _headings(tokens: Sequence["Token"]) -> Iterator["Token"]:
    return (token for token in tokens if token.type == "heading_open")


def _texts(tokens: Sequence["Token"]) -> Iterator["Token"]:
    """Of the headings."""
    return (after for token, after in pairwise(tokens) if token.type == "heading_open")


def _page(title: str, body: str) -> bytes:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="../favicon.ico"><link rel="stylesheet" href="../status.css"></head>\n'
        '<body class="document"><nav><a href="../">status</a> <a href="index.md">all pages</a></nav>\n'
        f"<main>\n{body}</main></body></html>\n"
    ).encode()
