"""Candles that the venue does not close: closed by the clock, confirmed over REST.

Where a venue has no closed flag (`Subscription.by_successor`), the next candle says that the one before is over. Of a
symbol that nobody trades the next one may come hours later, and after a reconnect nobody may be left who knew the one
before. So of each series the candles that were told of and not closed are kept; once the end of one has passed by
`GRACE_NS` on the venue's clock, `CandleEnd` asks the venue for it. What is published is the venue's own row, with
``source=REST`` and ``closed``; nothing is closed that the venue does not confirm, and an end that its clock has not
reached yet is waited for. If the next candle comes later after all, the stream closes its own copy, and the row of REST
counts.

`CandleEnds` is pure: it is told candles and times. Bounded: the configuration's series, `MOST_OF_SERIES` candles of
each.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct

from wsadapter.events import Kline
from wsadapter.exchanges.rest_api import BadAnswer, Hole, RestExchange
from wsadapter.pb import market_pb2
from wsadapter.roles.repairer.host_queue import RepairJob, Steps
from wsadapter.roles.repairer.published import Published

GRACE_NS: Final = 10_000_000_000
"""For the successor, which is what closes a candle as a rule, and for the venue's REST side."""
MOST_OF_SERIES: Final = 60


class OpenCandle(Struct, frozen=True):
    """A candle that was told of and not closed. Of each there is one: by series and open time."""

    exchange: str
    symbol: str
    interval: str
    open_time_ns: int
    close_time_ns: int


Series = tuple[str, str, str]


class CandleEnds:
    """The open candles of these ``series`` (exchange, symbol, interval). ``given_up``: how many were never closed,
    ``closed_again``: how many the stream closed after REST had, ``changed``: since this was set to False, there are
    others than before."""

    def __init__(self, series: Iterable[Series]) -> None:
        self._open: dict[Series, dict[int, OpenCandle]] = {one: {} for one in series}
        self._closed: dict[Series, int] = {}
        """Open time of the newest closed one: what is told again of it or of older ones opens nothing."""
        self._confirmed: dict[Series, int] = {}
        """Open time of the newest one that REST closed, until the stream does."""
        self._asked: set[OpenCandle] = set()
        self.given_up = self.closed_again = 0
        self.changed = False

    def add(self, candle: Any) -> None:
        """A candle of the log (message `wsadapter.v1.Kline`), from whichever connection."""
        series = candle.exchange, candle.symbol, candle.interval
        if (candles := self._open.get(series)) is None:
            return
        opened: int = candle.open_time_ns
        if candle.closed:
            if self._confirmed.get(series) == opened and candle.source == market_pb2.SOURCE_WEBSOCKET:
                del self._confirmed[series]
                self.closed_again += 1
            self._closed[series] = max(opened, self._closed.get(series, opened))
            self._forget(candles, opened)
        elif opened not in candles and opened > self._closed.get(series, -1):
            self.put(OpenCandle(*series, opened, candle.close_time_ns))

    def put(self, candle: OpenCandle) -> None:
        """One that is open, as an earlier process knew it. What is not configured any more is left."""
        candles = self._open.get((candle.exchange, candle.symbol, candle.interval))
        if candles is None:
            return
        candles[candle.open_time_ns] = candle
        self.changed = True
        if len(candles) > MOST_OF_SERIES:
            self.give_up(candles[min(candles)])

    def due(self, exchange: str, venue_ns: int) -> list[OpenCandle]:
        """Those whose end has passed long enough by the venue's clock. Each is named once, until `later`."""
        until_ns = venue_ns - GRACE_NS
        due = [
            candle
            for series, candles in self._open.items()
            if candles and series[0] == exchange
            for candle in candles.values()
            if candle.close_time_ns < until_ns and candle not in self._asked
        ]
        self._asked.update(due)
        return due

    def is_open(self, candle: OpenCandle) -> bool:
        return candle.open_time_ns in self._open[candle.exchange, candle.symbol, candle.interval]

    def later(self, candle: OpenCandle) -> None:
        """There was no room to ask for it: it is due again."""
        self._asked.discard(candle)

    def confirmed(self, candle: OpenCandle) -> None:
        """Its closed row is published."""
        series = candle.exchange, candle.symbol, candle.interval
        self._confirmed[series] = max(candle.open_time_ns, self._confirmed.get(series, 0))
        self.withdraw(candle)

    def withdraw(self, candle: OpenCandle) -> None:
        """Nothing is to be done about it."""
        self._forget(self._open[candle.exchange, candle.symbol, candle.interval], candle.open_time_ns)

    def give_up(self, candle: OpenCandle) -> None:
        """The venue does not confirm it: it stays open, unless its successor comes."""
        self.given_up += 1
        self.withdraw(candle)

    def all(self) -> list[OpenCandle]:
        return [candle for candles in self._open.values() for candle in candles.values()]

    def _forget(self, candles: dict[int, OpenCandle], opened: int) -> None:
        if (candle := candles.pop(opened, None)) is not None:
            self._asked.discard(candle)
            self.changed = True


class CandleEnd(RepairJob):
    """Ask for one candle, unless it is closed by the time that it is its turn. ``venue_ns``: the venue's clock. A row
    that a repair has published meanwhile is not published again."""

    urgent = False

    def __init__(
        self, candle: OpenCandle, ends: CandleEnds, rest: RestExchange, venue_ns: Callable[[], int],
        published: Published,
    ) -> None:  # fmt: skip
        super().__init__()
        self.lane = f"{candle.exchange}:{candle.symbol}:{candle.interval}"
        self.candle = candle
        self.confirmed = False
        self._ends, self._rest, self._venue_ns, self._beside = ends, rest, venue_ns, published

    def run(self) -> Steps:
        candle = self.candle
        if not self._ends.is_open(candle):
            return
        hole = Hole(
            "kline", candle.symbol, candle.open_time_ns, candle.close_time_ns, candle.open_time_ns,
            candle.open_time_ns, candle.interval,
        )  # fmt: skip
        if (filling := self._rest.repair(hole)) is not None:
            yield from self.fill(hole, filling, self._ended)
        if self.confirmed:
            self._ends.confirmed(candle)
        elif self._ends.is_open(candle):
            self._ends.give_up(candle)

    def _ended(self, candles: list[Kline]) -> list[Kline]:
        """The row that was asked for, once the clock that came with it is past its end, too: ours may be ahead."""
        found = [each for each in candles if each.open_time_ns == self.candle.open_time_ns and each.closed]
        if found and self._venue_ns() <= found[0].close_time_ns:
            raise BadAnswer("a candle whose end the venue's clock has not reached")
        self.confirmed = self.confirmed or bool(found)
        candle = self.candle
        return self._beside.new(candle.exchange, ("kline", candle.symbol, candle.interval), found)
