"""The commands of docs/archives.md, one after another, as a reader runs them."""

import subprocess
import sys
from pathlib import Path

import pytest
from clickhouse.table_bench import TableBench
from documents import pages, shell

from wsadapter.cli.options import PROGRAM

pytestmark = pytest.mark.integration
PAGE = pages.DOCS / "archives.md"


def test_each_command_does_what_the_page_says(clickhouse: str, tmp_path: Path) -> None:
    bench = TableBench(clickhouse)
    environ = {
        "PATH": str(Path(sys.executable).parent), "HOME": str(tmp_path), "STATE_DIRECTORY": str(tmp_path / "state"),
        "CLICKHOUSE_URL": clickhouse, "CLICKHOUSE_DATABASE": bench.settings.database,
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "WEBSOCKET_SYMBOLS": "BTCUSDT", "WEBSOCKET_STREAMS": "kline,trade",
        "WEBSOCKET_INTERVALS": "1m",
    }  # fmt: skip
    lines = [line for line in shell.lines(PAGE) if line.program == PROGRAM]
    assert lines
    try:
        for line in lines:
            done = subprocess.run(
                line.words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, (str(line), done.stdout, done.stderr)
    finally:
        bench.close()
