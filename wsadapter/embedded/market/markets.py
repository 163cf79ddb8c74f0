"""All markets of the venue: opens them when asked for, moves them together, adds the streams of the whole market.

Sans-I/O like `Market`; owns the markets and how fast each trades, so that about ``rate`` frames a second come out of
whatever is subscribed (streams of a fixed pace come at theirs).
"""

from collections.abc import Callable, Iterable
from typing import Final

from wsadapter.embedded.market.binance_frames import Push
from wsadapter.embedded.market.binance_streams import Offered
from wsadapter.embedded.market.clock import MarketState
from wsadapter.embedded.market.instruments import COIN_M, instrument
from wsadapter.embedded.market.market import Market

FRAMES_PER_STEP: Final = {"aggTrade": 0.4, "trade": 0.64, "bookTicker": 0.6}
"""What one step of a market yields, by stream kind."""
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
        self._whole: dict[str, _Whole] = {}
        self._changed = False

    blasting = False

    @property
    def numbered(self) -> Iterable[Market]:
        return self.markets.values()

    def find(self, symbol: str) -> Market | None:
        """The symbol's market if it exists, opened if it has to be."""
        return self.open(symbol) if symbol in self.markets or symbol in self.symbols else None

    def open(self, symbol: str) -> Market:
        if symbol not in self.markets:
            now_ms = self._now_ms()
            market = Market(instrument(symbol), self._seed, now_ms, self._ledger.first_ids(symbol))
            self.markets[symbol] = market
        return self.markets[symbol]

    def subscribe(self, offered: Offered) -> None:
        if offered.symbol:
            self.open(offered.symbol).subscribe(offered)
        else:
            for symbol in (*self.symbols, *(coin.symbol for coin in COIN_M)):
                self.open(symbol)
            self._whole.setdefault(offered.name, _Whole(offered, self._now_ms()))
        self._changed = True

    def unsubscribe(self, offered: Offered) -> None:
        if offered.symbol:
            self.open(offered.symbol).unsubscribe(offered.name)
        else:
            self._whole.pop(offered.name, None)
        self._changed = True

    def advance(self, now_ms: int) -> list[Push]:
        if self._changed:
            self._changed = False
            self._allot()
        pushes: list[Push] = []
        for market in self.markets.values():
            pushes += market.advance(now_ms)
        for whole in self._whole.values():
            pushes += whole.due(self.markets.values(), now_ms)
        return pushes

    def _allot(self) -> None:
        """Give each market the pace that makes up its share of the rate."""
        busy = [market for market in self.markets.values() if market.subscribed]
        for market in self.markets.values():
            per_step = sum(FRAMES_PER_STEP.get(offered.kind, 0.0) for offered in market.subscribed)
            fixed = sum(1000 / offered.every_ms for offered in market.subscribed if offered.every_ms)
            steps = (self._rate / len(busy) - fixed) / per_step if per_step else 0.0
            market.steps_per_second = min(max(steps, SLOWEST_STEPS), FASTEST_STEPS)


class _Whole:
    """A stream of the whole market: USD-M and COIN-M symbols together, as the venue has merged them in 2026."""

    def __init__(self, offered: Offered, now_ms: int) -> None:
        self._offered = offered
        self._since_ms = self._due_ms = now_ms
        self._seen: dict[str, int] = {}
        self._next(now_ms)

    def due(self, markets: Iterable[Market], now_ms: int) -> list[Push]:
        if now_ms < self._due_ms:
            return []
        self._next(now_ms)
        name, kind = self._offered.name, self._offered.kind
        if kind == "forceOrder":
            return [market.force_order(name, now_ms) for market in markets if self._fresh(market, _liquidated(market))]
        if kind == "bookTicker":
            return [market.book_ticker(name, now_ms) for market in markets]
        if kind == "markPrice":
            return [_array(name, [market.mark_price(name, now_ms) for market in markets])]
        traded = [market for market in markets if self._fresh(market, market.next_trade_id)]
        make = Market.ticker if kind == "ticker" else Market.mini_ticker
        return [_array(name, [make(market, name, now_ms) for market in traded])] if traded else []

    def _next(self, now_ms: int) -> None:
        self._due_ms = (now_ms // self._offered.every_ms + 1) * self._offered.every_ms

    def _fresh(self, market: Market, mark: int) -> bool:
        """Whether something happened since the last push (or since the subscription)."""
        before, self._seen[market.symbol] = self._seen.get(market.symbol, self._since_ms), mark
        return mark > before if self._offered.kind == "forceOrder" else mark != before


def _liquidated(market: Market) -> int:
    return market.liquidated.time_ms if market.liquidated else 0


def _array(name: str, parts: list[Push]) -> Push:
    data = "[" + ",".join(part.data for part in parts) + "]"
    funding = tuple(rate for part in parts for rate in part.funding)
    return Push(name, data, parts[0].word, sum(part.events for part in parts), funding)
