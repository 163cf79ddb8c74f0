"""What a command prints is data: what is logged meanwhile goes to standard error."""

import json
from pathlib import Path

import pytest
from cli import command
from clickhouse.table_bench import TableBench

from wsadapter.embedded.ports import free_port

pytestmark = pytest.mark.integration


def test_an_endpoint_that_is_away_is_said_beside_the_data(clickhouse: str, tmp_path: Path) -> None:
    bench = TableBench(clickhouse).create()
    database = bench.settings.database
    urls = f'["http://127.0.0.1:{free_port()}", "{clickhouse}"]'
    (tmp_path / "wsadapter.toml").write_text(f'[clickhouse]\nurl = {urls}\ndatabase = "{database}"\n')

    listed = command.run(tmp_path, "gaps", "--json", "--config", "wsadapter.toml")
    bench.close()

    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout) == []
    assert "another ClickHouse endpoint is used" in listed.stderr
