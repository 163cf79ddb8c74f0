"""`ddl --migrate` as an operator has it: an embedded database of the first version, and what refuses it until then."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cli.command import run
from msgspec.structs import replace
from oracle import query

from wsadapter.clickhouse import client as clickhouse
from wsadapter.clickhouse.catalog import create_or_verify
from wsadapter.clickhouse.versions import COMMAND, VERSION
from wsadapter.config.load import load
from wsadapter.config.model import ClickHouseConfig
from wsadapter.embedded.servers import ClickHouseServer
from wsadapter.errors import ExitCode, SchemaMismatch, ServiceUnavailable
from wsadapter.roles.consumer.__main__ import prepare

FIRST = Path(__file__).parents[1] / "clickhouse" / "schema_1.sql"


@pytest.mark.integration
def test_an_embedded_database_is_brought_forward(
    own_clickhouse: Callable[[], ClickHouseServer], tmp_path: Path
) -> None:
    server = own_clickhouse().start()
    settings = ClickHouseConfig(url=server.url)
    client = clickhouse.connect(settings)
    for statement in FIRST.read_text().split(";\n\n")[:-1]:
        client.command(statement, use_database=False)
    client.command(
        "INSERT INTO market.ticker (exchange, symbol, last_price, time) SELECT 'binance', 'A', number, "
        "toDateTime64('2026-07-20', 9, 'UTC') + 86400 * number FROM numbers(100)",
        use_database=False,
    )
    with pytest.raises(SchemaMismatch, match=COMMAND) as caught:
        create_or_verify(client, settings)
    assert caught.value.exit_code == ExitCode.CONFIG
    client.close()
    state = server._args.config.service.state_dir
    (tmp_path / "c.toml").write_text(f'[service]\nstate_dir = "{state}"\n[clickhouse]\nurl = "{server.url}"\n')
    arguments = ("--config", "c.toml", "ddl", "--migrate", "--embedded")
    busy = run(tmp_path, *arguments)
    assert busy.returncode == ExitCode.UNAVAILABLE, "somebody has the directory"
    server.stop()

    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (ExitCode.OK, "")
    assert f"schema version {VERSION}" in done.stderr
    assert "ticker_v1" in done.stderr
    server.start()
    assert query(server.url, "SELECT count(), sum(last_price) FROM market.ticker") == [["100", "4950"]]
    again = run(tmp_path, "--config", "c.toml", "ddl", "--migrate", "--drop-old")
    assert again.returncode == ExitCode.OK
    assert "ticker_v1` is dropped" in again.stderr


@pytest.mark.integration
def test_the_tables_of_an_embedded_run_are_brought_forward_by_its_first_consumer(
    own_clickhouse: Callable[[], ClickHouseServer],
) -> None:
    settings = ClickHouseConfig(url=own_clickhouse().start().url, migrate=True)
    client = clickhouse.connect(settings)
    for statement in FIRST.read_text().split(";\n\n")[:-1]:
        client.command(statement, use_database=False)
    client.command("INSERT INTO market.ticker (exchange, symbol, last_price) VALUES ('binance', 'A', 1)")
    client.close()
    config = replace(load(None, {}, dotenv=None, demo=True), clickhouse=settings)
    with pytest.raises(ServiceUnavailable, match="first consumer"):
        prepare(config, is_first=False)
    prepare(config, is_first=True).close()
    assert query(settings.url, "SELECT max(version) FROM market.schema_version") == [[str(VERSION)]]
    assert query(settings.url, "SELECT count() FROM market.ticker") == [["1"]]
    prepare(config, is_first=False).close()


def test_options_of_a_migration_go_with_it(tmp_path: Path) -> None:
    for option in ("--drop-old", "--embedded"):
        assert run(tmp_path, "ddl", option).returncode == ExitCode.USAGE


def test_no_server_is_no_migration(tmp_path: Path) -> None:
    done = run(tmp_path, "ddl", "--migrate", CLICKHOUSE_URL="http://127.0.0.1:1")
    assert done.returncode == ExitCode.UNAVAILABLE
    assert "127.0.0.1:1" in done.stderr
