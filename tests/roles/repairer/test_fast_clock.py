"""Our clock is ahead of the venue's: a candle that is over by ours alone is none that the venue has closed."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from eventually import eventually

from wsadapter.config.model import KafkaConfig
from wsadapter.events import Event, Kline
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.kraken_rest import KrakenRest
from wsadapter.exchanges.rest_api import Request, RestExchange
from wsadapter.files import StateDirectory
from wsadapter.kafka.backfill import BackfillRequest
from wsadapter.kafka.messages import gap_of
from wsadapter.rest.client import RestResponse
from wsadapter.rest.host import RestHost
from wsadapter.roles.repairer import backfill
from wsadapter.roles.repairer.host_queue import HostQueue

SECOND = 10**9
MS = 1_000_000
MINUTE = 60 * SECOND
START = 1_780_000_020 * SECOND // MINUTE * MINUTE
NOW = START + 4 * MINUTE + 33 * SECOND
"""By the venue's clock: the fifth candle has 27 seconds to go."""
AHEAD = 30 * SECOND


class Log:
    """Kafka, without a message."""

    def __init__(self, *_: object) -> None: ...
    def step(self) -> bool:
        return True

    def close(self) -> None: ...


class Client:
    """Instead of the transport. What it answers is dated by the venue's clock and received by ours."""

    def __init__(self, body: bytes) -> None:
        self._response = RestResponse(200, body, None, None, NOW + AHEAD, NOW / SECOND, NOW)

    def ask(self, request: Request) -> RestResponse:
        return self._response


def binance(minute: int) -> list[Any]:
    opened = (START + minute * MINUTE) // MS
    return [opened, "1", "1", "1", "1", "1", opened + 59_999, "1", 1, "1", "1", "0"]


def kraken(minute: int) -> list[Any]:
    return [(START + minute * MINUTE) // SECOND, "1", "1", "1", "1", "1", "1", 1]


BINANCE = msgspec.json.encode([binance(minute) for minute in range(5)])
KRAKEN = msgspec.json.encode(
    {"error": [], "result": {"X": [kraken(minute) for minute in range(5)], "last": START // SECOND + 180}}
)


def fetched(rest: RestExchange, exchange: str, client: Client, directory: Path) -> list[int]:
    """Minutes of the candles that a request for the last five, by our clock, has published."""
    host = RestHost(rest, "http://127.0.0.1:1", StateDirectory(directory), directory, lambda: None)
    host._client = client  # type: ignore[assignment]
    made = BackfillRequest("feed", exchange, "BTCUSDT", "kline", "1m", START, NOW + AHEAD)
    gap = gap_of(made.gap("backfill:1:0", NOW + AHEAD).SerializeToString())
    assert gap is not None
    job = backfill.backfill_of(gap, {"feed": rest}, KafkaConfig(), time.monotonic())
    assert job is not None
    queue, events = HostQueue(host), list[Event]()
    queue.add(job)

    def is_done() -> bool:
        events.extend(queue.step(time.monotonic()))
        return bool(queue.finished)

    eventually(is_done, 60, "the request is worked off")
    return [(event.open_time_ns - START) // MINUTE for event in events if isinstance(event, Kline)]


@pytest.mark.parametrize(
    ("rest", "exchange", "body"),
    [(BinanceFuturesRest(), "binance", BINANCE), (KrakenRest(), "kraken", KRAKEN)],
    ids=["binance", "kraken"],
)
def test_a_candle_is_closed_by_the_clock_of_the_host(
    rest: RestExchange, exchange: str, body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "TimeRangeReader", Log)

    assert fetched(rest, exchange, Client(body), tmp_path) == [0, 1, 2, 3]
