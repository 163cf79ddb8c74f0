"""The names of the streams that the venue offers, and the class of connection that carries each.

The class is the point: a stream that is asked for on a connection of another class is acknowledged and never pushed,
and so is a name that means nothing.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct

from wsadapter.embedded.market.candles import INTERVALS

PUBLIC: Final = "public"
MARKET: Final = "market"
PRIVATE: Final = "private"
ROUTES: Final = (PUBLIC, MARKET, PRIVATE)

_PUBLIC_CHANNELS: Final = ("bookTicker", "depth", "rpiDepth", "trade")
_PUBLIC_EVENTS: Final = ("bookTicker", "depthUpdate", "trade")
_DEPTH: Final = re.compile(r"depth(5|10|20)?(?:@(0|100|250|500)ms)?")
_SYMBOL: Final = re.compile(r"[^\W_]{2,24}(_[^\W_]{1,12})?")
_EVERY_MS: Final[Mapping[str, int]] = {
    "aggTrade": 0,
    "trade": 0,
    "bookTicker": 0,
    "ticker": 2000,
    "miniTicker": 2000,
    "markPrice": 3000,
    "markPrice@1s": 1000,
    "forceOrder": 1000,
    "!ticker@arr": 1000,
    "!miniTicker@arr": 1000,
    "!markPrice@arr": 3000,
    "!markPrice@arr@1s": 1000,
    "!forceOrder@arr": 1000,
    "!bookTicker": 5000,
}


class Offered(Struct, frozen=True):
    """A stream that exists. ``symbol`` is empty for a stream of the whole market; ``levels`` is 0 for book changes;
    ``every_ms`` is 0 for what is pushed when it happens."""

    name: str
    route: str
    kind: str
    symbol: str
    every_ms: int
    levels: int = 0
    interval: str = ""


def route_of_stream(name: str) -> str:
    """The class of a stream name, of any that looks like one (replayed files have streams that we do not offer)."""
    channel = name.lstrip("!") if name.startswith("!") else name.partition("@")[2]
    return PUBLIC if channel.startswith(_PUBLIC_CHANNELS) else MARKET


def route_of_event(event: str) -> str:
    """The class that carries events of this type (a raw frame has no stream name)."""
    return PUBLIC if event in _PUBLIC_EVENTS else MARKET


@lru_cache(maxsize=4096)
def offered(name: str) -> Offered | None:
    """What ``name`` asks for; ``None`` when no such stream exists (names are lower case)."""
    if name.startswith("!"):
        every_ms = _EVERY_MS.get(name)
        if every_ms is None:
            return None
        return Offered(name, route_of_stream(name), name[1:].partition("@")[0], "", every_ms)
    symbol, _, channel = name.partition("@")
    if not _SYMBOL.fullmatch(symbol) or symbol != symbol.lower():
        return None
    route = route_of_stream(name)
    if found := _DEPTH.fullmatch(channel):
        levels, every = found.groups()
        # the undocumented 0 ms comes about every 50 ms in the recordings
        every_ms = 50 if every == "0" else int(every or 250)
        return Offered(name, route, "depth", symbol.upper(), every_ms, levels=int(levels or 0))
    if channel.startswith("kline_"):
        interval = channel.removeprefix("kline_")
        return Offered(name, route, "kline", symbol.upper(), 250, interval=interval) if interval in INTERVALS else None
    if channel not in _EVERY_MS or channel.startswith("!"):
        return None
    return Offered(name, route, channel.partition("@")[0], symbol.upper(), _EVERY_MS[channel])
