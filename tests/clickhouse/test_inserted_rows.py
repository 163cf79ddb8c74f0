"""Which rows of an insert are in the tables, on the real engine: asked for every stream, with every kind of value."""

import random

import pytest
from clickhouse.table_bench import TableBench, message
from msgspec import structs
from samples import NS, full, random_event, sparse, trade

from wsadapter.clickhouse.presence import ROWS, Presence, version
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import Coverage, Event, Kline, Source
from wsadapter.events.streams import BY_EVENT, BY_STREAM
from wsadapter.pb import market_pb2

pytestmark = pytest.mark.integration
COVERAGE = Coverage("binance", "BTCUSDT", None, None, NS, Source.WEBSOCKET, "c", None, "trade", "", NS - 5, NS)


def lacking(bench: TableBench, stream: str, messages: list[bytes]) -> list[int]:
    return Presence(bench.client, bench.settings).lacking(BY_STREAM[stream], messages)


@pytest.mark.parametrize("event", [*full(), *sparse(), COVERAGE], ids=lambda event: type(event).__name__)
def test_what_is_there_and_what_is_not(bench: TableBench, event: Event) -> None:
    """Told by its identity, and without one by its sorting key and version."""
    if isinstance(event, Kline):
        event = structs.replace(event, closed=True)
    name = BY_EVENT[type(event)].name
    named = message(event, 2**63 + 1, 2**64 - 1)
    parse = getattr(market_pb2, BY_EVENT[type(event)].message).FromString
    unnamed = parse(named)
    unnamed.ClearField("epoch")
    unnamed.ClearField("position")
    if event.transaction_time_ns is not None:  # else it is a part of the key
        unnamed.receive_time_ns -= 1
    if name == "gap":
        unnamed.version -= 1
    assert lacking(bench, name, [named, unnamed.SerializeToString()]) == [0, 1]

    bench.insert(name, [named])
    assert lacking(bench, name, [named, unnamed.SerializeToString()]) == []
    assert bench.sql(f"SELECT toString(version) FROM {{db}}.{name}") == [
        [str(version(BY_EVENT[type(event)], parse(named)))]
    ]


@pytest.mark.parametrize("source", [Source.WEBSOCKET, Source.REST, Source.ARCHIVE])
@pytest.mark.parametrize("stream", ["trade", "kline"])
def test_versions_are_the_tables(bench: TableBench, stream: str, source: Source) -> None:
    event = next(e for e in full() if BY_EVENT[type(e)].name == stream)
    made = message(structs.replace(event, source=source), 1, 1)
    bench.insert(stream, [made])
    parsed = getattr(market_pb2, BY_STREAM[stream].message).FromString(made)
    assert bench.sql(f"SELECT toString(version) FROM {{db}}.{stream}") == [[str(version(BY_STREAM[stream], parsed))]]


def test_a_batch_of_many_of_which_some_lack(bench: TableBench) -> None:
    """More than one question's, of several symbols and months; of rows with one key the last is kept."""
    count, month = 3 * ROWS + 7, 31 * 86_400 * 10**9
    events = [trade(n % (2 * ROWS), f"S{n % 7}", NS + n) for n in range(count)]
    events = [structs.replace(e, transaction_time_ns=NS + n % 2 * month + n % (2 * ROWS)) for n, e in enumerate(events)]
    made = [message(event, 7 + n % 3, n) for n, event in enumerate(events)]
    bench.insert("trade", [m for n, m in enumerate(made) if n % 2])
    found = lacking(bench, "trade", made)
    assert found == list(range(0, count, 2))
    bench.insert("trade", [made[n] for n in found])
    assert lacking(bench, "trade", made) == []


def test_rows_that_no_table_can_keep_are_looked_for_among_the_rejected(bench: TableBench) -> None:
    odd = [message(structs.replace(trade(n), price="1e5"), 1, n) for n in range(4)]
    good = [message(trade(n), 1, n) for n in range(4, 8)]
    bench.insert("trade", odd[:3] + good[:3])
    assert lacking(bench, "trade", odd + good) == [3, 7]


def test_open_candles_are_passed_over(bench: TableBench, with_open_candles: TableBench) -> None:
    candle = next(e for e in full() if isinstance(e, Kline))
    made = [message(structs.replace(candle, closed=False, receive_time_ns=NS + n), 1, n) for n in range(5)]
    assert lacking(bench, "kline", made) == []
    assert lacking(with_open_candles, "kline", made) == [0, 1, 2, 3, 4]
    with_open_candles.insert("kline", made)
    assert lacking(with_open_candles, "kline", made) == [], "one of them is kept, the last"


def test_rows_past_their_ttl_are_not_looked_for(bench: TableBench) -> None:
    settings = structs.replace(bench.settings, ttl_days={"trade": 1})
    assert isinstance(settings, ClickHouseConfig)
    old = structs.replace(trade(1), transaction_time_ns=10**18)
    assert Presence(bench.client, settings).lacking(BY_STREAM["trade"], [message(old, 1, 1)]) == []
    assert lacking(bench, "trade", [message(old, 1, 1)]) == [0]
    said = Coverage(
        "binance", "BTCUSDT", None, None, 10**18, Source.WEBSOCKET, "m-0", None, "trade", "", 10**18, 10**18
    )
    for word in ("trade", "raw_trade"):
        of_it = structs.replace(said, stream=word)
        assert Presence(bench.client, settings).lacking(BY_STREAM["coverage"], [message(of_it, 1, 1)]) == [], word
    of_another = structs.replace(said, stream="depth")
    assert Presence(bench.client, settings).lacking(BY_STREAM["coverage"], [message(of_another, 1, 1)]) == [0]


def test_whatever_was_inserted_is_there(bench: TableBench) -> None:
    """Random events of every stream, in one insert each."""
    dice = random.Random(20261128)
    by_stream: dict[str, list[bytes]] = {}
    for number in range(400):
        event = random_event(dice)
        by_stream.setdefault(BY_EVENT[type(event)].name, []).append(message(event, 1 + number % 3, number))
    for stream, made in by_stream.items():
        bench.insert(stream, made)
        assert lacking(bench, stream, made) == [], stream
