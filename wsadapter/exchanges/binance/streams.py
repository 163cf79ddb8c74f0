"""Binance USD-M futures: what to subscribe to and where.

One connection carries one class: a subscription on the wrong root is acknowledged and then stays silent. Names are
lower case; partial books and diffs differ by name only, their payloads are the same.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, get_args

from msgspec.json import encode

from wsadapter.errors import ConfigError
from wsadapter.events import StreamType, UpdateType
from wsadapter.exchanges.binance.wire import Code
from wsadapter.exchanges.venue import Cadence, ConnectionPlan, FeedSettings, Subscription

LIVE: Final = "wss://fstream.binance.com"
TESTNET: Final = "wss://demo-fstream.binance.com"
MAX_STREAMS: Final = 1024
MAX_NAMES: Final = 200
MAX_REQUEST_BYTES: Final = 4096

PUBLIC: Final = frozenset({"depth", "book_ticker", "raw_trade"})
MARKET: Final = frozenset({"kline", "ticker", "trade", "mark_price", "funding_rate", "liquidation"})
REST: Final = frozenset({"open_interest"})
INTERVALS: Final = frozenset(get_args(Code))
LEVELS: Final = frozenset({0, 5, 10, 20})

CADENCES: Final[Mapping[StreamType, Cadence]] = {
    # once a second whatever the market does
    StreamType.MARK_PRICE: Cadence(10.0, 10.0),
    StreamType.FUNDING_RATE: Cadence(10.0, 10.0),
    # every 2 s, but only when something changed
    StreamType.TICKER: Cadence(30.0, 60.0, 10.0),
    # a book changes all the time, that of a symbol nobody trades less often
    StreamType.DEPTH: Cadence(30.0, 60.0, 20.0),
    StreamType.BOOK_TICKER: Cadence(30.0, 60.0, 20.0),
    # as often as somebody trades: its own rhythm tells
    StreamType.TRADE: Cadence(60.0, 600.0, 20.0),
    StreamType.KLINE: Cadence(60.0, 600.0, 20.0),
}

_SPEED: Final = re.compile(r"(?:[0-9]{1,4}ms)?").fullmatch
_DEPTH_NAME: Final = re.compile(r"@depth([0-9]{1,4})?(?:@|$)").search


def plans(feed: FeedSettings) -> list[ConnectionPlan]:
    """Connections of one class each, none with more streams than the venue allows."""
    _check(feed)
    # the venue's symbols are upper case, whatever the operator typed
    symbols = tuple(dict.fromkeys(symbol.upper() for symbol in feed.symbols))
    base = (feed.ws_url or (TESTNET if feed.testnet else LIVE)).rstrip("/")
    found = []
    for root, names in (("public", _public), ("market", _market)):
        wanted = [subscription for symbol in symbols for subscription in names(feed, symbol)]
        for index, first in enumerate(range(0, len(wanted), MAX_STREAMS)):
            found.append(
                ConnectionPlan(
                    f"{feed.name}-{root}-{index}",
                    feed.exchange,
                    f"{base}/{root}/stream",
                    tuple(wanted[first : first + MAX_STREAMS]),
                    symbols,
                )
            )
    return found


def _check(feed: FeedSettings) -> None:
    errors = [("streams", f"unknown stream {word!r}") for word in feed.streams if word not in PUBLIC | MARKET | REST]
    errors += [("intervals", f"unknown interval {code!r}") for code in feed.intervals if code not in INTERVALS]
    if not feed.symbols or any(not s or "*" in s or "@" in s or "/" in s for s in feed.symbols):
        errors.append(("symbols", "name each symbol: there is no wildcard"))
    if "kline" in feed.streams and not feed.intervals:
        errors.append(("intervals", "none, and kline needs one"))
    if feed.depth_levels not in LEVELS:
        errors.append(("depth_levels", "must be 5, 10 or 20 (snapshots of the top levels) or 0 (diffs)"))
    if not _SPEED(feed.depth_speed):
        errors.append(("depth_speed", 'must be text like "100ms", or empty'))
    if errors:
        raise ConfigError(errors)


def _public(feed: FeedSettings, symbol: str) -> list[Subscription]:
    name, wanted = symbol.lower(), []
    if "depth" in feed.streams:
        # 250 ms is the venue's default and has no suffix
        speed = "" if feed.depth_speed in ("", "250ms") else f"@{feed.depth_speed}"
        wanted.append(Subscription(f"{name}@depth{feed.depth_levels or ''}{speed}", StreamType.DEPTH, symbol))
    if "book_ticker" in feed.streams:
        wanted.append(Subscription(f"{name}@bookTicker", StreamType.BOOK_TICKER, symbol))
    if "raw_trade" in feed.streams:
        wanted.append(Subscription(f"{name}@trade", StreamType.TRADE, symbol))
    return wanted


def _market(feed: FeedSettings, symbol: str) -> list[Subscription]:
    name, wanted = symbol.lower(), []
    if "kline" in feed.streams:
        for code in dict.fromkeys(feed.intervals):
            wanted.append(Subscription(f"{name}@kline_{code}", StreamType.KLINE, symbol, code))
    if "ticker" in feed.streams:
        wanted.append(Subscription(f"{name}@ticker", StreamType.TICKER, symbol))
    if "trade" in feed.streams:
        wanted.append(Subscription(f"{name}@aggTrade", StreamType.TRADE, symbol))
    if "mark_price" in feed.streams or "funding_rate" in feed.streams:
        # one stream feeds both
        kind = StreamType.MARK_PRICE if "mark_price" in feed.streams else StreamType.FUNDING_RATE
        wanted.append(Subscription(f"{name}@markPrice@1s", kind, symbol))
    if "liquidation" in feed.streams:
        wanted.append(Subscription(f"{name}@forceOrder", StreamType.LIQUIDATION, symbol))
    return wanted


def batches(names: Iterable[str]) -> list[tuple[str, ...]]:
    """``names`` in requests that the venue takes: few parameters, few bytes."""
    found: list[tuple[str, ...]] = []
    batch: list[str] = []
    size = 0
    for name in names:
        octets = len(name.encode()) + 3
        if batch and (len(batch) == MAX_NAMES or size + octets > MAX_REQUEST_BYTES - 128):
            found.append(tuple(batch))
            batch, size = [], 0
        batch.append(name)
        size += octets
    return [*found, tuple(batch)] if batch else found


def request(method: str, names: tuple[str, ...], number: int) -> bytes:
    return encode({"method": method, "params": names, "id": number})


def cadences(subscriptions: Iterable[Subscription]) -> dict[str, Cadence]:
    """How often each stream speaks; liquidations may be quiet for hours."""
    found = {s.name: CADENCES.get(s.stream) for s in subscriptions}
    return {name: cadence for name, cadence in found.items() if cadence is not None}


def depth_kind(stream: str) -> tuple[UpdateType, int] | None:
    """Update type and level limit of a depth stream by its name; a bare frame has none and counts as a diff. None for a
    book that is not the one we publish (``@rpiDepth``)."""
    if "@rpiDepth" in stream:
        return None
    found = _DEPTH_NAME(stream)
    if found and found[1]:
        return UpdateType.SNAPSHOT, int(found[1])
    return UpdateType.DELTA, 0
