"""How late events are, as a serializer counts it: samples, by hop, and nothing that is no measure."""

from collections.abc import Iterator
from typing import Any

import pytest

from wsadapter import metrics
from wsadapter.events.streams import BY_STREAM
from wsadapter.pb import market_pb2
from wsadapter.roles.serializer import latency
from wsadapter.roles.serializer.latency import LatencySamples
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

NAME = "wsadapter-latency-test"
MS = 1_000_000
NOW = 1_700_000_000_000 * MS
TRADE = BY_STREAM["trade"].kind


@pytest.fixture
def page() -> Iterator[StatsPage]:
    Segment.unlink(NAME)
    made = StatsPage.create(NAME, metrics.serializer(["binance"]))
    yield made
    made.release()
    Segment.unlink(NAME)


@pytest.fixture(autouse=True)
def each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "EVERY_SECONDS", 0.0)


def trade(
    receive_ns: int, event_ns: int | None, exchange: str = "binance", source: Any = market_pb2.SOURCE_WEBSOCKET
) -> dict[str, Any]:
    message = market_pb2.Trade(
        epoch=1, position=2, exchange=exchange, symbol="BTCUSDT", receive_time_ns=receive_ns, source=source
    )
    if event_ns is not None:
        message.event_time_ns = event_ns
    return {"key": b"k", "value": message.SerializeToString()}


def delivered(samples: LatencySamples, oldest: dict[str, Any]) -> None:
    assert samples.is_due(7)
    samples.remember([(TRADE, oldest["value"])])
    samples.arrived(NOW)


def count(page: StatsPage, hop: str) -> int:
    return page[f"latency_seconds_count{{{metrics.latency_labels('trade', hop, 'binance')}}}"]


def bucket(page: StatsPage, hop: str, le: str) -> int:
    return page[f'latency_seconds_bucket{{{metrics.latency_labels("trade", hop, "binance")},le="{le}"}}']


def test_the_oldest_of_a_batch_counts_by_hop(page: StatsPage) -> None:
    samples = LatencySamples(page)
    delivered(samples, trade(NOW - 40 * MS, NOW - 43 * MS))

    assert (count(page, metrics.RECEIVED), count(page, metrics.DELIVERED)) == (1, 1)
    assert (bucket(page, metrics.RECEIVED, "0.0025"), bucket(page, metrics.RECEIVED, "0.005")) == (0, 1)
    assert (bucket(page, metrics.DELIVERED, "0.025"), bucket(page, metrics.DELIVERED, "0.05")) == (0, 1)
    assert page[f"latency_seconds_sum_ns{{{metrics.latency_labels('trade', metrics.RECEIVED, 'binance')}}}"] == 3 * MS


def test_a_venue_whose_clock_is_ahead_counts_as_zero_and_one_without_a_time_not_at_all(page: StatsPage) -> None:
    samples = LatencySamples(page)
    delivered(samples, trade(NOW - 40 * MS, NOW))
    delivered(samples, trade(NOW - 40 * MS, None))

    assert (count(page, metrics.RECEIVED), count(page, metrics.DELIVERED)) == (1, 2)
    assert bucket(page, metrics.RECEIVED, "0.001") == 1


def test_what_is_no_measure_is_left_out(page: StatsPage) -> None:
    samples = LatencySamples(page)
    delivered(samples, trade(NOW, NOW, source=market_pb2.SOURCE_REST))  # fetched over REST
    delivered(samples, trade(NOW, NOW, exchange="okx"))  # no cells of it
    delivered(samples, {"key": b"k", "value": b"\xff\xff"})

    assert count(page, metrics.DELIVERED) == 0


def test_what_is_sent_again_is_not_counted_before(page: StatsPage) -> None:
    samples = LatencySamples(page)
    assert samples.is_due(7)
    samples.remember([(TRADE, trade(NOW, NOW)["value"])])
    samples.forget()
    samples.arrived(NOW)

    assert count(page, metrics.DELIVERED) == 0


def test_a_ring_is_looked_at_now_and_then(page: StatsPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "EVERY_SECONDS", 3600.0)
    samples = LatencySamples(page)

    assert samples.is_due(7)
    assert not samples.is_due(7)
    assert samples.is_due(8)
