"""All markets of the venue: opens them when asked for, moves them together, adds the streams of the whole market.

Sans-I/O like `Market`; owns the markets and how fast each trades, so that about ``rate`` frames a second come out of
whatever is subscribed (streams of a fixed pace come at theirs).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from wsadapter.embedded.market.clock import MarketState
from wsadapter.embedded.market.instruments import instrument
from wsadapter.embedded.market.market import Market
from wsadapter.embedded.market.streams import Offered, Push, WholeStream

SLOWEST_STEPS: Final = 20.0
FASTEST_STEPS: Final = 5_000.0


class Markets:
    """``now_ms``: market time, for a market that opens. ``symbols``: those that exist before anybody asks."""

    def __init__(
        self, symbols: Iterable[str], rate: float, seed: int, ledger: MarketState, now_ms: Callable[[], int]
    ) -> None:
        self.symbols = tuple(symbols)
        self.markets: dict[str, Market] = {}
        self._rate, self._seed, self._ledger, self._now_ms = rate, seed, ledger, now_ms
        self._whole: dict[str, WholeStream] = {}
        self._changed = False
        self._delisted: set[str] = set()

    blasting = False
    remembers = False
    """Markets that open have traded before (`Market.remember_minute`)."""

    @property
    def numbered(self) -> Iterable[Market]:
        return self.markets.values()

    def list_symbol(self, symbol: str) -> None:
        """It is traded from now on."""
        self._delisted.discard(symbol)
        self.symbols = tuple(dict.fromkeys((*self.symbols, symbol)))
        self.open(symbol)

    def delist_symbol(self, symbol: str) -> None:
        """It is traded no more: no list names it, its streams say nothing; its history stays."""
        self._delisted.add(symbol)
        self.symbols = tuple(each for each in self.symbols if each != symbol)

    def listed(self) -> Iterator[Market]:
        """All that are traded, opened if they have to be."""
        for symbol in sorted({*self.symbols, *self.markets} - self._delisted):
            yield self.open(symbol)

    def find(self, symbol: str) -> Market | None:
        """The symbol's market if it exists, opened if it has to be."""
        return self.open(symbol) if symbol in self.markets or symbol in self.symbols else None

    def open(self, symbol: str) -> Market:
        if symbol not in self.markets:
            now_ms = self._now_ms()
            market = Market(instrument(symbol), self._seed, now_ms, self._ledger.first_ids(symbol))
            if self.remembers:
                market.remember_minute()
            self.markets[symbol] = market
        return self.markets[symbol]

    def subscribe(self, offered: Offered) -> None:
        if offered.symbol:
            self.open(offered.symbol).subscribe(offered)
        elif offered.make_whole and offered.name not in self._whole:
            whole = self._whole[offered.name] = offered.make_whole(offered, self._now_ms())
            for symbol in (*self.symbols, *whole.symbols):
                self.open(symbol)
        self._changed = True

    def unsubscribe(self, offered: Offered) -> None:
        if offered.symbol:
            self.open(offered.symbol).unsubscribe(offered.name)
        else:
            self._whole.pop(offered.name, None)
        self._changed = True

    def snapshot(self, offered: Offered) -> Push | None:
        """What a new subscriber of a subscribed stream gets first."""
        market = self.markets.get(offered.symbol)
        stream = market.streams.get(offered.name) if market else None
        return stream.snapshot(self._now_ms()) if stream else None

    def advance(self, now_ms: int) -> list[Push]:
        if self._changed:
            self._changed = False
            self._allot()
        pushes: list[Push] = []
        for market in self.markets.values():
            moved = market.advance(now_ms)
            pushes += moved if market.symbol not in self._delisted else ()
        for whole in self._whole.values():
            pushes += whole.moved(self.markets.values(), now_ms)
        return pushes

    def _allot(self) -> None:
        """Give each market the pace that makes up its share of the rate."""
        busy = [market for market in self.markets.values() if market.subscribed]
        for market in self.markets.values():
            per_step = sum(offered.per_step for offered in market.subscribed)
            fixed = sum(1000 / offered.every_ms for offered in market.subscribed if offered.every_ms)
            steps = (self._rate / len(busy) - fixed) / per_step if per_step else 0.0
            market.steps_per_second = min(max(steps, SLOWEST_STEPS), FASTEST_STEPS)
