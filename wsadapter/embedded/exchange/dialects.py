"""The venues that the stand-in can speak like: one row each, and the only place in `embedded` that names one.

A dialect shares no code with what is tested against it: its frames are written from the venues' documentation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from wsadapter.embedded.exchange import STAND_INS, binance_recording, binance_requests, bybit_requests
from wsadapter.embedded.exchange.connection import VenueLimits
from wsadapter.embedded.exchange.listeners import PushSource
from wsadapter.embedded.exchange.replay import Recogniser
from wsadapter.embedded.exchange.requests import Subscriptions, Target
from wsadapter.embedded.market import (
    binance_load_feed,
    binance_rest,
    binance_streams,
    bybit_rest,
    bybit_streams,
)
from wsadapter.embedded.market.clock import MarketState
from wsadapter.embedded.market.markets import Markets
from wsadapter.embedded.market.rest import RestAnswers
from wsadapter.embedded.market.streams import Offered
from wsadapter.errors import WsadapterError

NowMs = Callable[[], int]


class Dialect(Struct, frozen=True):
    """``target``: what a path asks for (None: no such path). ``subscriptions``: of a connection, for its target and the
    most streams. ``offered``: the stream of a name. ``rest``: the answers over the markets. ``limits``: the venue's
    rules of a connection. ``load_feed``: where there is a blast; ``recognised`` and ``symbols_in``: where there
    is a replay."""

    target: Callable[[str], Target | None]
    subscriptions: Callable[[Target, int], Subscriptions]
    offered: Callable[[str], Offered | None]
    rest: Callable[[Markets, NowMs], RestAnswers]
    limits: VenueLimits = VenueLimits()
    load_feed: Callable[[Markets, float, int, MarketState, NowMs], PushSource] | None = None
    recognised: Recogniser | None = None
    symbols_in: Callable[[bytes], Sequence[bytes]] | None = None


DIALECTS: Final[Mapping[str, Dialect]] = {
    "binance": Dialect(
        target=binance_requests.target,
        subscriptions=lambda goal, most: binance_requests.SocketSubscriptions(goal.names, goal.combined, most),
        offered=binance_streams.offered,
        rest=binance_rest.Rest,
        load_feed=binance_load_feed.LoadFeed,
        recognised=binance_recording.recognised,
        symbols_in=binance_recording.symbols_in,
    ),
    "bybit": Dialect(
        target=bybit_requests.target,
        subscriptions=lambda goal, most: bybit_requests.TopicSubscriptions(),
        offered=bybit_streams.offered,
        rest=bybit_rest.Rest,
        limits=VenueLimits(ping_interval=0, silence=600.0, life=0, messages=0),
    ),
}
DEFAULT: Final = next(iter(STAND_INS))


def dialect(exchange: str) -> Dialect:
    if exchange not in DIALECTS:
        raise WsadapterError(f"no stand-in speaks like {exchange!r}, only: {' '.join(DIALECTS)}")
    return DIALECTS[exchange]
