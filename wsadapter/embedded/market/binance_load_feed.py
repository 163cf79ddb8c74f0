"""A numbered load feed in Binance's frames: aggTrade, bookTicker and depth from prepared texts, so that it is cheap.

Ids grow by one (trades) or strictly (books) per symbol, so a reader can tell what is missing; prices repeat. All other
streams come from the markets as ever (which know nothing of these trades: REST shows the markets).
"""

import random
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final

from wsadapter.embedded.market import binance_frames as frames
from wsadapter.embedded.market.clock import MarketState, Numbered
from wsadapter.embedded.market.instruments import MarketInstrument, instrument
from wsadapter.embedded.market.markets import Markets
from wsadapter.embedded.market.streams import Offered, Push

SHARES: Final = {"aggTrade": 4, "bookTicker": 4, "depth": 1}
VARIANTS: Final = 16
AT_ONCE: Final = 256
"""Frames per turn when the rate is unlimited."""
CATCH_UP: Final = 0.25
"""Seconds of the feed made up for after a stall."""


class _Texts:
    """One stream's prepared texts, and its ids."""

    def __init__(self, offered: Offered, rng: random.Random, now_ms: int) -> None:
        self.offered = offered
        self.update_id = now_ms * 1000
        i = instrument(offered.symbol)
        make = {"aggTrade": _agg_trade, "bookTicker": _book_ticker}.get(offered.kind)
        self.texts = [make(i, rng) if make else _depth(i, rng, offered.levels or 10) for _ in range(VARIANTS)]


class _TradeIds:
    """The trade ids of one symbol (`Numbered`)."""

    def __init__(self, symbol: str, first: tuple[int, int]) -> None:
        self.symbol = symbol
        self.next_aggregate_id, self.next_trade_id = first


class LoadFeed:
    """``rate`` frames a second, 0 = as many as are taken."""

    def __init__(self, floor: Markets, rate: float, seed: int, ledger: MarketState, now_ms: Callable[[], int]) -> None:
        self._floor, self._rate, self._ledger, self._now_ms = floor, rate, ledger, now_ms
        self._rng = random.Random(seed)
        self._ids: dict[str, _TradeIds] = {}
        self._texts: dict[str, _Texts] = {}
        self._order: list[_Texts] = []
        self._turn = 0
        self._before_ms, self._credit = now_ms(), 0.0

    @property
    def blasting(self) -> bool:
        return bool(self._order)

    @property
    def numbered(self) -> Iterable[Numbered]:
        return chain(self._floor.numbered, self._ids.values())

    def subscribe(self, offered: Offered) -> None:
        if offered.kind not in SHARES or not offered.symbol:
            self._floor.subscribe(offered)
        elif offered.name not in self._texts:
            self._ids.setdefault(offered.symbol, _TradeIds(offered.symbol, self._ledger.first_ids(offered.symbol)))
            self._texts[offered.name] = _Texts(offered, self._rng, self._now_ms())
            self._mix()

    def unsubscribe(self, offered: Offered) -> None:
        if self._texts.pop(offered.name, None):
            self._mix()
        else:
            self._floor.unsubscribe(offered)

    def snapshot(self, offered: Offered) -> Push | None:
        return self._floor.snapshot(offered)

    def advance(self, now_ms: int) -> list[Push]:
        pushes = self._floor.advance(now_ms)
        self._credit += self._rate * min((now_ms - self._before_ms) / 1000, CATCH_UP)
        self._before_ms = now_ms
        count = int(self._credit) if self._rate else AT_ONCE
        self._credit -= int(self._credit)
        if self._order:
            pushes += (self._push(now_ms) for _ in range(count))
        return pushes

    def _mix(self) -> None:
        self._order = [texts for texts in self._texts.values() for _ in range(SHARES[texts.offered.kind])]
        self._rng.shuffle(self._order)

    def _push(self, now_ms: int) -> Push:
        self._turn += 1
        texts = self._order[self._turn % len(self._order)]
        offered, text = texts.offered, texts.texts[self._turn % VARIANTS]
        if offered.kind == "aggTrade":
            ids = self._ids[offered.symbol]
            data = text % (now_ms, ids.next_aggregate_id, ids.next_trade_id, ids.next_trade_id + 1, now_ms)
            ids.next_aggregate_id += 1
            ids.next_trade_id += 2
            return Push(offered.name, data, (("trade", 1),))
        before, texts.update_id = texts.update_id, texts.update_id + 3
        if offered.kind == "bookTicker":
            return Push(offered.name, text % (texts.update_id, now_ms, now_ms), (("book_ticker", 1),))
        return Push(offered.name, text % (now_ms, now_ms, before + 1, texts.update_id, before), (("depth", 1),))


def _agg_trade(i: MarketInstrument, rng: random.Random) -> str:
    price, quantity = i.price_text(_near(i, rng)), i.quantity_text(rng.randrange(1, i.lot))
    return (
        f'{{"e":"aggTrade","E":%d,"a":%d,"s":"{i.symbol}","p":"{price}","q":"{quantity}","nq":"{quantity}",'
        f'"f":%d,"l":%d,"T":%d,"m":{rng.choice(("true", "false"))},"st":{i.margin}}}'
    )


def _book_ticker(i: MarketInstrument, rng: random.Random) -> str:
    bid = _near(i, rng)
    return (
        f'{{"e":"bookTicker","u":%d,"s":"{i.symbol}","b":"{i.price_text(bid)}",'
        f'"B":"{i.quantity_text(rng.randrange(1, i.lot))}","a":"{i.price_text(bid + i.tick)}",'
        f'"A":"{i.quantity_text(rng.randrange(1, i.lot))}","T":%d,"E":%d,"ps":"{i.pair}","st":{i.margin}}}'
    )


def _depth(i: MarketInstrument, rng: random.Random, count: int) -> str:
    bid = _near(i, rng)
    bids = frames.levels(i, ((bid - n * i.tick, rng.randrange(1, i.lot)) for n in range(count)))
    asks = frames.levels(i, ((bid + (n + 1) * i.tick, rng.randrange(1, i.lot)) for n in range(count)))
    return (
        f'{{"e":"depthUpdate","E":%d,"T":%d,"s":"{i.symbol}","ps":"{i.pair}","st":{i.margin},"U":%d,"u":%d,"pu":%d,'
        f'"b":[{bids}],"a":[{asks}]}}'
    )


def _near(i: MarketInstrument, rng: random.Random) -> int:
    return (i.price + rng.randrange(-500, 500) * i.tick) // i.tick * i.tick
