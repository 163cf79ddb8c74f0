"""Ingest goes on in a stats page of other cells, as at a reload: every count is in the page that readers find."""

import os
from collections.abc import Iterator

import pytest
from roles.ingest.test_exact_counts import counted
from roles.ingest.test_ring_publisher import PLAN, Bench
from samples import NS, trade

from wsadapter import metrics
from wsadapter.events import StreamType
from wsadapter.events.gaps import GapCause, begin, ended
from wsadapter.exchanges.venue import ConnectionPlan, Subscription
from wsadapter.roles.open_gaps import stream_cell, stream_gaps
from wsadapter.shm import redo_log
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

MORE = ConnectionPlan(
    PLAN.connection, PLAN.exchange, PLAN.url,
    (Subscription("ethusdt@aggTrade", StreamType.TRADE, "ETHUSDT"), *PLAN.subscriptions), PLAN.symbols,
)  # fmt: skip


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(f"wsadapter-moved-{os.getpid()}")
    yield made
    made.close()


def move(bench: Bench) -> None:
    """As ingest does when its order is done (`Child.take`)."""
    name = bench.names[1]
    StatsPage.create(name + ".new1", metrics.ingest(each.name for each in MORE.subscriptions)).release()
    page = StatsPage.attach(name + ".new1", writable=True)
    redo_log.carry(bench.page, page)
    Segment.replace(name + ".new1", name)
    bench.publisher.move(page, MORE)
    bench.page = page


def test_counts_go_on_and_a_kill_before_the_next_publication_loses_and_invents_none(bench: Bench) -> None:
    for number in range(3):
        bench.publisher.publish(trade(number))
        bench.publisher.on_read_end()
    bench.publisher.publish(trade(3))  # written, and not visible yet
    move(bench)
    assert counted(bench) == {"trade": 3}
    bench.restart()
    assert counted(bench) == {"trade": 3}

    bench.publisher.publish(trade(3))
    bench.publisher.on_read_end()
    assert counted(bench) == {"trade": 4}
    assert bench.page["last_receive_ns"] == trade(3).receive_time_ns
    bench.restart()
    assert counted(bench) == {"trade": 4}


def test_what_was_not_published_before_is_published_after(bench: Bench) -> None:
    before = bench.page
    bench.publisher.publish(trade(1))
    move(bench)
    bench.publisher.publish(trade(2))
    bench.publisher.on_read_end()

    assert counted(bench) == {"trade": 2}
    assert before['events_total{stream="trade"}'] == 0, "nobody writes to the page before any more"
    before.release()


def test_gaps_that_last_go_on_under_their_names(bench: Bench) -> None:
    bench.gap_begins(GapCause.DISCONNECT, NS, NS)
    silence = begin(GapCause.STALE, NS, NS, exchange="binance", connection=PLAN.connection, stream="trade",
                    symbol="BTCUSDT")  # fmt: skip
    bench.publisher.on_gap(silence)
    ids = bench.page["gap_position"], bench.page[stream_cell("gap_position", "btcusdt@aggTrade")]
    assert all(ids)
    move(bench)
    assert (bench.page["gap_position"], bench.page[stream_cell("gap_position", "btcusdt@aggTrade")]) == ids
    assert [gap.symbol for gap in stream_gaps(bench.page.read(), MORE)] == ["BTCUSDT"]

    bench.gap_ends(NS + 5)
    bench.publisher.on_gap(ended(silence, NS + 5))
    assert (bench.page["gap_position"], bench.page[stream_cell("gap_position", "btcusdt@aggTrade")]) == (0, 0)
    assert bench.publisher.settled


def test_cells_that_are_not_in_the_page_are_refused(bench: Bench) -> None:
    small = StatsPage.create(bench.names[1] + ".new2", ("a",))
    with pytest.raises((KeyError, ValueError)):
        bench.publisher.move(small, MORE)
    small.release()
    Segment.unlink(bench.names[1] + ".new2")
