"""What a dialect adds to the markets: the streams that can be subscribed, and what each pushes when something happens.

`Market` and `Markets` give facts (trades, a book, candles, marks, liquidations) and know no venue; a dialect's
``offered`` turns a stream's name into an `Offered`, whose ``make`` builds the stream that turns facts into payloads.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from wsadapter.embedded.market.candles import Candle

if TYPE_CHECKING:
    from wsadapter.embedded.market.market import Market


class OnChange(NamedTuple):
    """An event of the stream ``word`` that the product makes only where ``value`` is another one than the connection
    was told last under ``key`` (a funding rate); ``at_first``: also where it was told none yet."""

    word: str
    key: str
    value: object
    at_first: bool = True


class Push(NamedTuple):
    """One frame for the subscribers of ``stream``; ``events`` says which events the product will see in it and how many
    (stream word, count), ``on_change`` those that depend on what the connection was told before, ``numbers`` are of
    trades that count once, whatever connection told them, ``also`` what else those of these numbers are."""

    stream: str
    data: str
    events: tuple[tuple[str, int], ...] = ()
    on_change: tuple[OnChange, ...] = ()
    numbers: tuple[int, ...] = ()
    also: tuple[tuple[str, int], ...] = ()


class AggregateTrade(NamedTuple):
    """An aggregate trade; the raw trades are ``first_id..`` with the quantities of ``fills``. ``update_id`` is the
    book's after it."""

    aggregate_id: int
    price: int
    quantity: int
    first_id: int
    fills: tuple[int, ...]
    time_ms: int
    seller: bool
    update_id: int

    @property
    def last_id(self) -> int:
        return self.first_id + len(self.fills) - 1


class Liquidated(NamedTuple):
    """A liquidation order; ``sell``: a long was closed."""

    sell: bool
    price: int
    average: int
    quantity: int
    time_ms: int


class Mark(Struct, frozen=True):
    """Mark price and funding of one moment; prices have `MARK_DIGITS` digits."""

    price: int
    average: int
    index: int
    settle: int
    rate: str
    next_funding_ms: int


class MarketStream:
    """One subscribed stream of one market. This base pushes nothing: a stream overrides what it reacts to."""

    def __init__(self, offered: "Offered", market: "Market") -> None:
        self.offered, self.market = offered, market

    def snapshot(self, now_ms: int) -> Push | None:
        """What a new subscriber gets before everything else, if the stream begins with a state."""
        return None

    def traded(self, deal: AggregateTrade, now_ms: int) -> Iterable[Push]:
        return ()

    def best_changed(self, at_ms: int, now_ms: int) -> Iterable[Push]:
        """The best bid or ask has changed at ``at_ms``."""
        return ()

    def candle_closed(self, interval: str, candle: Candle, now_ms: int) -> Iterable[Push]:
        return ()

    def moved(self, now_ms: int) -> Iterable[Push]:
        """The market has arrived at ``now_ms``: whatever is due by then."""
        return ()

    def close(self) -> None:
        """The last subscriber has gone."""


class PacedStream(MarketStream):
    """Pushes on the multiples of ``offered.every_ms``."""

    def __init__(self, offered: "Offered", market: "Market") -> None:
        super().__init__(offered, market)
        self._due_ms = next_multiple(market.now_ms, offered.every_ms)

    def moved(self, now_ms: int) -> Iterable[Push]:
        if now_ms < self._due_ms:
            return ()
        self._due_ms = next_multiple(now_ms, self.offered.every_ms)
        return self.push(now_ms)

    def push(self, now_ms: int) -> Iterable[Push]:
        raise NotImplementedError


class WholeStream:
    """A stream of all symbols together. ``symbols``: further ones that exist because of it."""

    symbols: tuple[str, ...] = ()

    def moved(self, markets: "Iterable[Market]", now_ms: int) -> list[Push]:
        raise NotImplementedError


class Offered(Struct, frozen=True):
    """A stream that exists. ``symbol`` is empty for a stream of the whole market (then ``make_whole`` builds it);
    ``every_ms`` is 0 for what is pushed when it happens, and ``per_step`` is then how many frames one step of a market
    makes; ``levels`` is 0 for book changes; ``code`` is the venue's name of ``interval``. ``route`` is the class of
    connection that carries it."""

    name: str
    route: str
    kind: str
    symbol: str
    every_ms: int
    levels: int = 0
    interval: str = ""
    code: str = ""
    per_step: float = 0.0
    make: Callable[["Offered", "Market"], MarketStream] = MarketStream
    make_whole: Callable[["Offered", int], WholeStream] | None = None


def next_multiple(now_ms: int, every_ms: int) -> int:
    return (now_ms // every_ms + 1) * every_ms
