"""Settled funding, which no stream tells: each symbol's history is asked for after every full hour, as long as the
repairer lives.

A `wsadapter.roles.repairer.host_queue.Job` without an end, of one venue at one host. Rates are settled at full hours,
with one venue each hour, with another each eighth, and it may change: so what was settled since the last known one is
asked for `GRACE_SECONDS` after each full hour of the venue's clock. Where an answer is the whole history of a symbol,
that is done each `LONG_HOURS` hours. Up to when a symbol's rates are known is kept in a file (`FundingFile`): a
repairer that follows another one goes on there, however long nobody was there; of a symbol that is new the last day is
asked for. What a gap's repair has fetched (`Published`) is not published twice.

It waits behind repairs and lets others pass after each answer: one request for each symbol and hour.
"""

import heapq
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from wsadapter.events import FundingRate
from wsadapter.events.gaps import RepairState
from wsadapter.exchanges.rest_api import Hole, RestError, RestExchange, Rows
from wsadapter.files import StateDirectory
from wsadapter.roles.repairer.host_queue import Job, Pause, Steps, changed
from wsadapter.roles.repairer.published import Published

STREAM: Final = "funding_rate"
FILE: Final = "settled-funding.json"
HOUR: Final = 3600.0
GRACE_SECONDS: Final = 60.0
"""So long after the hour venues have it in their history."""
FIRST_NS: Final = 24 * 3600 * 10**9
GIVEN_UP_NS: Final = 7 * FIRST_NS
"""What cannot be read for so long is asked for no more."""
LONG_HOURS: Final = 8
LONG_ROWS: Final = 2_000
"""More than these in an answer are a history that nobody asked for."""
RETRY_SECONDS: Final = 300.0


class FundingFile:
    """Venue and symbol -> up to when the settled rates are known (ns, by the venue). `save` it when what was published
    is in Kafka: whoever follows asks for what is not in the file."""

    def __init__(self, state: StateDirectory) -> None:
        self._file = state.file(FILE, dict[str, int], {})
        self._known = self._file.read()
        self._is_saved = True

    def known_ns(self, exchange: str, symbol: str) -> int | None:
        return self._known.get(f"{exchange}:{symbol}")

    def put(self, exchange: str, symbol: str, known_ns: int) -> None:
        self._known[f"{exchange}:{symbol}"] = known_ns
        self._is_saved = False

    def save(self) -> None:
        if not self._is_saved:
            self._file.write_soon(self._known)
            self._is_saved = True


class _Found(Struct):
    """What the history of a symbol has after ``since_ns``, pages in whatever order: ``newest_ns`` is known then, the
    longest answer had ``rows``."""

    since_ns: int
    newest_ns: int
    rows: int = 0
    events: list[FundingRate] = []

    def collect(self, events: list[FundingRate]) -> list[FundingRate]:
        """Published when all of them are known: a repairer that is stopped in between has published none."""
        found = [each for each in events if (each.transaction_time_ns or 0) > self.since_ns]
        newest_ns = max((each.transaction_time_ns or 0 for each in found), default=0)
        self.newest_ns = max(self.newest_ns, newest_ns)
        self.events += found
        return []

    def look(self, answer: Rows) -> None:
        self.rows = max(self.rows, answer.rows)


class FundingPoll(Job):
    """``venue_ns``: the venue's clock. ``errors``: since they were last taken from here."""

    urgent = False
    endless = True
    polls = True

    def __init__(
        self, exchange: str, symbols: Iterable[str], rest: RestExchange, file: FundingFile,
        venue_ns: Callable[[], int], now: float, published: Published | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.lane = f"settled_funding:{exchange}"
        self.errors = 0
        self._exchange, self._rest, self._file, self._venue_ns = exchange, rest, file, venue_ns
        self._published = Published() if published is None else published
        self._due = [(now, symbol) for symbol in symbols]
        heapq.heapify(self._due)

    def run(self) -> Steps:
        while True:
            now = yield Pause(self._due[0][0])
            symbol, until_ns = self._due[0][1], self._venue_ns()
            known_ns = self._file.known_ns(self._exchange, symbol)
            since_ns = until_ns - FIRST_NS if known_ns is None else known_ns
            found = _Found(since_ns, since_ns)
            filling = self._rest.repair(Hole(STREAM, symbol, since_ns + 1, until_ns))
            assert filling is not None, "asked for only where the venue has it"
            try:
                filled = yield from changed(filling, found.collect, found.look)
            except RestError:
                self.errors += 1
                self._next(now + RETRY_SECONDS)
                continue
            if filled.state == RepairState.REPAIRED:
                # of one that has none not all of its time again and again
                newest_ns = max(found.newest_ns, until_ns - FIRST_NS)
            else:  # all of it again, though some of it was read
                self.errors += 1
                newest_ns = max(since_ns, until_ns - GIVEN_UP_NS)
            if newest_ns != known_ns:
                self._file.put(self._exchange, symbol, newest_ns)
            if events := self._published.new(self._exchange, (STREAM, symbol, ""), found.events):
                yield events
            self._next(now + self._until_hour(LONG_HOURS if found.rows > LONG_ROWS else 1))

    def _next(self, due: float) -> None:
        heapq.heapreplace(self._due, (due, self._due[0][1]))

    def _until_hour(self, hours: int) -> float:
        """Seconds until so many full hours of the venue are begun, and the grace is over."""
        return (hours - 1) * HOUR + HOUR - self._venue_ns() / 1e9 % HOUR + GRACE_SECONDS
