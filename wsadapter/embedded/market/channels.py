"""A venue's streams as a table: what each is called and how its frames are spelled; what pushes them is here.

A channel's ``frame`` is a small function of the stream (`DeclaredStream`: its name, instrument, market), of what
happened, and of the time; it returns the frame's whole text, None for nothing. Templates of names hold ``{symbol}``,
``{interval}`` (the venue's code) and ``{levels}``; without ``{symbol}`` the stream is that of the whole market.

How many events the product makes of a frame follows from the channel: a trade each, a candle each, a book each, or what
``words`` and ``told`` say.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, ClassVar, Final, NamedTuple, cast
from uuid import NAMESPACE_OID, uuid5

from msgspec import Struct

from wsadapter.embedded.market.candles import Candle
from wsadapter.embedded.market.market import Market
from wsadapter.embedded.market.streams import (
    AggregateTrade,
    Liquidated,
    MarketStream,
    Offered,
    OnChange,
    Push,
    WholeStream,
    next_multiple,
)

Levels = list[tuple[int, int]]
"""Price and quantity of each; quantity 0: the level is gone."""
TRADES_A_STEP: Final = 0.4
"""Of the steps of a market so many are trades."""
BEST_CHANGES_A_STEP: Final = 0.6
NO_LEVELS: Final[Levels] = []
_FIELD: Final = re.compile(r"\{(\w+)\}")


class Print(NamedTuple):
    """A trade as venues report it. ``number`` is the last one of the ``fills`` that it stands for; ``update_id`` is the
    book's after it; ``aggregate_id`` numbers those that stand for all fills of an order."""

    number: int
    price: int
    quantity: int
    time_ms: int
    seller: bool
    update_id: int
    fills: int = 1
    aggregate_id: int = 0

    def uuid(self, symbol: str) -> str:
        """For venues whose ids are no numbers: the same on the stream and over REST."""
        return str(uuid5(NAMESPACE_OID, f"{symbol}:{self.number}"))


class BookChange(NamedTuple):
    """One push of a book. ``is_snapshot``: all levels, else those that changed, best first. ``number`` grows by one
    with each change of the stream; ``update_id`` is the market's, ``previous_id`` that of the push before (None in a
    snapshot)."""

    is_snapshot: bool
    bids: Levels
    asks: Levels
    number: int
    update_id: int
    previous_id: int | None
    time_ms: int


class Channel(Struct, frozen=True, kw_only=True):
    """``route``: the class of connection that carries it. ``codes``: the venue's interval codes -> ours. ``symbol``:
    pattern of its symbols, where they are not the dialect's. ``every_ms``: its pace, 0 = when it happens."""

    made: ClassVar[type["DeclaredStream"]]
    per_step: ClassVar[float] = 0.0

    name: str
    frame: Callable[..., str | None]
    route: str = ""
    every_ms: int = 0
    codes: Mapping[str, str] = {}
    symbol: str = ""

    def pattern(self, symbol: str) -> "re.Pattern[str]":
        """What matches the names of this channel."""
        fields = {
            "symbol": self.symbol or symbol,
            "interval": "|".join(map(re.escape, self.codes)) or "(?!)",
            "levels": "|".join(str(levels) for levels in self.paces()) or "(?!)",
        }
        texts = _FIELD.split(self.name)
        return re.compile(
            "".join(f"(?P<{text}>{fields[text]})" if odd else re.escape(text) for text, odd in _alternating(texts))
        )

    def paces(self) -> Mapping[int, int]:
        """Levels of a book -> its pace."""
        return {}

    def offered(self, found: "re.Match[str]", spelled: Callable[[str], str] = str) -> Offered:
        """The stream that a name asks for. ``spelled``: the symbol of a name as the venue writes it elsewhere."""
        told = found.groupdict()
        levels, code = int(told.get("levels") or 0), told.get("interval") or ""
        symbol = spelled(told.get("symbol") or "")
        return Offered(
            name=found.string,
            route=self.route,
            kind=self.name,
            symbol=symbol,
            every_ms=self.paces().get(levels, self.every_ms),
            levels=levels,
            interval=self.codes.get(code, ""),
            code=code,
            per_step=self.per_step,
            make=self._make,
            make_whole=None if symbol else self._make_whole,
        )

    def _make(self, offered: Offered, market: Market) -> MarketStream:
        return self.made(self, offered, market)

    def _make_whole(self, offered: Offered, now_ms: int) -> WholeStream:
        return Whole(self, offered, now_ms)


def offering(
    channels: Sequence[Channel], symbol: str, spelled: Callable[[str], str] = str
) -> Callable[[str], Offered | None]:
    """The stream of a name, None when nobody handles it. ``symbol``: pattern of the venue's symbols in names;
    ``spelled``: how it writes them elsewhere."""
    patterns = [(channel, channel.pattern(symbol)) for channel in channels]

    @lru_cache(maxsize=4096)
    def offered(name: str) -> Offered | None:
        for channel, pattern in patterns:
            if found := pattern.fullmatch(name):
                return channel.offered(found, spelled)
        return None

    return offered


class DeclaredStream(MarketStream):
    """One subscribed stream of a market: what a ``frame`` is given first."""

    def __init__(self, channel: Any, offered: Offered, market: Market) -> None:
        super().__init__(offered, market)
        self._due_ms = next_multiple(market.now_ms, offered.every_ms) if offered.every_ms else 0
        self.channel = channel
        self.name, self.symbol = offered.name, offered.symbol
        self.code, self.interval, self.levels = offered.code, offered.interval, offered.levels
        self.i = market.instrument

    def moved(self, now_ms: int) -> Iterable[Push]:
        if not self._due_ms or now_ms < self._due_ms:
            return ()
        self._due_ms = next_multiple(now_ms, self.offered.every_ms)
        return self.push(now_ms)

    def push(self, now_ms: int) -> Iterable[Push]:
        """What is due at the pace of the stream."""
        return ()

    def told(self, text: str | None, *events: tuple[str, int], on_change: tuple[OnChange, ...] = ()) -> Iterator[Push]:
        """The push of a frame, if there is one."""
        if text is not None:
            yield Push(self.name, text, events, on_change)


# ---------------------------------------------------------------------------------------------------------- trades


class _Trades(DeclaredStream):
    channel: "Trades"

    def snapshot(self, now_ms: int) -> Push | None:
        first = self.channel.first
        if first is None:
            return None
        prints = list(islice(recent_prints(self.market, self.channel.aggregated), self.channel.recent))[::-1]
        return next(iter(self._push(first(self, prints, now_ms), prints)), None)

    def traded(self, deal: AggregateTrade, now_ms: int) -> Iterable[Push]:
        prints = prints_of(deal, self.channel.aggregated)
        for together in [prints] if self.channel.together else [[one] for one in prints]:
            yield from self._push(self.channel.frame(self, together, now_ms), together)

    def _push(self, text: str | None, prints: Sequence[Print]) -> Iterator[Push]:
        more = ((word, sum(map(count, prints))) for word, count in self.channel.words.items())
        if text is not None and self.channel.once:
            also = [(word, one.number) for word, count in self.channel.words.items() for one in prints if count(one)]
            yield Push(self.name, text, numbers=tuple(one.number for one in prints), also=tuple(also))
        elif text is not None:
            yield Push(self.name, text, (("trade", len(prints)), *(one for one in more if one[1])))


class Trades(Channel, frozen=True, kw_only=True):
    """``frame(stream, prints, now_ms)``. ``aggregated``: a deal is one print. ``together``: all prints of a deal in one
    frame. ``first``: spells the last ``recent`` trades, which a new subscriber gets first; ``once``: the product passes
    over those that it was told before. ``words``: other events that the product makes of a print -> how many."""

    made = _Trades
    per_step = TRADES_A_STEP

    aggregated: bool = False
    together: bool = True
    first: Callable[..., str | None] | None = None
    recent: int = 50
    once: bool = False
    words: Mapping[str, Callable[[Print], int]] = {}


def prints_of(deal: AggregateTrade, aggregated: bool = False) -> list[Print]:
    if aggregated:
        whole = Print(
            deal.last_id, deal.price, deal.quantity, deal.time_ms, deal.seller, deal.update_id, len(deal.fills),
            deal.aggregate_id,
        )  # fmt: skip
        return [whole]
    return [
        Print(number, deal.price, quantity, deal.time_ms, deal.seller, deal.update_id)
        for number, quantity in enumerate(deal.fills, deal.first_id)
    ]


def recent_prints(market: Market, aggregated: bool = False) -> Iterator[Print]:
    """What the market keeps, newest first."""
    for deal in reversed(market.deals):
        yield from reversed(prints_of(deal, aggregated))


# ---------------------------------------------------------------------------------------------------------- candles


class _Candles(DeclaredStream):
    """Each candle when it closes, and the open one when it has changed."""

    channel: "Candles"

    def __init__(self, channel: Any, offered: Offered, market: Market) -> None:
        super().__init__(channel, offered, market)
        self._last_id = 0

    def snapshot(self, now_ms: int) -> Push | None:
        if self.channel.first is None:
            return None
        kept = [*self.market.candles.closed[self.interval], self.market.candles.current(self.interval)]
        candles = [one for one in kept if one.trades][-self.channel.recent :]
        if not candles:
            return None
        return self._one(self.channel.first(self, candles, now_ms), candles)

    def candle_closed(self, interval: str, candle: Candle, now_ms: int) -> Iterable[Push]:
        if interval != self.interval or (not candle.trades and self.channel.by_successor):
            return
        # a venue that says nothing of the end tells the last state once more
        if self.channel.says_closed or candle.last_id != self._last_id:
            self._last_id = candle.last_id
            if push := self._one(self.channel.frame(self, candle, True, now_ms), [candle]):
                yield push

    def push(self, now_ms: int) -> Iterable[Push]:
        candle = self.market.candles.current(self.interval)
        if candle.trades and candle.last_id != self._last_id:
            self._last_id = candle.last_id
            if push := self._one(self.channel.frame(self, candle, False, now_ms), [candle]):
                yield push

    def _one(self, text: str | None, candles: Sequence[Candle]) -> Push | None:
        if text is None:
            return None
        changes: tuple[OnChange, ...] = ()
        if self.channel.by_successor:
            changes = tuple(
                OnChange("kline", f"{self.symbol} {self.interval}", candle.open_ms, at_first=False)
                for candle in candles
            )
        return Push(self.name, text, (("kline", len(candles)),), changes)


class Candles(Channel, frozen=True, kw_only=True):
    """``frame(stream, candle, is_closed, now_ms)``. ``says_closed``: the last state of each is pushed, with that.
    ``by_successor``: it never is, the product closes a candle with the next one (an event more). ``first``: spells the
    last ``recent`` candles, which a new subscriber gets first."""

    made = _Candles

    every_ms: int = 1000
    says_closed: bool = True
    by_successor: bool = False
    first: Callable[..., str | None] | None = None
    recent: int = 1


# ---------------------------------------------------------------------------------------------------------- books


class BookStream(DeclaredStream):
    """The best levels as they were pushed last; ``number`` grows by one with each push."""

    channel: "Books"

    def __init__(self, channel: Any, offered: Offered, market: Market) -> None:
        super().__init__(channel, offered, market)
        # numbers of a later subscription are above these: no book is pushed a thousand times a second
        self.number = market.now_ms
        self._most = self.levels or channel.levels
        self._is_whole = channel.whole or self._most == 1
        self.bids, self.asks = self._best()
        self._id, self._time_ms = market.book.update_id, market.book.time_ms

    def snapshot(self, now_ms: int) -> Push | None:
        if not (self.channel.begins or self._is_whole):
            return None
        return self._push(True, list(self.bids.items()), list(self.asks.items()), None, now_ms)

    def push(self, now_ms: int) -> Iterable[Push]:
        bids, asks = self._best()
        changes = _changed(self.bids, bids, reverse=True), _changed(self.asks, asks, reverse=False)
        if not any(changes):
            return
        previous = self._id
        self.bids, self.asks = bids, asks
        self._id, self._time_ms = self.market.book.update_id, self.market.book.time_ms
        if self.channel.apart:
            for part in [([level], NO_LEVELS) for level in changes[0]] + [(NO_LEVELS, [level]) for level in changes[1]]:
                self.number += 1
                if (one := self._push(False, *part, previous, now_ms)) is not None:
                    yield one
            return
        self.number += 1
        push = self.snapshot(now_ms) if self._is_whole else self._push(False, *changes, previous, now_ms)
        if push is not None:
            yield push

    def _best(self) -> tuple[dict[int, int], dict[int, int]]:
        bids, asks = self.market.book.levels(self._most)
        return dict(bids), dict(asks)

    def _push(self, is_snapshot: bool, bids: Levels, asks: Levels, previous: int | None, now_ms: int) -> Push | None:
        change = BookChange(is_snapshot, bids, asks, self.number, self._id, previous, self._time_ms)
        text = self.channel.frame(self, change, now_ms)
        return None if text is None else Push(self.name, text, ((self.channel.word, 1),))


class Books(Channel, frozen=True, kw_only=True):
    """``frame(stream, change, now_ms)``. ``speeds``: levels of the name -> pace; else ``levels`` at ``every_ms``.
    ``begins``: a new subscriber gets a snapshot. ``whole``: every push is one (a single level always is). ``apart``: a
    change has one level."""

    made = BookStream

    every_ms: int = 100
    speeds: Mapping[int, int] = {}
    levels: int = 1000
    begins: bool = True
    whole: bool = False
    apart: bool = False
    word: str = "depth"

    def paces(self) -> Mapping[int, int]:
        return self.speeds


def _changed(before: dict[int, int], after: dict[int, int], reverse: bool) -> Levels:
    """Levels that are new, other or gone (quantity 0), best first."""
    changed = {price: quantity for price, quantity in after.items() if before.get(price) != quantity}
    return sorted((changed | {price: 0 for price in before if price not in after}).items(), reverse=reverse)


class _BestPrices(DeclaredStream):
    channel: "BestPrices"

    def snapshot(self, now_ms: int) -> Push | None:
        return self._one(self.market.book.time_ms, now_ms) if self.channel.begins else None

    def best_changed(self, at_ms: int, now_ms: int) -> Iterable[Push]:
        push = self._one(at_ms, now_ms)
        return (push,) if push else ()

    def _one(self, at_ms: int, now_ms: int) -> Push | None:
        text = self.channel.frame(self, self.market.book.top(), at_ms, now_ms)
        return None if text is None else Push(self.name, text, (("book_ticker", 1),))


class BestPrices(Channel, frozen=True, kw_only=True):
    """``frame(stream, (bid, bid quantity, ask, ask quantity), at_ms, now_ms)``, whenever they change."""

    made = _BestPrices
    per_step = BEST_CHANGES_A_STEP

    begins: bool = False


# ------------------------------------------------------------------------------------------------- states of a market


class _States(DeclaredStream):
    channel: "States"

    def __init__(self, channel: Any, offered: Offered, market: Market) -> None:
        super().__init__(channel, offered, market)
        self._last: str | None = None

    def snapshot(self, now_ms: int) -> Push | None:
        return next(iter(self._now(now_ms)), None) if self.channel.begins else None

    def push(self, now_ms: int) -> Iterable[Push]:
        return self._now(now_ms)

    def _now(self, now_ms: int) -> Iterator[Push]:
        events = tuple((word, 1) for word in self.channel.words)
        once = tuple(
            OnChange(word, self.symbol, value(self.market, now_ms)) for word, value in self.channel.once.items()
        )
        return self.told(self.channel.frame(self, now_ms), *events, on_change=once)


class States(Channel, frozen=True, kw_only=True):
    """A state that is told whole, at its pace: ``frame(stream, now_ms)``. ``words``: the events that the product makes
    of each frame. ``once``: word -> of the market at a time, an event only when this is new to the connection."""

    made = _States

    every_ms: int = 1000
    words: tuple[str, ...] = ()
    begins: bool = False
    once: Mapping[str, Callable[[Market, int], object]] = {}


class _Changing(DeclaredStream):
    """All fields for a new subscriber, then those that have changed."""

    channel: "Changing"

    def __init__(self, channel: Any, offered: Offered, market: Market) -> None:
        super().__init__(channel, offered, market)
        self.update_id = market.book.update_id
        self._last: dict[str, str] = channel.fields(self, market.now_ms)

    def snapshot(self, now_ms: int) -> Push:
        return self._one(True, self._last, now_ms)

    def push(self, now_ms: int) -> Iterable[Push]:
        fields: dict[str, str] = self.channel.fields(self, now_ms)
        changed = {key: value for key, value in fields.items() if self._last[key] != value}
        self._last, self.update_id = fields, self.market.book.update_id
        return (self._one(False, changed, now_ms),) if changed else ()

    def _one(self, is_snapshot: bool, fields: dict[str, str], now_ms: int) -> Push:
        text = cast(str, self.channel.frame(self, is_snapshot, fields, now_ms))
        return Push(self.name, text, tuple((word, 1) for word, of in self.channel.told.items() if of & fields.keys()))


class Changing(Channel, frozen=True, kw_only=True):
    """A state whose changes are told: ``fields(stream, now_ms)`` -> texts, ``frame(stream, is_snapshot, fields,
    now_ms)``. ``told``: the product makes this event of a frame when one of these fields is in it."""

    made = _Changing

    every_ms: int = 100
    fields: Callable[..., dict[str, str]]
    told: Mapping[str, frozenset[str]] = {}


# ------------------------------------------------------------------------------------------------- liquidations


class _Liquidations(DeclaredStream):
    """One from before the subscription is not pushed again."""

    channel: "Liquidations"

    def __init__(self, channel: Any, offered: Offered, market: Market) -> None:
        super().__init__(channel, offered, market)
        self._last_ms = market.liquidated.time_ms if market.liquidated else 0
        market.liquidate_soon()

    def push(self, now_ms: int) -> Iterable[Push]:
        order = self.market.liquidated
        if order and order.time_ms > self._last_ms:
            self._last_ms = order.time_ms
            yield from self.told(self.channel.frame(self, order, now_ms), ("liquidation", 1))


class Liquidations(Channel, frozen=True, kw_only=True):
    """``frame(stream, order, now_ms)``: of a market, or of every one where the name has no symbol."""

    made = _Liquidations

    every_ms: int = 500


class Whole(WholeStream):
    """A stream without a symbol: those of all markets, under its name."""

    def __init__(self, channel: Channel, offered: Offered, now_ms: int) -> None:
        self._channel, self._offered = channel, offered
        self._due_ms = next_multiple(now_ms, offered.every_ms or 1)
        self._streams: dict[str, DeclaredStream] = {}

    def moved(self, markets: Iterable[Market], now_ms: int) -> list[Push]:
        pushes: list[Push] = []
        for market in markets:
            if market.symbol not in self._streams:
                self._streams[market.symbol] = self._channel.made(self._channel, self._offered, market)
                self._streams[market.symbol].symbol = market.symbol
        if now_ms >= self._due_ms:
            self._due_ms = next_multiple(now_ms, self._offered.every_ms or 1)
            for stream in self._streams.values():
                pushes += stream.push(now_ms)
        return pushes


def order_side(order: Liquidated) -> str:
    """Of the forced order: a long is closed by a sale."""
    return "sell" if order.sell else "buy"


def level_texts(stream: DeclaredStream, side: Iterable[tuple[int, int]], gone: str | None = None) -> str:
    """``["price","quantity"],...``; ``gone``: the quantity of a level that is gone, None: 0 with all digits."""
    i = stream.i
    return ",".join(
        f'["{i.price_text(price)}","{i.quantity_text(quantity) if quantity or gone is None else gone}"]'
        for price, quantity in side
    )


def _alternating(texts: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Of a split by a pattern with one group: plain text and fields in turn."""
    for index, text in enumerate(texts):
        yield text, bool(index % 2)
