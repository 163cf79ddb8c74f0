"""A stats page whose cells change (a reload, an upgrade, more partitions) takes over what the one before it held."""

import os
from collections.abc import Iterator

import pytest

from wsadapter import metrics
from wsadapter.shm import ring, ring_counters
from wsadapter.shm.redo_log import FIELDS, RedoLog
from wsadapter.shm.ring import RingWriter
from wsadapter.shm.ring_counters import RingCounters
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.process import open_page

NAME = f"wsadapter-test-page-{os.getpid()}"


@pytest.fixture(autouse=True)
def page() -> Iterator[None]:
    yield
    for name in (NAME, NAME + ".new", NAME + "-ring"):
        Segment.unlink(name)


def replaced(before: StatsPage, fields: tuple[str, ...]) -> StatsPage:
    before.release()
    return open_page(NAME, fields)


def test_state_is_taken_over_as_counters_are() -> None:
    before = open_page(NAME, metrics.ingest(("btcusdt@aggTrade",)))
    values = {'events_total{stream="trade"}': 7, "last_receive_ns": 5, "gap_position": 3, "gap_started_ns": 2,
              "gap_version": 1, "gap_cause": 4, 'stream_last_ns{stream="btcusdt@aggTrade"}': 6}  # fmt: skip
    for field, value in values.items():
        before[field] = value
    after = replaced(before, metrics.ingest(("ethusdt@aggTrade", "btcusdt@aggTrade")))

    assert {field: after[field] for field in values} == values
    assert after['stream_last_ns{stream="ethusdt@aggTrade"}'] == 0
    after.release()


def test_a_consumer_with_more_partitions_knows_how_far_it_was() -> None:
    before = open_page(NAME, metrics.consumer(2))
    before['counted_to{stream="trade",partition="1"}'] = 70
    after = replaced(before, metrics.consumer(5))

    assert after['counted_to{stream="trade",partition="1"}'] == 70
    after.release()


def test_a_pending_redo_log_goes_on_in_the_new_page() -> None:
    before = open_page(NAME, ("a_total", "gone_total", "b", *FIELDS))
    before["a_total"] = 10
    RedoLog(before).begin({before.index("a_total"): 5, before.index("gone_total"): 1}, {before.index("b"): 9})
    after = replaced(before, ("new_total", *FIELDS, "b", "a_total"))
    log = RedoLog(after)

    assert log.pending, "its deed is still to be done"
    assert (after["a_total"], after["b"]) == (10, 0)
    log.end()
    assert (after["new_total"], after["a_total"], after["b"]) == (0, 15, 9)
    after.release()


def test_counts_that_a_kill_left_in_a_bank_are_found() -> None:
    ring.create(NAME + "-ring", 65_536, 1)
    writer = RingWriter.attach(NAME + "-ring")
    before = open_page(NAME, ring_counters.fields(("a", "b")))
    counters = RingCounters(before, ("a", "b"), writer.tail)
    counters.cells[counters.index("b")] = 4
    writer.try_write(1, b"x")
    counters.keep(writer.tail)
    writer.publish()  # killed here: not shown
    counters.release()
    after = replaced(before, ring_counters.fields(("new", "b", "a")))
    again = RingCounters(after, ("new", "b", "a"), writer.tail)

    assert (after["new"], after["b"], after["a"]) == (0, 4, 0)
    again.release()
    writer.release()
    after.release()


def test_a_supervisor_that_is_killed_while_it_replaces_a_page_leaves_the_old_one() -> None:
    before = open_page(NAME, ("a", "b"))
    before["a"] = 1
    StatsPage.create(NAME + ".new", ("a", "c")).release()
    after = replaced(before, ("a", "c"))

    assert (after["a"], Segment.exists(NAME + ".new")) == (1, False)
    after.release()
