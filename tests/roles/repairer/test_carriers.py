"""Which host is asked for what a gap lacks, where a venue and its test network are recorded side by side."""

from typing import cast

import pytest

from wsadapter.client.config import ConnectionConfig
from wsadapter.events import Gap, Source
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.rest.host import RestHost
from wsadapter.roles.repairer.carriers import Carriers
from wsadapter.roles.repairer.host_queue import HostQueue

REST = BinanceFuturesRest()
LIVE, TEST = (HostQueue(cast(RestHost, None)) for _ in range(2))


def carriers(*feeds: tuple[HostQueue, str, tuple[str, ...], tuple[str, ...]]) -> Carriers:
    """``feeds``: host, name, symbols, streams."""
    made = Carriers()
    for queue, name, symbols, streams in feeds:
        config = ConnectionConfig(symbols=symbols, streams=streams, intervals=("1m",), name=name)
        for plan in BinanceFutures.plan(config.feed()):
            made.add(plan, queue, REST)
    return made


BOTH = carriers(
    (LIVE, "live", ("BTCUSDT", "ETHUSDT"), ("trade", "funding_rate", "mark_price")),
    (TEST, "test", ("ABCUSDT",), ("trade", "funding_rate", "mark_price")),
    (TEST, "more", ("BTCUSDT", "ABCUSDT"), ("kline",)),
)


def gap(symbol: str, stream: str = "trade", connection: str = "test-s2-market-0") -> Gap:
    return Gap(
        "binance", symbol, None, None, 9, Source.WEBSOCKET, connection, 3, "1:2", 2, stream,
        "1m" if stream == "kline" else "", "reload", 5, 7, None, None, None, "open",
    )  # fmt: skip


def found(made: Carriers, about: Gap) -> tuple[HostQueue, list[tuple[str, str]]] | None:
    carrier = made.of_moved(about)
    return None if carrier is None else (carrier.queue, [(each.stream, each.symbol) for each in carrier.series])


@pytest.mark.parametrize(
    ("symbol", "stream", "queue"),
    [
        ("BTCUSDT", "trade", LIVE), ("ETHUSDT", "trade", LIVE), ("ABCUSDT", "trade", TEST), ("BTCUSDT", "kline", TEST),
    ],
)  # fmt: skip
def test_what_moved_here_is_asked_of_the_host_that_has_it_now(symbol: str, stream: str, queue: HostQueue) -> None:
    assert found(BOTH, gap(symbol, stream)) == (queue, [(stream, symbol)])


def test_what_no_host_has_is_asked_of_none_where_there_are_two() -> None:
    assert found(BOTH, gap("XRPUSDT")) is None
    assert found(BOTH, gap("BTCUSDT", "liquidation")) is None
    alone = carriers((TEST, "test", ("ABCUSDT",), ("trade",)))
    assert found(alone, gap("XRPUSDT")) == (TEST, [("trade", "XRPUSDT")])


def test_a_gap_of_a_connection_that_is_here_is_its_own() -> None:
    carrier = BOTH.of(gap("", connection="test-market-0"))
    assert carrier is not None
    assert (carrier.queue, {each.symbol for each in carrier.series}) == (TEST, {"ABCUSDT"})
    assert BOTH.of(gap("ABCUSDT")) is None


def test_settled_rates_of_each_host_are_polled_and_each_symbol_once() -> None:
    twice = carriers(
        (LIVE, "live", ("BTCUSDT",), ("funding_rate",)),
        (LIVE, "again", ("BTCUSDT", "ETHUSDT"), ("funding_rate",)),
        (TEST, "test", ("ABCUSDT",), ("funding_rate",)),
        (TEST, "more", ("XYZUSDT",), ("trade",)),
    )
    polled = {at: symbols for at, (_, symbols) in twice.with_stream("funding_rate").items()}
    assert polled == {("binance", LIVE): ["BTCUSDT", "ETHUSDT"], ("binance", TEST): ["ABCUSDT"]}
