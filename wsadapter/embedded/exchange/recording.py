"""What a line of a recorded file is, for dialects that do not say it themselves: every line is a frame.

The product counts what it makes of them; of the venue only the frames are counted. Owns nothing.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from wsadapter.embedded.exchange.connection import framed
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


def recogniser(stream_of: StreamOf | None, offered: Callable[[str], Offered | None]) -> Recogniser:
    """With ``stream_of`` a frame goes to a connection of its stream's class, without to any."""

    def recognised(payload: bytes, at_ns: int = 0) -> Recorded | None:
        name = ""
        if stream_of is not None:
            try:
                name = stream_of(msgspec.json.decode(payload))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError, AttributeError):
                name = ""  # a client must bear it, whatever it is
        stream = offered(name) if name else None
        return Recorded(framed(payload), stream.route if stream else "", Push(name, ""), at_ns)

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
