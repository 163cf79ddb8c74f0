"""The repairer's open candles: which series, whose clock, what a restart must not forget. See `candle_ends`.

What is open is written to a file of the state directory from time to time, and the log of candles is committed only as
far as the file knows it: a process that follows a killed one reads the rest again, and what stands in neither has been
closed. A file that the disk refuses leaves the log uncommitted, so that a restart reads more.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Final, Protocol

from wsadapter.exchanges.rest_api import RestExchange
from wsadapter.exchanges.rest_api import Series as RestSeries
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.files import StateDirectory
from wsadapter.roles.repairer.candle_ends import CandleEnd, CandleEnds, OpenCandle, Series
from wsadapter.roles.repairer.host_queue import HostQueue
from wsadapter.roles.repairer.published import Published
from wsadapter.shm.stats_page import StatsPage

FILE: Final = "open-candles.json"
LOOK_SECONDS: Final = 1.0
KEEP_SECONDS: Final = 10.0


class CandleLog(Protocol):
    """What `wsadapter.roles.repairer.gap_log.GapLog` has for it."""

    def candles_read(self) -> Mapping[tuple[str, int], int]:
        """How far each partition of candles is read."""

    def candles_kept(self, read: Mapping[tuple[str, int], int]) -> None:
        """So far nothing of them is needed again."""


def series_of_candles(exchange: str, carried: Iterable[RestSeries]) -> list[Series]:
    """Those of candles, of what a connection carries."""
    return [(exchange, each.symbol, each.interval) for each in carried if each.stream == "kline"]


def ended_by_others(plans: Iterable[ConnectionPlan]) -> list[Series]:
    """The series whose candles no flag closes."""
    return [
        (plan.exchange, symbol, each.interval)
        for plan in plans
        for each in plan.subscriptions
        if each.by_successor
        for symbol in ((each.symbol,) if each.symbol else plan.symbols)
    ]


class OpenCandles:
    def __init__(
        self, page: StatsPage, state: StateDirectory, series: Iterable[Series],
        hosts: Mapping[Series, tuple[HostQueue, RestExchange]], published: Published,
    ) -> None:  # fmt: skip
        self._page, self._hosts, self._published = page, hosts, published
        self._exchanges = {exchange: queue.host for (exchange, _, _), (queue, _) in hosts.items()}
        """Whose clock: of several hosts any."""
        self._file = state.file(FILE, list[OpenCandle], [])
        self._ends = CandleEnds(dict.fromkeys(one for one in series if one in hosts))
        for candle in self._file.read():
            self._ends.put(candle)
        self._looked = self._kept = float("-inf")
        self._writing: Future[bool] | None = None
        self._read: Mapping[tuple[str, int], int] = {}

    def add(self, candle: Any) -> None:
        """A candle of the log."""
        self._ends.add(candle)

    def step(self, now: float) -> None:
        """Ask for those that are due."""
        if now < self._looked + LOOK_SECONDS:
            return
        self._looked = now
        for exchange, host in self._exchanges.items():
            for candle in self._ends.due(exchange, host.venue_ns()):
                queue, rest = self._hosts[candle.exchange, candle.symbol, candle.interval]
                if not queue.add(CandleEnd(candle, self._ends, rest, queue.host.venue_ns, self._published)):
                    self._ends.later(candle)
        self._page["candles_unconfirmed_total"] += self._ends.given_up
        self._page["candles_replaced_total"] += self._ends.closed_again
        self._ends.given_up = self._ends.closed_again = 0

    def finished(self, job: CandleEnd) -> None:
        self._page["candles_confirmed_total"] += job.confirmed

    def keep(self, source: CandleLog, now: float) -> None:
        """Write down what is open, then let go of the log so far."""
        if self._writing is not None:
            if not self._writing.done():
                return
            if self._writing.result():
                source.candles_kept(self._read)
            else:
                self._ends.changed = True
            self._writing = None
        if now < self._kept + KEEP_SECONDS:
            return
        self._kept, self._read = now, dict(source.candles_read())
        if self._ends.changed:
            self._ends.changed = False
            self._writing = self._file.write_soon(self._ends.all())
        else:
            source.candles_kept(self._read)

    def close(self, source: CandleLog) -> None:
        """The last word of this process."""
        read = source.candles_read()
        if self._file.write(self._ends.all()):
            source.candles_kept(read)
