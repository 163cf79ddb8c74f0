"""What the configuration asks for: each series that is to have rows, and how long it may be without. Pure."""

import math
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from wsadapter.audit.rows import Scope
from wsadapter.config.model import Feed
from wsadapter.exchanges import load, load_rest
from wsadapter.exchanges.intervals import length_ms
from wsadapter.exchanges.planning import carried, stream_type
from wsadapter.exchanges.venue import Cadence
from wsadapter.times import SECOND

POLLED_SECONDS: Final = 600.0
"""Many symbols are asked for every 100 s each."""
AT_CHANGES: Final = ("funding_rate",)
"""Streams that speak when something changes, whatever the subscription that feeds them does."""

SeriesKey = tuple[str, str, str, str]
"""Exchange, stream, symbol and interval."""


class Configured(Struct, frozen=True):
    """``patience_ns``: it is never silent for so long while all is well; None: it may be, for ever."""

    key: SeriesKey
    patience_ns: int | None


def configured(feeds: Iterable[Feed], scope: Scope) -> list[Configured]:
    """Every series once, as far as the audit is about it."""
    found: dict[SeriesKey, Configured] = {}
    for feed in feeds:
        if scope.exchange in ("", feed.exchange):
            for one in _of_feed(feed):
                found.setdefault(one.key, one)
    return [one for one in found.values() if scope.stream in ("", one.key[1]) and scope.symbol in ("", one.key[2])]


def _of_feed(feed: Feed) -> Iterable[Configured]:
    venue = load(feed.exchange)
    for plan in venue.plan(feed):
        cadences = venue(plan).cadences
        for subscription in plan.subscriptions:
            cadence = cadences.get(subscription.name, Cadence())
            for symbol, word, interval in carried(subscription, plan):
                stream = stream_type(word).value
                yield Configured((feed.exchange, stream, symbol, interval), _patience(stream, interval, cadence))
    rest = load_rest(feed.exchange)
    for word in feed.streams:
        if rest is not None and word in rest.polled:
            for symbol in feed.symbols:
                yield Configured((feed.exchange, word, symbol, ""), round(POLLED_SECONDS * SECOND))


def _patience(stream: str, interval: str, cadence: Cadence) -> int | None:
    seconds = max(cadence.first, cadence.silence)
    if stream in AT_CHANGES or math.isinf(seconds):
        return None
    # a closed candle is one row an interval
    return round(seconds * SECOND) + (length_ms(interval) * 1_000_000 if interval else 0)
