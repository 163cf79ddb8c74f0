"""What documents and docstrings name is there: files by their path, modules and what is in them by their dots."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = [path for name in ("wsadapter", "bench", "tests") for path in sorted((ROOT / name).rglob("*.py"))]
FILE = re.compile(r"`(?:\./)?([\w./-]+\.(?:py|c|h|md|svg|html|proto|toml))(?:::\w+)?`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
DOTTED = re.compile(r"`(wsadapter(?:\.\w+)+)`?")
ELSEWHERE = {"wsadapter.toml", "/etc/wsadapter/wsadapter.toml", "../shared/peers/frames.py"}
"""Written by the user, and beside the checkout."""
NOT_OURS = {"wsadapter.toml", "wsadapter.service", "wsadapter.stand_ins", "wsadapter.v1", "wsadapter.native._native"}
"""Dotted, and no module of Python."""


def exists(file: str) -> bool:
    """From the root, from one of the packages' folders, or anywhere where only the name is given."""
    if "/" not in file and any(True for folder in ("wsadapter", "bench", "tests") for _ in (ROOT / folder).rglob(file)):
        return True
    return any((ROOT / folder / file).exists() for folder in (".", "wsadapter", "tests", "bench", "docs"))


def resolves(dotted: str) -> bool:
    """A package, a module, or a name that its text defines or brings in."""
    place, *rest = ROOT / "wsadapter", *dotted.split(".")[1:]
    while rest and (place / rest[0]).is_dir():
        place /= rest.pop(0)
    module = place / f"{rest[0] if rest else ''}.py"
    source = module if rest and module.is_file() else place / "__init__.py"
    rest = rest[1:] if source == module else rest
    text = source.read_text()
    return all(re.search(rf"\b(?:def|class) {name}\b|\bimport .*\b{name}\b|\b{name}\b\s*[=:,]", text) for name in rest)


def dotted_names(text: str) -> Iterator[str]:
    for found in DOTTED.findall(text):
        if not any(found == other or found.startswith(other + ".") for other in NOT_OURS):
            yield found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    named = set(FILE.findall(text)) - ELSEWHERE
    linked = {link for link in LINK.findall(text) if not link.startswith("http")}

    assert [name for name in sorted(named) if not exists(name)] == []
    assert [link for link in sorted(linked) if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_name_with_dots_in_a_document_exists(document: Path) -> None:
    assert [name for name in sorted(set(dotted_names(document.read_text()))) if not resolves(name)] == []


def test_every_name_with_dots_in_a_docstring_exists() -> None:
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        for name in dotted_names(path.read_text())
        if path != Path(__file__).resolve() and not resolves(name)
    ]

    assert missing == []


def test_every_file_that_a_docstring_names_exists() -> None:
    named = {
        (path, name)
        for path in SOURCES
        for name in FILE.findall(path.read_text())
        if name.endswith((".py", ".c", ".h"))
    }

    assert [f"{path.relative_to(ROOT)}: {name}" for path, name in sorted(named) if not exists(name)] == []


def test_every_package_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    product = ROOT / "wsadapter"
    packages = [
        folder.parent for pattern in ("*/__init__.py", "roles/*/__init__.py") for folder in product.glob(pattern)
    ]

    assert [path for path in packages if f"| `{path.relative_to(product)}/` |" not in text] == []


def test_what_is_not_there_is_seen() -> None:
    assert not exists("wsadapter/shm/nothing.py")
    assert not exists("nothing.py")
    assert not resolves("wsadapter.shm.nothing")
    assert not resolves("wsadapter.shm.ring.Nothing")
    assert resolves("wsadapter.shm.ring.RingWriter")
