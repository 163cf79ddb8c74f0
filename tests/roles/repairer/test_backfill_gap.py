"""The work on a request: fetched by time, without what the log holds; and requests that nobody can meet."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from roles.repairer.driven import Driven

from wsadapter.config.model import KafkaConfig
from wsadapter.events import Gap, Kline
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.kafka.backfill import PREFIX, BackfillRequest
from wsadapter.kafka.messages import gap_of
from wsadapter.pb import market_pb2
from wsadapter.roles.repairer import backfill
from wsadapter.roles.repairer.backfill import MARGIN_NS, backfill_of
from wsadapter.roles.repairer.published import Published

MS = 1_000_000
MINUTE = 60_000 * MS
START = 1_780_000_020_000 * MS // MINUTE * MINUTE
FEEDS: Any = {"fut": BinanceFuturesRest()}


def request(stream: str = "kline", interval: str = "1m", symbol: str = "BTCUSDT", feed: str = "fut") -> Gap:
    made = BackfillRequest(feed, "binance", symbol, stream, interval, START, START + 5 * MINUTE)
    gap = gap_of(made.gap("backfill:1:0", START).SerializeToString())
    assert gap is not None
    return gap


def logged(opened: int, received_ns: int, closed: bool = True) -> Any:
    value = market_pb2.Kline(
        exchange="binance", symbol="BTCUSDT", source=market_pb2.SOURCE_WEBSOCKET, interval="1m", closed=closed,
        open_time_ns=opened, close_time_ns=opened + MINUTE - MS, receive_time_ns=received_ns,
    ).SerializeToString()  # fmt: skip
    return SimpleNamespace(key=lambda: b"binance:BTCUSDT", topic=lambda: "websocket.kline", value=lambda: value)


class Log:
    """Instead of Kafka: two steps, all messages with the first."""

    messages: tuple[Any, ...] = ()

    def __init__(
        self, kafka: KafkaConfig, topics: list[str], started: int, ended: int, look: Callable[[Any], None]
    ) -> None:
        self.topics, self._look, self._steps = topics, look, 0

    def step(self) -> bool:
        self._steps += 1
        for message in self.messages if self._steps == 1 else ():
            self._look(message)
        return self._steps == 2

    def close(self) -> None: ...


def rows(*minutes: int) -> bytes:
    price = ("1", "1", "1", "1", "1")
    found = [
        [(START + n * MINUTE) // MS, *price, (START + (n + 1) * MINUTE) // MS - 1, "1", 1, "1", "1", "0"]
        for n in minutes
    ]
    return msgspec.json.encode(found)


def test_what_the_log_holds_in_the_middle_is_not_published_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "TimeRangeReader", Log)
    # the second is there, the third was never closed; the last came late
    Log.messages = (
        logged(START + MINUTE, START + 2 * MINUTE), logged(START + 2 * MINUTE, START + 2 * MINUTE + MS, closed=False),
        logged(START + 4 * MINUTE, START + 5 * MINUTE + MARGIN_NS // 2),
    )  # fmt: skip
    job = backfill_of(request(), FEEDS, KafkaConfig(), 1.0)
    assert job is not None
    driven = Driven(job)
    assert driven.at(1.0) is None
    assert driven.not_before > 1.0  # others have their turn
    assert driven.at(2.0) is not None
    found = driven.answer(rows(0, 1, 2, 3, 4, 5), START + 60 * MINUTE)
    opened = [(event.open_time_ns - START) // MINUTE for event in found if isinstance(event, Kline)]
    assert opened == [0, 2, 3]
    assert driven.is_done
    state = driven.events[-1]
    assert isinstance(state, Gap)
    assert (state.gap_id, state.version, state.repair_state) == ("backfill:1:0", 2, "repaired")


def test_one_that_is_begun_anew_does_not_publish_again_what_it_has_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second look at the log need not reach that."""
    monkeypatch.setattr(backfill, "TimeRangeReader", Log)
    Log.messages = ()
    gap = msgspec.structs.replace(request(), ended_ns=START + 2_000 * MINUTE)
    job = backfill_of(gap, FEEDS, KafkaConfig(), 1.0, published=Published())
    assert job is not None
    opened: list[int] = []
    for pages in (1, 9):
        driven = Driven(job)
        assert driven.at(1.0) is None
        while pages and (asked := driven.at(2.0)) is not None:
            query, pages = dict(asked.query), pages - 1
            first = (int(query["startTime"]) * MS - START) // MINUTE
            minutes = range(first, min(first + int(query["limit"]), 2_000))
            found = driven.answer(rows(*minutes), START + 3_000 * MINUTE)
            opened += [(event.open_time_ns - START) // MINUTE for event in found if isinstance(event, Kline)]
    assert driven.is_done
    assert opened == [*range(2_000)]


@pytest.mark.parametrize(
    "changes",
    [{"feed": "other"}, {"stream": "ticker", "interval": ""}, {"symbol": ""}, {"interval": ""}, {"stream": "trade"}],
)
def test_requests_that_cannot_be_met(changes: dict[str, str]) -> None:
    assert backfill_of(request(**changes), FEEDS, KafkaConfig(), 1.0) is None
    assert request(feed="fut").connection == f"{PREFIX}fut"
