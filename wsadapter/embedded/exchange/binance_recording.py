"""What a line of a recorded Binance file is: a frame of which class, and what the product will make of it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from wsadapter.embedded.exchange.connection import framed
from wsadapter.embedded.exchange.recorded_events import Asked, Told
from wsadapter.embedded.exchange.replay import Recogniser, Recorded
from wsadapter.embedded.market.binance_streams import route_of_event, route_of_stream
from wsadapter.embedded.market.streams import Push

WORDS: Final = {
    "kline": "kline",
    "24hrTicker": "ticker",
    "depthUpdate": "depth",
    "aggTrade": "trade",
    "trade": "trade",
    "markPriceUpdate": "mark_price",
    "forceOrder": "liquidation",
    "bookTicker": "book_ticker",
}


USD_M, COIN_M = 1, 2
"""``st`` of an event: its family of futures."""

symbols_in: Final = re.compile(rb'"s":\s*"([^"]+)"').findall
"""A line -> the symbols that it names."""


class _Inside(Struct, frozen=True):
    """The order of a liquidation."""

    s: str = ""


class _Event(Struct):
    """As much of an event as counting takes."""

    e: str
    s: str = ""
    st: int = 0
    o: Raw = Raw()
    a: Raw | UnsetType = UNSET
    r: str = ""
    T: int = 0
    X: str = ""


class _Line(Struct):
    stream: str = ""
    data: Raw | UnsetType = UNSET
    e: str = ""
    method: str = ""
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    code: Raw | UnsetType = UNSET


_LINE: Final = msgspec.json.Decoder(_Line)
_EVENT: Final = msgspec.json.Decoder(_Event)
_INSIDE: Final = msgspec.json.Decoder(_Inside)
_EVENTS: Final = msgspec.json.Decoder(list[_Event])


class BinanceEvents:
    """Of one message. ``other``: the ``st`` of the other family of futures, whose events come on the same stream and
    are none of ours."""

    def __init__(self, events: Sequence[_Event], other: int) -> None:
        self._events, self._other = events, other

    def count(self, told: Told, asked: Asked, is_asked: bool) -> Mapping[str, int]:
        """One each, except of the other family, aggregate trades without an id, and what was no trade (``X``)."""
        found: Counter[str] = Counter()
        for one in self._events:
            symbol = one.s or _symbol_inside(one.o)
            if one.e not in WORDS or one.st == self._other or not _is_event(one) or (asked and symbol not in asked):
                continue
            found[WORDS[one.e]] += 1
            key = "funding_rate", symbol
            if one.e == "markPriceUpdate" and one.r and one.T and told.get(key) != (one.r, one.T):
                told[key] = one.r, one.T
                found["funding_rate"] += 1
        return found

    def is_carried(self, by: str) -> bool:
        return False


def recogniser(other: int, routed: bool) -> Recogniser:
    """The frame in a line; ``None`` for what a push connection never carries. Broken JSON is a frame: it is what a
    client must bear. ``other``: see `BinanceEvents`. ``routed``: classes of connections are told by the streams."""

    def recorded(payload: bytes, stream: str, route: str, events: Sequence[_Event], at_ns: int) -> Recorded:
        of = BinanceEvents(events, other) if events else None
        return Recorded(framed(payload), route if routed else "", Push(stream, ""), at_ns, of)

    def recognised(payload: bytes, at_ns: int = 0) -> Recorded | None:
        try:
            line = _LINE.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            events = _events(payload) if payload.startswith(b"[") else []
            if payload.startswith(b"[") and not events:
                return None
            return recorded(payload, "", route_of_event(events[0].e) if events else "", events, at_ns)
        if line.stream:
            data = bytes(line.data) if line.data is not UNSET else b""
            return recorded(payload, line.stream, route_of_stream(line.stream), _events(data), at_ns)
        if line.e:
            return recorded(payload, "", route_of_event(line.e), _events(payload), at_ns)
        says = line.result, line.error, line.code
        if line.method or all(part is UNSET for part in says):
            return None
        return recorded(payload, "", "", (), at_ns)

    return recognised


recognised: Final = recogniser(other=COIN_M, routed=True)
"""Of USD-M futures."""


def _events(data: bytes) -> Sequence[_Event]:
    try:
        return _EVENTS.decode(data) if data.lstrip().startswith(b"[") else (_EVENT.decode(data),)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()


def _symbol_inside(order: Raw) -> str:
    try:
        return _INSIDE.decode(order).s
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _is_event(one: _Event) -> bool:
    if one.e == "trade":
        return one.X != "NA"
    return one.e != "aggTrade" or (one.a is not UNSET and bytes(one.a) != b"null")
