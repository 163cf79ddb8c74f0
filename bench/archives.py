"""Importing what a venue publishes: a month of one symbol's minute candles, and a day of its aggregated trades.

Rows a second of one core: of this process and of the server, where it is a child of this one, together. Beside it that
a second import adds no row.
"""

import random
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from wsadapter.archives.importing import Importer, Task
from wsadapter.clickhouse import catalog
from wsadapter.clickhouse.client import connect
from wsadapter.config.model import ClickHouseConfig
from wsadapter.exchanges.binance.archives import USD_M

DATABASE: Final = "bench_archives"
BEGIN_MS: Final = 1_790_812_800_000
MINUTE_MS: Final = 60_000
CANDLES: Final = 31 * 1440
TRADES: Final = 500_000


def measure(url: str, rounds: int) -> dict[str, Any]:
    """Rows a CPU second of each kind, the best of the rounds; rows that a second import added."""
    settings = ClickHouseConfig(url=url, database=DATABASE)
    client = connect(settings, 600)
    try:
        catalog.create_or_verify(client, settings)
        importer = Importer(client, settings)
        found: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as directory:
            for word, table, tasks in (
                ("candles", "kline", [_candles(Path(directory), number) for number in range(rounds)]),
                ("trades", "trade", [_trades(Path(directory), number) for number in range(rounds)]),
            ):
                # each of a symbol of its own: other tokens, other rows
                found[word] = max(_rate(importer, task) for task in tasks)
                count = f"SELECT count() FROM {DATABASE}.{table} FINAL"
                before = client.query(count).result_rows
                importer.run(tasks[-1], lambda rows, at: None, again=True)
                found[f"{word}_again"] = client.query(count).result_rows[0][0] - before[0][0]
        return found
    finally:
        for database in (f"{DATABASE}_inner", DATABASE):
            client.command(f"DROP DATABASE IF EXISTS {database}")
        client.close()


def _rate(importer: Importer, task: Task) -> float:
    # looked for once: that reads of every process of the machine, which is as dear as some thousand rows
    server = psutil.Process().children(recursive=True)
    began = _cpu_seconds(server)
    outcome = importer.run(task, lambda rows, at: None)
    assert outcome.whole, outcome
    return outcome.rows / (_cpu_seconds(server) - began)


def _cpu_seconds(children: Sequence[psutil.Process]) -> float:
    return time.process_time() + sum(sum(each.cpu_times()[:2]) for each in children)


def _candles(directory: Path, number: int) -> Task:
    return _task(directory, f"B{number}USDT", "1m", "2026-10", _candle_lines())


def _candle_lines() -> Iterator[str]:
    drawn = random.Random(1)
    for at in range(BEGIN_MS, BEGIN_MS + CANDLES * MINUTE_MS, MINUTE_MS):
        price = 60_000 + drawn.randrange(100_000) / 10
        yield (
            f"{at},{price:.1f},{price + 9:.1f},{price - 9:.1f},{price + 1:.1f},{drawn.randrange(10**6) / 1000:.3f},"
            f"{at + MINUTE_MS - 1},{drawn.randrange(10**11) / 10**5:.5f},{drawn.randrange(5000)},"
            f"{drawn.randrange(10**6) / 1000:.3f},{drawn.randrange(10**11) / 10**5:.5f},0"
        )


def _trades(directory: Path, number: int) -> Task:
    return _task(directory, f"B{number}USDT", "aggTrades", "2026-10-01", _trade_lines())


def _trade_lines() -> Iterator[str]:
    drawn, first = random.Random(2), 5_000_000_000
    for number in range(TRADES):
        last = first + drawn.choice((0, 0, 0, 1, 2))
        at = BEGIN_MS + number * 86_400_000 // TRADES
        price, quantity = 60_000 + drawn.randrange(100_000) / 10, drawn.randrange(1, 10_000) / 1000
        maker = drawn.choice(("true", "false"))
        yield f"{2_000_000_000 + number},{price:.1f},{quantity:.3f},{first},{last},{at},{maker}"
        first = last + 1


def _task(directory: Path, symbol: str, word: str, date: str, lines: Iterator[str]) -> Task:
    path = directory / f"{symbol}-{word}-{date}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{path.stem}.csv", "\n".join(lines) + "\n")
    named = USD_M.named(path.name)
    assert named is not None
    form = USD_M.format(named.word)
    assert form is not None
    return Task(path, "binance", form, symbol, named.interval, named.span)
