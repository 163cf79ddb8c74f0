"""A Binance that answers REST requests of ours, in this process: the loopback venue's markets, moved by hand."""

from typing import Any

import msgspec
from exchanges.driving import drive

from wsadapter.embedded.market.binance_rest import Rest
from wsadapter.embedded.market.binance_streams import offered
from wsadapter.embedded.market.clock import MarketState
from wsadapter.embedded.market.markets import Markets
from wsadapter.events import MarketEvent
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.rest_api import Filled, Hole, Request

START_MS = 1_790_771_371_000
MS = 1_000_000
SYMBOL = "BTCUSDT"


class LoopbackRest:
    """A floor with subscribers, and its REST."""

    def __init__(self, *streams: str) -> None:
        self.now_ms = START_MS
        self.floor = Markets((SYMBOL, "ETHUSDT"), 100, 1, MarketState(), lambda: self.now_ms)
        self.rest = Rest(self.floor, lambda: self.now_ms)
        self.pushed: list[dict[str, Any]] = []
        self.asked: list[Request] = []
        for name in streams:
            stream = offered(name)
            assert stream
            self.floor.subscribe(stream)

    def run(self, seconds: int) -> "LoopbackRest":
        for _ in range(seconds * 20):
            self.now_ms += 50
            self.pushed += [msgspec.json.decode(push.data) for push in self.floor.advance(self.now_ms)]
        return self

    def answer(self, request: Request) -> bytes:
        self.asked.append(request)
        reply = self.rest.answer(request.path, dict(request.query))
        assert reply.status == 200, reply.body
        return reply.body

    def fill(self, hole: Hole, received_ns: int | None = None) -> tuple[Filled, list[MarketEvent]]:
        """Repair a hole to its end."""
        filled, events = drive(BinanceFuturesRest().repair(hole), self.answer, received_ns or self.now_ms * MS)
        assert filled.published == len(events)
        return filled, events
