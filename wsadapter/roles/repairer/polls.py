"""What the repairer asks for again and again beside repairs: open interest, instruments. Owns its part of the page."""

import time

from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import Gap
from wsadapter.exchanges.rest_api import Limit, RestExchange
from wsadapter.metrics import polled
from wsadapter.roles.open_gaps import polled_gap
from wsadapter.roles.orders import Poll
from wsadapter.roles.repairer.host_queue import HostQueue
from wsadapter.roles.repairer.instruments import InstrumentPoll, InstrumentTable
from wsadapter.roles.repairer.open_interest import OpenInterestPoll
from wsadapter.shm.stats_page import StatsPage


class Polls:
    def __init__(self, page: StatsPage, clickhouse: ClickHouseConfig) -> None:
        self._page = page
        self._interests: list[tuple[HostQueue, OpenInterestPoll]] = []
        self._instruments: list[InstrumentPoll] = []
        self._table = InstrumentTable(clickhouse)

    def interest(self, poll: Poll, queue: HostQueue, rest: RestExchange) -> None:
        """Symbols of one host."""
        cells = self._page.read()
        received = {symbol: cells[polled("stream_last_ns", poll.exchange, symbol)] for symbol in poll.symbols}
        lasting = {symbol: polled_gap(cells, poll.exchange, symbol) for symbol in poll.symbols}
        interest = OpenInterestPoll(poll.exchange, received, rest, time.monotonic(), lasting)
        self._interests.append((queue, interest))
        queue.add(interest)

    def instruments(self, exchange: str, queue: HostQueue, rest: RestExchange) -> None:
        """Of one venue. What its host says that it allows, all that goes to the host is held to."""

        def allow(weights: Limit) -> None:
            queue.host.budget.allow(weights)
            for at, interest in self._interests:
                if at is queue:
                    interest.allow(weights)

        self._instruments.append(InstrumentPoll(exchange, rest, allow))
        queue.add(self._instruments[-1])

    def new_silences(self, now_ns: int) -> list[Gap]:
        """Silences to be published. Only when all that was published before is acknowledged: a name is given then."""
        return [gap for _, interest in self._interests for gap in interest.new_silences(now_ns)]

    def end_silences(self, now_ns: int) -> list[Gap]:
        """The end of those that last."""
        return [gap for _, interest in self._interests for gap in interest.end_silences(now_ns)]

    def step(self, now: float, now_ns: int) -> None:
        """Hand on new instruments, write the figures of the polls."""
        page, table = self._page, self._table
        for listing in self._instruments:
            if listing.result:
                table.put(listing.exchange, listing.result)
                listing.result = []
            page["instrument_failures_total"] += listing.errors
            listing.errors = 0
        table.step(now)
        page["instrument_rows_total"] += table.rows
        page["instrument_failures_total"] += table.failures
        table.rows = table.failures = 0
        for _, interest in self._interests:
            interest.check(now_ns)
            page["poll_errors_total"] += interest.errors
            interest.errors = 0
            for symbol, entry in interest.symbols.items():
                page[polled("stream_state", interest.exchange, symbol)] = entry.state
                page[polled("stream_last_ns", interest.exchange, symbol)] = entry.received_ns
