"""What a reader of the ring may rely on, whatever befell the connection, its process and the ring: each gap that an
event names was published before that event, and each number that is not there lies within a gap that was.

No socket and no clock: one connection's session, as it numbers and marks, and a publisher on a real ring.
"""

import os
from collections.abc import Callable
from itertools import count
from typing import Final, cast

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from roles.ingest.test_ring_publisher import PLAN, Bench
from samples import NS, trade

from wsadapter.events import Event, Gap, Trade
from wsadapter.events.gaps import GapCause, begin, ended
from wsadapter.exchanges import load
from wsadapter.exchanges.continuity import NONE
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import Item
from wsadapter.roles.ingest.gaps import missed_since

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
NAMES: Final = count()


class Life:
    """The venue trades at each step; what becomes of that, the step says."""

    def __init__(self) -> None:
        self.bench = Bench(f"wsadapter-test-true-{os.getpid()}-{next(NAMES)}")
        self.now = NS
        self.numbers = dict.fromkeys(SYMBOLS, 0)
        self.at_ns: dict[tuple[str, int], int] = {}
        """When each number was traded."""
        self.seen: list[Event] = []
        self.gap: Gap | None = None
        self.start(GapCause.CONNECT, 0)

    def start(self, cause: GapCause, since_ns: int) -> None:
        self.session = cast(VenueSession, load("binance")(PLAN))
        self.bench.publisher.mark = self.session.mark
        self.bench.publisher.adopt_open_gaps(self.tick())
        self.begin_gap(cause, since_ns)
        self.live(0)

    def tick(self) -> int:
        self.now += 1000
        return self.now

    def made(self, symbol: str) -> Trade:
        """By the venue, now."""
        self.numbers[symbol] += 1
        self.at_ns[symbol, self.numbers[symbol]] = self.tick()
        event = trade(self.numbers[symbol], symbol)
        return msgspec.structs.replace(
            event,
            receive_time_ns=self.now,
            connection=PLAN.connection,
            last_gap_ns=self.session.marked("trade", symbol),
        )

    def publish(self, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, Gap):
                self.bench.publisher.on_gap(item)
            else:
                self.bench.publisher.publish(item)

    # What may happen. ``how_many`` of it.

    def trades(self, how_many: int, ends: bool = True) -> None:
        for index in range(how_many):
            symbol = SYMBOLS[index % len(SYMBOLS)]
            event = self.made(symbol)
            if self.gap is not None:
                continue
            series, items = self.session.sequences.agg_trades[symbol], list[Item]()
            if series.next != self.numbers[symbol] and (
                gap := self.session.sequences.jumped(series, self.numbers[symbol], self.now)
            ):
                event.last_gap_ns = gap.receive_time_ns
                items.append(gap)
            series.next, series.at_ns = self.numbers[symbol] + 1, self.now
            name = f"{symbol.lower()}@aggTrade"
            self.publish(self.session.outages.ended([*items, event], name, self.now))
            if name in self.session.last_receive_ns:
                self.session.last_receive_ns[name] = self.now
        if ends:
            self.bench.publisher.on_read_end()

    def skip(self, how_many: int) -> None:
        """What the venue leaves out; before the first of a socket, and behind the last, nothing shows it."""
        for symbol in SYMBOLS[:how_many]:
            if self.session.sequences.agg_trades[symbol].next != NONE:
                self.made(symbol)
        self.trades(len(SYMBOLS))

    def silent(self, _: int) -> None:
        if self.gap is None and (gap := self.session.silent("btcusdt@aggTrade", self.now, self.tick())) is not None:
            self.publish([gap])
            self.bench.publisher.on_read_end()

    def begin_gap(self, cause: GapCause, since_ns: int) -> None:
        now = self.tick()
        self.gap = begin(cause, since_ns or now, now, exchange="binance", connection=PLAN.connection)
        self.bench.publisher.on_gap(self.gap)

    def cut(self, _: int) -> None:
        if self.gap is None:
            self.begin_gap(GapCause.DISCONNECT, self.now)

    def live(self, _: int) -> None:
        if self.gap is not None:
            self.session.open()
            self.session.last_gap_ns = self.tick()
            gap, self.gap = ended(self.gap, self.now), None
            self.bench.publisher.on_gap(gap)
            self.bench.publisher.on_read_end()

    def fill(self, _: int) -> None:
        for _ in range(1_000):
            self.trades(2)
            if self.gap is not None or self.bench.writer.dropped:
                break

    def kill(self, how_many: int) -> None:
        """In the middle of a read; the last that was published is known from the page."""
        self.trades(how_many, ends=False)
        self.bench.restart()
        self.start(GapCause.RESTART, missed_since(self.bench.page))

    def read(self, _: int) -> None:
        self.seen += self.bench.read()

    def recover(self, _: int) -> None:
        self.bench.publisher.recover(self.tick())
        self.bench.publisher.on_read_end()

    def finish(self) -> None:
        for _ in range(4):
            self.read(0)
            self.recover(0)
            self.live(0)
            self.trades(2)
        self.read(0)


STEPS: Final[dict[str, Callable[[Life, int], None]]] = {
    "trades": Life.trades,
    "skip": Life.skip,
    "silent": Life.silent,
    "cut": Life.cut,
    "live": Life.live,
    "fill": Life.fill,
    "kill": Life.kill,
    "read": Life.read,
    "recover": Life.recover,
}


@example([("kill", 2)])  # of which nothing was published yet
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*STEPS]), st.integers(1, 4)), min_size=5, max_size=30))
def test_each_name_is_of_a_gap_and_each_hole_is_in_one(steps: list[tuple[str, int]]) -> None:
    life = Life()
    try:
        for word, how_many in steps:
            STEPS[word](life, how_many)
        life.finish()
        assert_true(life)
    finally:
        life.bench.close()


def assert_true(life: Life) -> None:
    last = {gap.gap_id: gap for gap in life.seen if isinstance(gap, Gap)}
    assert not [gap for gap in last.values() if gap.ended_ns is None], "somebody ends each"
    published: list[Gap] = []
    there: set[tuple[str, int]] = set()
    for event in life.seen:
        if isinstance(event, Gap):
            published.append(event)
            continue
        assert isinstance(event, Trade)
        assert event.trade_number is not None
        assert (event.symbol, event.trade_number) not in there
        there.add((event.symbol, event.trade_number))
        about = [gap for gap in published if gap.stream in ("", "trade") and gap.symbol in ("", event.symbol)]
        if event.last_gap_ns is not None:
            assert event.last_gap_ns in {gap.receive_time_ns for gap in about}, event
        assert all(gap.started_ns <= (gap.ended_ns or gap.started_ns) for gap in about)
    for (symbol, number), at_ns in life.at_ns.items():
        if (symbol, number) not in there:
            of = [gap for gap in last.values() if gap.stream in ("", "trade") and gap.symbol in ("", symbol)]
            assert any(gap.started_ns <= at_ns <= (gap.ended_ns or at_ns) for gap in of), (symbol, number)
