"""What a line of a recorded file is, for dialects that do not say it themselves: every line is a frame.

Which events it is say the dialect's tables (`recorded_events`). Owns nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from wsadapter.embedded.exchange.connection import framed
from wsadapter.embedded.exchange.recorded_events import Asked, Readings, Told
from wsadapter.embedded.exchange.replay import Recogniser, Recorded
from wsadapter.embedded.market.streams import Offered, Push

StreamOf = Callable[[Any], str]
"""Of a message: the name of its stream as in the dialect's channels; empty for what is no data. May raise."""

_SYMBOLS: Final = re.compile(
    rb'"(?:s|symbol|instId|product_id|contract|coin|instrument_name|pair|n)":\s*"([^"]{1,64})"|'
    rb'"(?:channel|topic|stream|ch)":\s*"([^"]{1,64})"'
)
_NO_SYMBOL: Final = re.compile(rb"[0-9]*[a-zA-Z]?|SELL|BUY")
"""An id, an interval, a side."""
_PART: Final = re.compile(rb"[^.:@]*[-_/][^.:@]*|^[^.:@]+(?=@)")


_UNREADABLE: Final = (
    msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError, ValueError, AttributeError,
)  # fmt: skip
"""All that reading a hostile message raises."""


class MessageEvents:
    """Of one message of a stream of this name."""

    def __init__(self, readings: Readings, name: str, message: Any) -> None:
        self._readings, self._name, self._message = readings, name, message

    def count(self, told: Told, asked: Asked, is_asked: bool) -> Mapping[str, int]:
        try:
            return self._readings.events(self._name, self._message, told, asked, is_asked)
        except _UNREADABLE:
            return {}

    def is_carried(self, by: str) -> bool:
        return self._readings.is_carried(self._name, by)


def recogniser(
    stream_of: StreamOf | None, offered: Callable[[str], Offered | None], readings: Readings | None = None
) -> Recogniser:
    """With ``stream_of`` a frame goes to a connection of its stream's class, without to any."""

    def recognised(payload: bytes, at_ns: int = 0) -> Recorded | None:
        name, message = "", None
        if stream_of is not None:
            try:
                message = msgspec.json.decode(payload)
                name = stream_of(message)
            except _UNREADABLE:
                name = ""  # a client must bear it, whatever it is
        stream = offered(name) if name else None
        events = MessageEvents(readings, name, message) if name and readings is not None else None
        return Recorded(framed(payload), stream.route if stream else "", Push(name, ""), at_ns, events)

    return recognised


def symbols_in(line: bytes) -> Sequence[bytes]:
    """What may be symbols: the values of the keys that venues use, and parts of stream names."""
    found: list[bytes] = []
    for value, name in _SYMBOLS.findall(line):
        if value:
            found += (value, value.partition(b"_")[2]) if b"m_" in value or b"h_" in value else (value,)
        else:
            parts = _PART.findall(name)
            found += [part.upper() if b"@" in name else part for part in parts]
    return [one for one in found if len(one) == 1 or not _NO_SYMBOL.fullmatch(one)]
