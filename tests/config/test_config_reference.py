"""The reference of the configuration: every key has its words, the page is what is printed, the example is a file."""

import tomllib
from pathlib import Path

from cli.command import run
from documents import pages

from wsadapter.config import reference
from wsadapter.config.load import load_with_origins
from wsadapter.exchanges import OURS

EXCHANGES = tuple(OURS)
PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_every_key_has_its_words_and_no_words_are_left_over() -> None:
    assert {key.path for key in reference.all_keys(EXCHANGES)} == reference.KEYS.keys()
    assert all(reference.KEYS.values())


def test_the_page_is_what_is_printed(tmp_path: Path) -> None:
    printed = run(tmp_path, "generate", "config", "--markdown").stdout
    assert PAGE.read_text() == printed, "stale: wsadapter-supervisor generate config --markdown > docs/configuration.md"


def test_the_example_is_a_configuration_of_defaults(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(run(tmp_path, "generate", "config").stdout)
    loaded = load_with_origins(str(path), {"HOME": str(tmp_path)}, dotenv=None)
    assert {key for key, origin in loaded.origins.items() if origin == "file"} == {
        "feed[0].exchange",
        "feed[0].symbols",
    }


def test_what_is_commented_out_is_taken_too(tmp_path: Path) -> None:
    """Each key of the example, uncommented: understood, and the default where it has one."""
    path = tmp_path / "c.toml"
    lines = [
        line.removeprefix("# ") if _is_setting(line) and "state_dir" not in line else line
        for line in reference.example(EXCHANGES).splitlines()
    ]
    path.write_text("\n".join(lines) + "\n")
    own = load_with_origins(str(path), {"HOME": str(tmp_path)}, dotenv=None)
    path.write_text(reference.example(EXCHANGES))
    default = load_with_origins(str(path), {"HOME": str(tmp_path)}, dotenv=None).config

    assert len(own.origins) > 60
    assert own.config.feed == default.feed
    assert (own.config.kafka, own.config.clickhouse, own.config.restart) == (
        default.kafka, default.clickhouse, default.restart,
    )  # fmt: skip


def test_the_pages_say_keys_that_there_are() -> None:
    """Each TOML block of each page, but for one of somebody's pyproject.toml."""
    blocks = [block for page in pages.PAGES for block in pages.blocks(page) if block.language == "toml"]
    contents = [content for block in blocks if "project" not in (content := tomllib.loads(block.text))]

    assert len(contents) >= 4
    for content in contents:
        for section, given in content.items():
            for table in given if isinstance(given, list) else [given]:
                assert {f"{section}.{key}" for key in table} <= reference.KEYS.keys()


def _is_setting(line: str) -> bool:
    name, equals, _ = line.removeprefix("# ").partition(" = ")
    return line.startswith("# ") and bool(equals) and name.replace("_", "").isalpha() and name.islower()
