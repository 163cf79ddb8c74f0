"""What a reader can run on the demo is run: lines of shell that only look, and every query, on one running pipeline."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from documents import pages, shell
from documents.shell import Line
from eventually import eventually
from road_site import Site

from wsadapter.cli.options import PROGRAM

pytestmark = pytest.mark.integration
LOOKING = {"status", "gaps", "audit", "tap", "plan", "validate", "check", "config show", "segments list"}
"""Subcommands that end by themselves and change nothing. The others have tests of their own, `generate` as well."""
OWN_TESTS = {"queries.md", "reading-clickhouse.md", "archives.md"}
"""Pages whose queries have a test of their own, on data that they are about."""
MOVING = {"clickhouse-clusters.md"}
"""Pages whose queries take the tables away."""
CONFIG = re.compile(r" --config \S+")
RANGE = re.compile(r" --(since|until) \S+")


def can_run(line: Line) -> bool:
    return line.program == "curl" or (line.program == PROGRAM and shell.parse(line.words[1:]) in LOOKING)


def plain(line: Line) -> str:
    """As on the demo: without a configuration of one's own, by a program on the PATH, of the last minutes."""
    text = RANGE.sub(lambda found: " --since 10m" if found[1] == "since" else "", CONFIG.sub("", line.text))
    return re.sub(rf"\S*{PROGRAM}", PROGRAM, text).strip()


LINES = {plain(line): str(line) for page in pages.PAGES for line in shell.lines(page) if can_run(line)}
QUERIES = [
    block
    for page in pages.PAGES
    for block in pages.blocks(page)
    if block.language == "sql" and page.name not in OWN_TESTS | MOVING
]


@pytest.fixture(scope="module")
def site(installed_kafka: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demo as `make run` starts it, but for its ports."""
    made = Site(tmp_path_factory.mktemp("demo"))
    made.config.write_text(made.config.read_text().replace('topic_prefix = "market."\n', ""))
    try:
        made.start("--demo", "--rate", "100").ready()
        eventually(lambda: made.counter("accepted_rows_total") > 100, 120, "rows in the tables")
        # what the pages call complete is, once each series has brought something
        eventually(lambda: made.command("audit", "--live").returncode == 0, 120, "all of the demo is in the tables")
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def path(site: Site) -> str:
    """A PATH on which the program is the demo's."""
    program = site.directory / "bin" / PROGRAM
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {Path(sys.executable).with_name(PROGRAM)} --config {site.config} "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def here(text: str, site: Site) -> str:
    return text.replace("127.0.0.1:9464", site.monitor).replace("http://127.0.0.1:8123", site.clickhouse)


def test_every_line_that_looks_does_what_the_page_says(site: Site, path: str) -> None:
    """With exit 0: nothing of the demo is missing, and all is there. Four at a time, as most of them wait."""
    environ = {**os.environ, "PATH": path, "COLUMNS": "200"}
    (site.directory / "query.sql").write_text("SELECT 'a query that the reader saved'")

    def run(text: str) -> tuple[str, int, str]:
        # a demo needs no [[feed]]; what plans one for a run without --demo does
        own = {"WEBSOCKET_SYMBOLS": "BTCUSDT"} if re.search("validate|plan|check|config show", text) else {}
        done = subprocess.run(
            ["bash", "-euc", here(text, site)], cwd=site.directory, env=environ | own, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        return LINES[text], done.returncode, done.stdout[-300:] + done.stderr[-300:]

    assert len(LINES) > 10
    with ThreadPoolExecutor(4) as pool:
        wrong = [ran for ran in pool.map(run, LINES) if ran[1] or not ran[2]]
    assert wrong == []


@pytest.mark.parametrize("block", QUERIES, ids=lambda block: f"{pages.name(block.page)}:{block.line}")
def test_every_query_is_answered(site: Site, block: pages.Block) -> None:
    for query in filter(str.strip, block.text.split(";\n")):
        done = subprocess.run(
            ["curl", "-sS", "--fail-with-body", site.clickhouse, "--data-binary", query],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


PROGRAMS = [block for block in pages.blocks(pages.DOCS / "reading-kafka.md") if "Reader(" in block.text]


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: f"{pages.name(block.page)}:{block.line}")
def test_every_program_that_reads_kafka_reads_it(site: Site, block: pages.Block) -> None:
    """It runs until it has printed something; one that ends by itself prints something and ends with 0."""
    text = block.text.replace("127.0.0.1:9092", site.kafka)
    assert text != block.text
    program = subprocess.Popen([sys.executable, "-c", text], cwd=site.directory, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    try:
        assert program.stdout.readline().strip(), f"ended with {program.wait()} and said nothing"
        if "follow=False" in text:
            assert program.wait(60) == 0
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
