"""Every command on every page is one: programs, subcommands, options, targets, paths and addresses that there are.

What a reader can run on the demo is run in `documents/test_pages_on_the_demo.py`.
"""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import pytest
from documents import pages, shell
from documents.shell import Line

from wsadapter.cli.options import PROGRAM

LINES = [line for page in pages.PAGES for line in shell.lines(page)]
INSTALLED = (
    "clickhouse-clusters",
    "existing-clickhouse",
    "existing-kafka",
    "install",
    "operations",
    "runbook",
    "several-hosts",
    "tls-and-sasl",
    "upgrade",
    "watching",
)
"""Pages about an installation, whose configuration is where no command looks by itself."""
INLINE = [(page, text) for page in pages.PAGES for text in shell.inline(page)]
MAKEFILE = (pages.ROOT / "Makefile").read_text()


def check(line: Line) -> None:
    """Raises where it is none."""
    if line.program == PROGRAM:
        shell.parse(line.words[1:])
    elif line.program == "make":
        check_make(line.words[1:])
    elif line.program == "pytest":
        check_pytest(line.words[1:])
    elif line.program == "python":
        assert line.words[1] == "-m"
        check_module(line.words[2:])
    elif line.program == "curl":
        (url,) = [word for word in line.words if "://" in word]
        assert re.match(r"http://127\.0\.0\.1:(9464/(readyz|livez|status|metrics)?$|8123/)", url), url
    else:
        assert line.program in shell.ELSEWHERE, f"{line.program}: neither checked nor excused"


def check_make(words: list[str]) -> None:
    targets = [word for word in words if "=" not in word]
    assert targets
    for target in targets:
        assert re.search(rf"(?m)^{re.escape(target)}:", MAKEFILE), f"make {target}"
    for variable in (word.partition("=")[0] for word in words if "=" in word):
        assert f"$({variable})" in MAKEFILE or f"$(or $({variable})," in MAKEFILE, variable


def check_pytest(words: list[str]) -> None:
    for word in words:
        if word.startswith("tests"):
            assert (pages.ROOT / word.partition("::")[0]).exists(), word


def check_module(words: list[str]) -> None:
    assert words[0].startswith("bench"), "of ours"
    for option in (word for word in words[1:] if word.startswith("-")):
        assert option in module_help(words[0]), option


@cache
def module_help(module: str) -> str:
    command = [sys.executable, "-m", module, "--help"]
    return subprocess.run(command, cwd=pages.ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("line", LINES, ids=str)
def test_each_line_of_a_block_is_one(line: Line) -> None:
    check(line)


@pytest.mark.parametrize("name", INSTALLED)
def test_what_reads_the_configuration_of_an_installation_is_given_it(name: str) -> None:
    page = pages.DOCS / f"{name}.md"
    written = shell.lines(page) + [shell.command(page, 0, text) for text in shell.inline(page)]
    ours = [line for line in written if line.program == PROGRAM and not line.text.startswith("_WSADAPTER_")]

    assert [
        str(line) for line in ours if shell.reads_configuration(line.words[1:]) and "--config" not in line.words
    ] == []


def test_every_page_that_names_the_file_of_an_installation_is_one_of_them() -> None:
    naming = {page.stem for page in pages.DOCS.glob("*.md") if re.search(r"--config /etc/", page.read_text())}

    assert naming <= {*INSTALLED}


@pytest.mark.parametrize(("page", "text"), INLINE, ids=lambda given: given if isinstance(given, str) else given.name)
def test_each_command_in_the_prose_is_one(page: Path, text: str) -> None:
    check(shell.command(page, 0, text))


def test_none_is_hidden_in_a_block_without_a_language() -> None:
    """Commands stand in blocks of language sh; a block indented by spaces is seen by no test."""
    for page in pages.PAGES:
        hidden = re.findall(rf"^ {{4,}}(?:\S*{PROGRAM}|make|systemctl|curl) .*$", pages.prose(page), re.MULTILINE)
        unnamed = [block.text for block in pages.blocks(page) if not block.language and PROGRAM in block.text]
        assert hidden + unnamed == [], pages.name(page)


def test_no_excuse_is_left_over() -> None:
    assert {line.program for line in LINES} >= shell.ELSEWHERE.keys()


@pytest.mark.parametrize(
    "text",
    [
        f"{PROGRAM} statsu",
        f"{PROGRAM} audit --sinc 1h",
        f"{PROGRAM} --config x.toml gaps --since soon",
        f"{PROGRAM} generate nonsense",
        "make nonsense",
        "make run FUR=20s",
        ".venv/bin/pytest -q tests/nowhere",
        "python -m bench.first_row --cash empty",
        "curl http://127.0.0.1:9464/nowhere",
        "apt install everything",
    ],
)
def test_one_that_is_none_is_seen(text: str) -> None:
    with pytest.raises((AssertionError, click.UsageError)):
        check(shell.command(pages.ROOT / "README.md", 1, text))


def test_what_a_line_consists_of() -> None:
    found = shell.split("A=1 one --x 'a && b' && two | three > out  # four && five")

    assert found == ["A=1 one --x 'a && b'", "two", "three > out"]
    assert shell.command(pages.ROOT, 1, found[0]).words == ["one", "--x", "a && b"]
    assert shell.command(pages.ROOT, 1, found[2]).words == ["three"]
