"""Reading what was recorded: a hundred thousand trades as a DataFrame, and the book of any moment of a day.

The tables are the product's, filled by the engine itself: a day of changes, ten a second with ten levels of each side,
and a snapshot of a thousand levels every five minutes. The naive way is what one would write first: the driver's rows,
decimals as objects, into pandas.
"""

import random
import time
from collections.abc import Callable
from typing import Any, Final

from bench.accounts import median
from wsadapter.clickhouse import catalog
from wsadapter.clickhouse.client import connect
from wsadapter.config.model import ClickHouseConfig
from wsadapter.stored import Stored

DATABASE: Final = "bench_stored"
BEGIN: Final = 1_790_000_040_000_000_000
SECOND: Final = 10**9
TRADES: Final = 100_000
DAY: Final = 86_400
EVERY: Final = 300
MOMENTS: Final = 20

_HEAD: Final = "'binance' AS exchange, 'BTCUSDT' AS symbol, t AS event_time, t AS transaction_time, t AS receive_time"


def measure(url: str, rounds: int) -> dict[str, Any]:
    """Seconds; of the moments of a day the median and the longest."""
    settings = ClickHouseConfig(url=url, database=DATABASE)
    client = connect(settings)
    try:
        catalog.create_or_verify(client, settings)
        for statement in _fill():
            client.command(statement)
        with Stored(url, database=DATABASE) as stored:
            asked = ("binance", "BTCUSDT", BEGIN, BEGIN + DAY * SECOND)
            ours = [_seconds(lambda: stored.trades(*asked).pandas()) for _ in range(rounds)]
            naive = [_seconds(lambda: _naive(client)) for _ in range(rounds)]
            moments = random.Random(7).sample(range(EVERY, DAY), MOMENTS)
            books = [_seconds(lambda at=at: _book(stored, at)) for at in moments]  # type: ignore[misc]
        return {"trades_s": min(ours), "naive_s": min(naive), "book_s": median(books), "book_longest_s": max(books)}
    finally:
        for database in (f"{DATABASE}_inner", DATABASE):
            client.command(f"DROP DATABASE IF EXISTS {database}")
        client.close()


def _book(stored: Stored, second: int) -> None:
    book = stored.book_at("binance", "BTCUSDT", BEGIN + second * SECOND + SECOND // 2)
    assert book.complete, book.reason


def _naive(client: Any) -> None:
    import pandas

    pandas.DataFrame(client.query(f"SELECT * FROM {DATABASE}.trade FINAL ORDER BY time").result_rows)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _fill() -> tuple[str, ...]:
    at = f"fromUnixTimestamp64Nano(toInt64({BEGIN} + number * {{step}}), 'UTC') AS t"
    prices = "arrayMap(k -> toDecimal128(61800 {sign} ((number * 7 + k * 13) % 400) / 10, 12), range(10))"
    amounts = "arrayMap(k -> toDecimal128(((number + k) % 5) / 8, 12), range(10))"
    many = "arrayMap(k -> toDecimal128({first} {sign} k / 10, 12), range(1000))"
    ones = "arrayMap(k -> toDecimal128(1 + k % 3, 12), range(1000))"
    return (
        f"INSERT INTO {DATABASE}.coverage (exchange, symbol, receive_time, source, connection, stream, `from`, `to`, "
        f"time, version) WITH {at.format(step=0)} SELECT 'binance', 'BTCUSDT', t, 'WEBSOCKET', 'c', "
        f"arrayJoin(['trade', 'depth']), t, t + INTERVAL {DAY} SECOND, t, 1 FROM numbers(1)",
        f"INSERT INTO {DATABASE}.trade (exchange, symbol, event_time, transaction_time, receive_time, source, "
        "trade_id, trade_number, price, quantity, buyer_is_maker, aggregated, time, version) "
        f"WITH {at.format(step=800_000_000)} SELECT {_HEAD}, 'WEBSOCKET', toString(number), number, "
        "toDecimal128(61800 + number % 1000 / 10, 12), toDecimal128(number % 97 / 1000, 12), number % 2, true, t, 1 "
        f"FROM numbers({TRADES})",
        f"INSERT INTO {DATABASE}.depth (exchange, symbol, event_time, transaction_time, receive_time, source, "
        "update_type, first_update_id, last_update_id, previous_update_id, bid_price, bid_quantity, ask_price, "
        f"ask_quantity, time, version) WITH {at.format(step=100_000_000)} SELECT {_HEAD}, 'WEBSOCKET', 'DELTA', "
        f"number * 10 + 1, number * 10 + 10, number * 10, {prices.format(sign='-')}, {amounts}, "
        f"{prices.format(sign='+ 1 +')}, {amounts}, t, 1 FROM numbers({DAY * 10})",
        f"INSERT INTO {DATABASE}.depth (exchange, symbol, event_time, transaction_time, receive_time, source, "
        "update_type, level_limit, last_update_id, bid_price, bid_quantity, ask_price, ask_quantity, time, version) "
        f"WITH {at.format(step=EVERY * SECOND)} SELECT {_HEAD}, 'REST', 'SNAPSHOT', 1000, number * {EVERY * 100} + 5, "
        f"{many.format(first=61800, sign='-')}, {ones}, {many.format(first=61801, sign='+')}, {ones}, t, 1 "
        f"FROM numbers({DAY // EVERY})",
    )
