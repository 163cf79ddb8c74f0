"""The configurations that the pages show are ones that would run: whole, or with a feed beside a part of one."""

import tomllib
from pathlib import Path

import pytest
from documents import pages
from documents.pages import Block

from wsadapter.cli import options
from wsadapter.config.load import load
from wsadapter.errors import ConfigError

SHOWN = [
    block
    for page in pages.PAGES
    for block in pages.blocks(page)
    if block.language == "toml" and "project" not in tomllib.loads(block.text)
]
FEED = '[[feed]]\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n'
ELSEWHERE = "cannot be read: No such file or directory"
"""What is said of the files that only the reader's machine has."""


def refused(block: Block, directory: Path) -> list[tuple[str, str]]:
    """Without that a file of an operator's is not here."""
    path = directory / "wsadapter.toml"
    path.write_text(block.text if "feed" in tomllib.loads(block.text) else f"{block.text}\n{FEED}")
    try:
        load(str(path), {}, dotenv=None, exchanges=options.exchanges())
    except ConfigError as error:
        return [(key, message) for key, message in error.errors if message != ELSEWHERE]
    return []


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: f"{pages.name(block.page)}:{block.line}")
def test_what_a_page_shows_is_taken(block: Block, tmp_path: Path) -> None:
    assert refused(block, tmp_path) == []


def test_what_is_wrong_would_be_seen(tmp_path: Path) -> None:
    wrong = Block(pages.DOCS / "x.md", "toml", 1, '[record]\nmax_age = "7 parsecs"\n')
    assert [key for key, _ in refused(wrong, tmp_path)] == ["record.max_age"]
    assert len(SHOWN) >= 10
