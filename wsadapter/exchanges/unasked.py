"""Streams that nobody asked for: what a recording holds, or the venue sends on. Pure.

Data of a known stream of one of the feed's symbols are events, whatever the feed's streams are.
"""

import re
from collections.abc import Callable, Collection, Sequence

from wsadapter.exchanges.planning import stream_type
from wsadapter.exchanges.venue import Channel, Subscription


def unasked(
    channels: Sequence[Channel], spoken: Callable[[str], str], symbols: Collection[str], name: str
) -> tuple[Channel, Subscription] | None:
    """The stream of this name, as data say it; None where the venue's tables do not have it, or not for these
    symbols."""
    for channel in channels:
        match = re.fullmatch(_form(spoken(channel.name), channel.named is not None), name)
        if match is None or (channel.named is not None and channel.named(name) is None):
            continue
        found = match.groupdict()
        symbol = found.get("symbol", "")
        if "lower" in found:
            symbol = next((each for each in symbols if each.lower() == found["lower"]), found["lower"])
        codes = [
            ours for ours, theirs in (channel.intervals or {"": ""}).items() if theirs == found.get("interval", "")
        ]
        is_of_the_feed = bool(channel.symbol) if not symbol else symbol in symbols
        if not codes or not is_of_the_feed or (symbol and channel.offered and not channel.offered(symbol)):
            continue
        stream = stream_type(channel.words[0])
        feeds = channel.words if channel.words != (stream.value,) else ()
        return channel, Subscription(name, stream, symbol, codes[0], feeds)
    return None


def _form(name: str, told: bool) -> str:
    """A pattern of a channel's name. What else may stand in it (levels, a speed) only a request says, unless the
    channel itself tells its names (``told``)."""
    known = {"symbol": "(?P<symbol>.+)", "lower": "(?P<lower>.+)", "interval": "(?P<interval>.+)"}
    parts = re.split(r"\{(\w+)\}", name)
    return "".join(
        known.get(part, ".*" if told else re.escape(f"{{{part}}}")) if odd % 2 else re.escape(part)
        for odd, part in enumerate(parts)
    )
