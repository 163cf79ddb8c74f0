"""What the repairer asks for again and again beside repairs: open interest, instruments. Owns its part of the page."""

import time

from wsadapter.config import ClickHouse
from wsadapter.exchanges.rest import Limit, RestExchange
from wsadapter.instruments import InstrumentPoll, InstrumentTable
from wsadapter.interest_poll import InterestPoll, Poll
from wsadapter.repair_desk import Desk
from wsadapter.stats import StatsPage
from wsadapter.stats_fields import polled


class Polls:
    def __init__(self, page: StatsPage, clickhouse: ClickHouse) -> None:
        self._page = page
        self._interests: list[tuple[Desk, InterestPoll]] = []
        self._instruments: list[InstrumentPoll] = []
        self._table = InstrumentTable(clickhouse)

    def interest(self, poll: Poll, desk: Desk, rest: RestExchange) -> None:
        """Symbols of one host. When each was answered last is in the page, if it was in this run."""
        received = {
            symbol: max(before, self._page[polled("stream_last_ns", poll.exchange, symbol)])
            for symbol, before in zip(poll.symbols, poll.received, strict=True)
        }
        interest = InterestPoll(poll.exchange, received, rest, time.monotonic())
        self._interests.append((desk, interest))
        desk.add(interest)

    def instruments(self, exchange: str, desk: Desk, rest: RestExchange) -> None:
        """Of one venue. What its host says that it allows, all that goes to the host is held to."""

        def allow(weights: Limit) -> None:
            desk.host.budget.allow(weights)
            for at, interest in self._interests:
                if at is desk:
                    interest.allow(weights)

        self._instruments.append(InstrumentPoll(exchange, rest, allow))
        desk.add(self._instruments[-1])

    def turn(self, now: float, now_ns: int) -> None:
        """Hand on what was found, say how things are."""
        page, table = self._page, self._table
        for listing in self._instruments:
            if listing.found:
                table.put(listing.exchange, listing.found)
                listing.found = []
            page["instrument_failures_total"] += listing.errors
            listing.errors = 0
        table.turn(now)
        page["instrument_rows_total"] += table.rows
        page["instrument_failures_total"] += table.failures
        table.rows = table.failures = 0
        for _, interest in self._interests:
            interest.look(now_ns)
            page["poll_errors_total"] += interest.errors
            interest.errors = 0
            for symbol, asked in interest.asked.items():
                page[polled("stream_state", interest.exchange, symbol)] = asked.state
                page[polled("stream_last_ns", interest.exchange, symbol)] = asked.received_ns
