"""What a line of a recorded Binance file is: a frame of which class, and what the product will make of it."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from wsadapter.embedded.exchange.connection import framed
from wsadapter.embedded.exchange.replay import Recorded
from wsadapter.embedded.market.binance_streams import route_of_event, route_of_stream
from wsadapter.embedded.market.streams import OnChange, Push

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


symbols_in: Final = re.compile(rb'"s":\s*"([^"]+)"').findall
"""A line -> the symbols that it names."""


class _Event(Struct):
    """As much of an event as counting takes."""

    e: str
    s: str = ""
    st: int = 1
    a: Raw | UnsetType = UNSET
    r: str = ""
    T: int = 0


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
_EVENTS: Final = msgspec.json.Decoder(list[_Event])


def recognised(payload: bytes, at_ns: int = 0) -> Recorded | None:
    """The frame in a line; ``None`` for what a push connection never carries. Broken JSON is a frame: it is what a
    client must bear."""
    try:
        line = _LINE.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        events = _events(payload) if payload.startswith(b"[") else []
        if payload.startswith(b"[") and not events:
            return None
        route = route_of_event(events[0].e) if events else ""
        return Recorded(framed(payload), route, _counted("", events), at_ns)
    if line.stream:
        data = bytes(line.data) if line.data is not UNSET else b""
        return Recorded(framed(payload), route_of_stream(line.stream), _counted(line.stream, _events(data)), at_ns)
    if line.e:
        return Recorded(framed(payload), route_of_event(line.e), _counted("", _events(payload)), at_ns)
    says = line.result, line.error, line.code
    if line.method or all(part is UNSET for part in says):
        return None
    return Recorded(framed(payload), "", Push("", ""), at_ns)


def _events(data: bytes) -> Sequence[_Event]:
    try:
        return _EVENTS.decode(data) if data.lstrip().startswith(b"[") else (_EVENT.decode(data),)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()


def _counted(stream: str, events: Sequence[_Event]) -> Push:
    """What the product makes of the events: one each, except COIN-M symbols and aggregate trades without an id."""
    known = [one for one in events if one.e in WORDS and one.st == 1 and _numbered(one)]
    if not known:
        return Push(stream, "")
    rates = tuple(
        OnChange("funding_rate", one.s, (one.r, one.T))
        for one in known
        if one.e == "markPriceUpdate" and one.r and one.T
    )
    return Push(stream, "", ((WORDS[known[0].e], len(known)),), rates)


def _numbered(one: _Event) -> bool:
    return one.e != "aggTrade" or (one.a is not UNSET and bytes(one.a) != b"null")
