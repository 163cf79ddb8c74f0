"""What the repairer asks for again and again beside repairs: open interest, settled funding, books, instruments, the
time; and the books that it makes of what was recorded.

Owns its part of the page."""

import time
from collections.abc import Iterable

from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import Gap
from wsadapter.exchanges.rest_api import Hole, Limit, RestExchange
from wsadapter.listings.feeds import ListingSource
from wsadapter.metrics import polled
from wsadapter.roles.open_gaps import polled_gap
from wsadapter.roles.orders import Checkpoints, Poll, Snapshots
from wsadapter.roles.repairer.book_checkpoints import BookCheckpoints
from wsadapter.roles.repairer.book_snapshots import BookPoll
from wsadapter.roles.repairer.host_queue import HostQueue
from wsadapter.roles.repairer.instruments import EVERY_SECONDS, InstrumentPoll, InstrumentTable
from wsadapter.roles.repairer.listings import ListingFiles
from wsadapter.roles.repairer.open_interest import OpenInterestPoll
from wsadapter.roles.repairer.published import Published
from wsadapter.roles.repairer.settled_funding import STREAM as FUNDING
from wsadapter.roles.repairer.settled_funding import FundingFile, FundingPoll
from wsadapter.roles.repairer.venue_clock import ClockPoll
from wsadapter.shm.stats_page import StatsPage


class Polls:
    """``kept``: the listings that the rules of feeds go by."""

    def __init__(
        self, page: StatsPage, clickhouse: ClickHouseConfig, kept: ListingFiles, checkpoints: Iterable[Checkpoints] = ()
    ) -> None:
        self._page, self._kept = page, kept
        self._interests: list[tuple[HostQueue, OpenInterestPoll]] = []
        self._instruments: list[tuple[HostQueue, InstrumentPoll, bool]] = []
        self._clocks: list[ClockPoll] = []
        self._fundings: list[tuple[HostQueue, FundingPoll]] = []
        self._books: list[tuple[HostQueue, BookPoll]] = []
        self._table = InstrumentTable(clickhouse)
        self._checkpoints = BookCheckpoints(clickhouse, checkpoints, time.monotonic())

    def interest(self, poll: Poll, queue: HostQueue, rest: RestExchange) -> None:
        """Symbols of one host."""
        cells = self._page.read()
        received = {symbol: cells[polled("stream_last_ns", poll.exchange, symbol)] for symbol in poll.symbols}
        lasting = {symbol: polled_gap(cells, poll.exchange, symbol) for symbol in poll.symbols}
        interest = OpenInterestPoll(poll.exchange, received, rest, time.monotonic(), lasting)
        self._interests.append((queue, interest))

    def clock(self, exchange: str, queue: HostQueue, rest: RestExchange) -> None:
        """What time it is at a venue."""
        if rest.server_time is None or f'venue_clock_error_ns{{exchange="{exchange}"}}' not in self._page:
            return
        poll = ClockPoll(exchange, rest.server_time, lambda: queue.host.trip_ns, time.monotonic())
        self._clocks.append(poll)
        queue.add(poll)

    def funding(
        self, exchange: str, symbols: Iterable[str], queue: HostQueue, rest: RestExchange, file: FundingFile,
        published: Published,
    ) -> None:  # fmt: skip
        """What is settled of symbols of one host, where the venue has a history of it."""
        asked = [symbol for symbol in symbols if rest.repair(Hole(FUNDING, symbol, 0, 0)) is not None]
        if asked:
            clock, now = queue.host.venue_ns, time.monotonic()
            self._fundings.append((queue, FundingPoll(exchange, asked, rest, file, clock, now, published)))

    def books(self, snapshots: Snapshots, queue: HostQueue, rest: RestExchange) -> None:
        """Whole ones of symbols of one host."""
        poll = BookPoll(snapshots.exchange, snapshots.symbols, snapshots.every, rest, time.monotonic())
        self._books.append((queue, poll))

    def begin(self) -> None:
        """Where events go is there."""
        for queue, poll in (*self._interests, *self._fundings, *self._books):
            queue.add(poll)

    def instruments(
        self, exchange: str, queue: HostQueue, rest: RestExchange, source: ListingSource | None, in_table: bool = True
    ) -> None:
        """Of one venue. What its host says that it allows, all that goes to the host is held to. ``source``: where
        rules go by its listing. ``in_table``: the rows are those of the venue, and not of another host of it."""

        def allow(weights: Limit) -> None:
            queue.host.budget.allow(weights)
            for at, interest in self._interests:
                if at is queue:
                    interest.allow(weights)
            for at, books in self._books:
                if at is queue:
                    books.allow(weights)

        poll = InstrumentPoll(exchange, rest, allow)
        if source is not None:
            poll = InstrumentPoll(exchange, rest, allow, min(source.seconds, EVERY_SECONDS), source.ranked)
        self._instruments.append((queue, poll, in_table))
        queue.add(poll)

    def new_silences(self, now_ns: int) -> list[Gap]:
        """Silences to be published. Only when all that was published before is acknowledged: a name is given then."""
        return [gap for _, interest in self._interests for gap in interest.new_silences(now_ns)]

    def end_silences(self, now_ns: int) -> list[Gap]:
        """The end of those that last."""
        return [gap for _, interest in self._interests for gap in interest.end_silences(now_ns)]

    def step(self, now: float, now_ns: int) -> None:
        """Hand on new instruments, write the figures of the polls."""
        page, table = self._page, self._table
        for queue, poll, in_table in self._instruments:
            if poll.result is not None:
                rows, poll.result = poll.result, None
                gone = self._kept.put(poll.exchange, queue.host.base, rows, poll.turnovers, now_ns)
                if in_table and (rows := [*rows, *gone]):
                    table.put(poll.exchange, rows)
            page["instrument_failures_total"] += poll.errors
            poll.errors = 0
        table.step(now)
        page["instrument_rows_total"] += table.rows
        page["instrument_failures_total"] += table.failures
        table.rows = table.failures = 0
        for clock in self._clocks:
            clock.publish(page, now)
        for _, funding in self._fundings:
            page["poll_errors_total"] += funding.errors
            funding.errors = 0
        for _, books in self._books:
            page["book_snapshots_total"] += books.taken
            page["book_snapshot_failures_total"] += books.failures
            books.taken = books.failures = 0
        made = self._checkpoints
        made.step(now, now_ns)
        page["book_checkpoints_total"] += made.made
        page["book_checkpoint_failures_total"] += made.failures
        made.made = made.failures = 0
        for _, interest in self._interests:
            interest.check(now_ns)
            page["poll_errors_total"] += interest.errors
            interest.errors = 0
            for symbol, entry in interest.symbols.items():
                page[polled("stream_state", interest.exchange, symbol)] = entry.state
                page[polled("stream_last_ns", interest.exchange, symbol)] = entry.received_ns
