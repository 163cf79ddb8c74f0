"""Rows made by hand in the event tables, and the command that looks at them."""

import itertools
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from wsadapter.cli.main import run_command
from wsadapter.clickhouse import catalog as clickhouse
from wsadapter.clickhouse.client import connect
from wsadapter.config.model import ClickHouseConfig
from wsadapter.embedded.ports import free_port
from wsadapter.times import iso

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_790_000_040 * SECOND
"""A whole minute of 2026-09-21."""
CONNECTION = "binance-market-0"

TABLES = ("trade", "depth", "kline", "ticker", "gap", "coverage", "rejected")

Row = dict[str, Any]
_numbers = itertools.count()


def when(at_ns: int | None) -> str | None:
    text = iso(at_ns)
    return text and text[:-1].replace("T", " ")


def trade(number: int, at_ns: int | None = None, symbol: str = "BTCUSDT", **more: Any) -> Row:
    """One a second; received 5 ms after the venue's time."""
    at_ns = START + number * SECOND if at_ns is None else at_ns
    return {
        "exchange": "binance", "symbol": symbol, "connection": CONNECTION, "source": "WEBSOCKET", "aggregated": True,
        "trade_id": str(number), "trade_number": number, "price": 1, "quantity": 1, "time": when(at_ns),
        "receive_time": when(at_ns + 5_000_000), "version": at_ns, **more,
    }  # fmt: skip


def depth(number: int, previous: int | None, last: int, **more: Any) -> Row:
    at_ns = START + number * SECOND
    return {
        "exchange": "binance", "symbol": "BTCUSDT", "connection": "binance-public-0", "source": "WEBSOCKET",
        "update_type": "DELTA", "level_limit": 0, "first_update_id": last - 2, "last_update_id": last,
        "previous_update_id": previous, "time": when(at_ns), "receive_time": when(at_ns + 5_000_000), "version": at_ns,
        **more,
    }  # fmt: skip


def candle(opened_ns: int, closes_ns: int, interval: str = "1m", **more: Any) -> Row:
    """Closed: it comes 200 ms after its end."""
    return {
        "exchange": "binance", "symbol": "BTCUSDT", "connection": CONNECTION, "source": "WEBSOCKET", "closed": True,
        "interval": interval, "open_time": when(opened_ns), "close_time": when(closes_ns - 1_000_000),
        "time": when(closes_ns), "receive_time": when(closes_ns + 200_000_000), "version": closes_ns, **more,
    }  # fmt: skip


def minute(number: int, **more: Any) -> Row:
    return candle(START + number * MINUTE, START + (number + 1) * MINUTE, **more)


def gap(started_ns: int, ended_ns: int | None, **more: Any) -> Row:
    return {
        "exchange": "binance", "symbol": "", "stream": "", "interval": "", "connection": CONNECTION,
        "cause": "disconnect", "gap_id": f"7:{next(_numbers)}", "version": 1, "started": when(started_ns),
        "ended": when(ended_ns), "repair_state": "open", "time": when(started_ns), "receive_time": when(started_ns),
        **more,
    }  # fmt: skip


def coverage(from_ns: int, to_ns: int, stream: str = "trade", **more: Any) -> Row:
    return {
        "exchange": "binance", "symbol": "BTCUSDT", "stream": stream, "interval": "", "connection": CONNECTION,
        "from": when(from_ns), "to": when(to_ns), "time": when(to_ns), "receive_time": when(to_ns), "version": to_ns,
        **more,
    }  # fmt: skip


class AuditBench:
    def __init__(self, url: str, directory: Path) -> None:
        self.settings = ClickHouseConfig(url=url, database=f"a{os.getpid()}b{next(_numbers)}")
        self.client = connect(self.settings)
        clickhouse.create_or_verify(self.client, self.settings)
        for table in TABLES:
            self.client.command(f"SYSTEM STOP MERGES {self.settings.database}.{table}")
        nobody = free_port()
        self.config = directory / "wsadapter.toml"
        self._without_feed = (
            f'[service]\nstate_dir = "{directory}/state"\n[monitor]\nlisten = "127.0.0.1:{nobody}"\n'
            f'[kafka]\nbootstrap_servers = "127.0.0.1:{nobody}"\n'
            f'[clickhouse]\nurl = "{url}"\ndatabase = "{self.settings.database}"\n'
        )
        self.config.write_text(self._without_feed)

    def insert(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        body = "\n".join(json.dumps(row) for row in rows).encode()
        head = f"INSERT INTO {self.settings.database}.{table} FORMAT JSONEachRow\n".encode()
        # the same rows twice are two inserts here
        token = {"insert_deduplication_token": f"audit-{next(_numbers)}"}
        self.client.raw_insert(None, insert_block=head + body, settings=token)  # type: ignore[arg-type]  # no table

    def clear(self) -> None:
        self.config.write_text(self._without_feed)
        for table in TABLES:
            self.client.command(f"TRUNCATE TABLE {self.settings.database}.{table}")

    def run(self, *arguments: str) -> Result:
        """The command line in this process; the result's ``exit_code`` is the command's."""
        return run(*arguments, "--config", str(self.config))

    def record(self, **feed: Any) -> None:
        """From now on the configuration asks for this."""
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in feed.items())
        self.config.write_text(f'{self._without_feed}[[feed]]\nname = "f"\nexchange = "binance"\n{text}')

    def audit(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        done = self.run("audit", "--json", *arguments)
        assert done.stdout, done.stderr
        return done.exit_code, json.loads(done.stdout)

    def close(self) -> None:
        for database in (f"{self.settings.database}_inner", self.settings.database):
            self.client.command(f"DROP DATABASE {database}")
        self.client.close()


def run(*arguments: str) -> Result:
    import click

    @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
    @click.argument("rest", nargs=-1, type=click.UNPROCESSED)
    @click.pass_context
    def outer(context: click.Context, rest: tuple[str, ...]) -> None:
        context.exit(run_command(list(rest)))

    return CliRunner().invoke(outer, list(arguments), catch_exceptions=False)
