"""How the holes of any venue are filled: one small state machine per kind of series, over the venue's pages. Pure.

* trades by id: from the first missing one, a page at a time; where the id is not known, windows of time until one is
  found, then by id. Complete when the ids follow one another to the end of the hole.
* trades without a number: the newest page is all there is; complete when it reaches back behind the hole.
* candles: by open time; complete when each opens where the one before closed.
* funding: what was settled in the hole.
* depth: the book as it is now; what it was is gone, so at best ``partial``.

A venue says which of these it has (`Repairs`), with requests and parsers as in the protocols here. Parsers give rows
oldest first and raise `BadAnswer`.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from wsadapter.events import Depth, FundingRate, Kline, MarketEvent, Trade
from wsadapter.events.gaps import RepairState
from wsadapter.exchanges.rest_api import BadAnswer, Hole, Repair, Request

MS: Final = 1_000_000
MOST_REQUESTS: Final = 50_000
"""Of one repair: fifty million trades."""
WINDOW_MS: Final = 3_599_999
HOUR_MS: Final = 3_600_000
TOP_LEVELS: Final = 50
"""For the price of five."""
MINUTES: Final[Mapping[str, int]] = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720,
    "1d": 1440, "3d": 4320, "1w": 10_080, "1M": 44_640,
}  # fmt: skip
"""The longest month."""


class TradePages(Protocol):
    """Trades by id, and by windows of time of less than an hour; both ends included."""

    MOST_TRADES: int

    def trades_from(self, symbol: str, first: int, count: int) -> Request: ...
    def trades_between(self, symbol: str, first_ms: int, last_ms: int) -> Request: ...
    def parse_trades(self, symbol: str, body: bytes, received_ns: int) -> list[Trade]: ...


class NewestTrades(Protocol):
    """The newest page of trades."""

    def newest_trades(self, symbol: str) -> Request: ...
    def parse_newest(self, symbol: str, body: bytes, received_ns: int) -> list[Trade]: ...


class CandlePages(Protocol):
    """Candles by open time (ns), both ends included; the closed ones, and the open time of the one that is still open
    if it is in the answer."""

    def candles(self, symbol: str, interval: str, first_ns: int, last_ns: int, count: int) -> Request: ...
    def parse_candles(
        self, symbol: str, interval: str, body: bytes, received_ns: int
    ) -> tuple[list[Kline], int | None]: ...


class FundingPages(Protocol):
    """Settled rates between two times. A page is full with ``MOST_FUNDINGS``; within ``FUNDING_WINDOW_MS`` there are
    never more."""

    MOST_FUNDINGS: int
    FUNDING_WINDOW_MS: int

    def fundings(self, symbol: str, first_ms: int, last_ms: int) -> Request: ...
    def parse_fundings(self, symbol: str, body: bytes, received_ns: int) -> list[FundingRate]: ...


class BookPages(Protocol):
    """The present book; ``levels`` 0: all of it."""

    def book(self, symbol: str, levels: int) -> Request: ...
    def parse_book(self, symbol: str, levels: int, body: bytes, received_ns: int) -> Depth: ...


class _Repair:
    """What all have in common."""

    def __init__(self, hole: Hole) -> None:
        self._hole = hole
        self.outcome = ""
        self.published = 0
        self._holes = 0
        """Breaks in what the venue gave: it does not have all of it."""
        self._answers = 0
        self._complete: bool | None = None

    def refused(self) -> None:
        self._end(False)
        self._given(0)

    def _end(self, complete: bool) -> None:
        """With the answer that is being taken all is said."""
        self._complete = complete and not self._holes

    def _given(self, count: int) -> None:
        """An answer was taken; ``count`` events of it are handed on."""
        self.published += count
        self._answers += 1
        if self._answers >= MOST_REQUESTS and self._complete is None:
            self._complete = False
        if self._complete is not None:
            self.outcome = (
                RepairState.REPAIRED
                if self._complete
                else RepairState.PARTIAL
                if self.published
                else RepairState.UNREPAIRABLE
            )


class TradeRepair(_Repair):
    """Aggregate trades."""

    def __init__(self, pages: TradePages, hole: Hole) -> None:
        super().__init__(hole)
        self._pages = pages
        self._next = hole.first
        self._window_ms = hole.started_ns // MS
        self._until_ms = hole.ended_ns // MS
        if hole.first is not None and hole.last is not None and hole.last < hole.first:
            self.outcome = RepairState.REPAIRED

    def request(self) -> Request | None:
        if self.outcome:
            return None
        symbol, last = self._hole.symbol, self._hole.last
        if self._next is None:
            return self._pages.trades_between(symbol, self._window_ms, self._window_end_ms)
        return self._pages.trades_from(
            symbol, self._next, self._pages.MOST_TRADES if last is None else last - self._next + 1
        )

    @property
    def _window_end_ms(self) -> int:
        return min(self._window_ms + WINDOW_MS, self._until_ms)

    def take(self, body: bytes, received_ns: int) -> list[MarketEvent]:
        trades = self._pages.parse_trades(self._hole.symbol, body, received_ns)
        found = self._by_time(trades) if self._next is None else self._by_id(trades)
        self._given(len(found))
        return list(found)

    def _by_time(self, trades: list[Trade]) -> list[Trade]:
        """Until there is an id to go on from."""
        if any(not self._window_ms <= (t.transaction_time_ns or 0) // MS <= self._window_end_ms for t in trades):
            raise BadAnswer("aggTrades: of another time")
        found: list[Trade] = []
        if trades:
            self._next = trades[0].trade_number
            found = self._wanted(trades)
        if self._window_end_ms == self._until_ms and len(trades) < self._pages.MOST_TRADES and self._hole.last is None:
            self._end(True)
        self._window_ms = self._window_end_ms + 1
        if self._next is None and self._window_ms > self._until_ms:
            self._end(True)  # nobody traded
        return found

    def _by_id(self, trades: list[Trade]) -> list[Trade]:
        asked = self.request()
        found = self._wanted(trades)
        if self._complete is None and asked is not None and len(trades) < int(dict(asked.query)["limit"]):
            # the newest is among them: by number more were to come, by time none
            self._end(self._hole.last is None)
        return found

    def _wanted(self, trades: list[Trade]) -> list[Trade]:
        """Those of the hole; ends the repair with the first behind it, or with the last."""
        found = []
        last = self._hole.last
        for trade in trades:
            number, following = trade.trade_number or 0, self._next or 0
            if self._is_beyond(trade):
                self._holes += last is not None and following <= last
                self._end(True)
                break
            if number < following:
                raise BadAnswer("aggTrades: before what was asked for")
            self._holes += number != following
            self._next = number + 1
            found.append(trade)
            if number == last:
                self._end(True)
        return found

    def _is_beyond(self, trade: Trade) -> bool:
        hole = self._hole
        if hole.last is not None:
            return (trade.trade_number or 0) > hole.last
        return (trade.transaction_time_ns or 0) > hole.ended_ns


class NewestTradesRepair(_Repair):
    """Trades of a venue that gives its newest page only."""

    def __init__(self, pages: NewestTrades, hole: Hole) -> None:
        super().__init__(hole)
        self._pages = pages

    def request(self) -> Request | None:
        return None if self.outcome else self._pages.newest_trades(self._hole.symbol)

    def take(self, body: bytes, received_ns: int) -> list[MarketEvent]:
        hole, trades = self._hole, self._pages.parse_newest(self._hole.symbol, body, received_ns)
        times = [trade.transaction_time_ns or 0 for trade in trades]
        result: list[MarketEvent] = [
            trade for trade, at in zip(trades, times, strict=True) if hole.started_ns <= at <= hole.ended_ns
        ]
        self._end(bool(times) and times[0] < hole.started_ns)
        self._given(len(result))
        return result


class CandleRepair(_Repair):
    """Closed candles. By time it is those that closed in the hole."""

    def __init__(self, pages: CandlePages, hole: Hole) -> None:
        super().__init__(hole)
        self._pages = pages
        self._length_ns = MINUTES[hole.interval] * 60_000 * MS
        self._known = hole.first is not None
        self._next = hole.first if hole.first is not None else max(0, hole.started_ns - self._length_ns)
        self._last = hole.last if hole.last is not None else hole.ended_ns
        if self._next > self._last:
            self.outcome = RepairState.REPAIRED

    def request(self) -> Request | None:
        if self.outcome:
            return None
        # one more than are missing: that it follows proves that the last one is closed
        count = (self._last - self._next) // self._length_ns + 3
        hole = self._hole
        return self._pages.candles(hole.symbol, hole.interval, self._next, self._last + 2 * self._length_ns, count)

    def take(self, body: bytes, received_ns: int) -> list[MarketEvent]:
        hole = self._hole
        candles, open_ns = self._pages.parse_candles(hole.symbol, hole.interval, body, received_ns)
        found = [candle for candle in candles if self._is_wanted(candle)]
        if hole.last is not None and open_ns is not None and open_ns <= hole.last:
            raise BadAnswer("klines: not closed yet")
        for candle in found:
            self._holes += self._known and candle.open_time_ns != self._next
            self._known, self._next = True, candle.close_time_ns + MS
        more = found and found[-1] is candles[-1] and open_ns is None and self._next <= self._last
        if not more:
            # by time it may be that none closed
            self._end(hole.last is None or not self._known or self._next > hole.last)
        self._given(len(found))
        return list(found)

    def _is_wanted(self, candle: Kline) -> bool:
        hole = self._hole
        if candle.open_time_ns < self._next:
            return False
        if hole.first is None and candle.close_time_ns < hole.started_ns:
            return False
        return candle.open_time_ns <= hole.last if hole.last is not None else candle.close_time_ns <= hole.ended_ns


class FundingRepair(_Repair):
    """Settled rates. They are settled at full hours: a hole without one has none."""

    def __init__(self, pages: FundingPages, hole: Hole) -> None:
        super().__init__(hole)
        self._pages = pages
        self._next_ms, self._until_ms = hole.started_ns // MS, hole.ended_ns // MS
        # some are dated a few milliseconds after the hour
        if self._until_ms // HOUR_MS == (self._next_ms - 1000) // HOUR_MS:
            self.outcome = RepairState.REPAIRED

    def request(self) -> Request | None:
        return None if self.outcome else self._pages.fundings(self._hole.symbol, self._next_ms, self._window_end_ms)

    @property
    def _window_end_ms(self) -> int:
        return min(self._next_ms + self._pages.FUNDING_WINDOW_MS, self._until_ms)

    def take(self, body: bytes, received_ns: int) -> list[MarketEvent]:
        rates = self._pages.parse_fundings(self._hole.symbol, body, received_ns)
        times = [(rate.transaction_time_ns or 0) // MS for rate in rates]
        if times and not self._next_ms <= times[0] <= times[-1] <= self._window_end_ms:
            raise BadAnswer("fundingRate: of another time")
        if len(rates) >= self._pages.MOST_FUNDINGS:
            self._next_ms = times[-1] + 1
        elif self._window_end_ms == self._until_ms:
            self._end(True)
        else:
            self._next_ms = self._window_end_ms + 1
        self._given(len(rates))
        return list(rates)


class BookRepair(_Repair):
    """The present book: all of it for a stream of diffs, else `TOP_LEVELS`, which is a key of its own beside those of
    the streams (at most 20 levels)."""

    def __init__(self, pages: BookPages, hole: Hole) -> None:
        super().__init__(hole)
        self._pages = pages

    @property
    def _levels(self) -> int:
        return TOP_LEVELS if self._hole.levels else 0

    def request(self) -> Request | None:
        return None if self.outcome else self._pages.book(self._hole.symbol, self._levels)

    def take(self, body: bytes, received_ns: int) -> list[MarketEvent]:
        found = self._pages.parse_book(self._hole.symbol, self._levels, body, received_ns)
        self._end(False)
        self._given(1)
        return [found]


Repairs = Mapping[str, Callable[[Hole], Repair]]
"""Stream word -> how its holes are filled; words without a history are not there."""


def repair_of(repairs: Repairs, hole: Hole) -> Repair | None:
    """None for streams without a history."""
    make = repairs.get(hole.stream)
    if make is None or (hole.stream == "kline" and hole.interval not in MINUTES):
        return None
    return make(hole)
