"""Gaps of single streams on their way into the ring: in order, counted by cause, kept when the ring is full."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from roles.ingest.test_ring_publisher import Bench, Killed, killed
from samples import NS, trade

from wsadapter.events import Gap, Source


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(f"wsadapter-test-stream-gaps-{os.getpid()}")
    yield made
    made.close()


def published(bench: Bench) -> list[Any]:
    bench.publisher.on_read_end()
    return bench.read()


def gap(
    cause: str = "sequence",
    at: int = NS,
    ended: int | None = NS,
    missing: tuple[int | None, int | None, int | None] = (None, None, None),
    version: int = 1,
) -> Gap:
    return Gap(
        "binance", "BTCUSDT", None, None, at, Source.WEBSOCKET, "binance-market-0", None,
        "", version, "trade", "", cause, NS - 9, ended, *missing, "open",
    )  # fmt: skip


def test_a_gap_keeps_its_place_and_is_counted(bench: Bench) -> None:
    bench.publisher.publish(trade(1))
    bench.publisher.on_gap(gap(missing=(2, 4, 3)))
    bench.publisher.publish(trade(5))
    bench.publisher.on_read_end()
    first, hole, second = bench.read()

    assert [first.trade_number, hole.cause, second.trade_number] == [1, "sequence", 5]
    assert bench.page['gaps_total{cause="sequence"}'] == 1
    assert bench.page['events_total{stream="gap"}'] == 1


def test_a_silence_is_one_gap_in_two_records(bench: Bench) -> None:
    bench.publisher.on_gap(gap("stale", NS, None))
    bench.publisher.on_gap(gap("sequence", NS + 1))
    bench.publisher.on_gap(gap("stale", NS + 5, NS + 5, version=2))
    bench.publisher.on_gap(gap("stale", NS + 6, None))
    bench.publisher.on_read_end()
    begun, other, ended, again = bench.read()

    assert (ended.gap_id, ended.version, ended.ended_ns) == (begun.gap_id, 2, NS + 5)
    assert other.version == 1
    assert (again.version, again.gap_id != begun.gap_id) == (1, True)
    assert bench.page['gaps_total{cause="stale"}'] == 2


def test_a_silence_that_a_killed_ingest_leaves_is_ended_by_the_next(bench: Bench) -> None:
    bench.publisher.on_gap(gap("stale", NS, None))
    bench.publisher.on_read_end()
    (begun,) = bench.read()
    bench.replace_ring()
    bench.publisher.adopt_open_gaps(NS + 30)
    bench.publisher.on_gap(gap("stale", NS + 40, None))
    ended, again = published(bench)

    assert (ended.gap_id, ended.version, ended.ended_ns, ended.started_ns) == (
        begun.gap_id,
        2,
        NS + 30,
        begun.started_ns,
    )
    assert (again.version, again.gap_id == begun.gap_id) == (1, False)
    bench.restart()
    bench.publisher.adopt_open_gaps(NS + 50)
    assert [(g.gap_id, g.ended_ns) for g in bench.read()] == [(again.gap_id, NS + 50)]
    bench.restart()
    bench.publisher.adopt_open_gaps(NS + 60)
    assert bench.read() == [], "each is ended once"


def test_the_end_of_a_silence_that_a_kill_leaves_unpublished_is_said_again(bench: Bench) -> None:
    bench.publisher.on_gap(gap("stale", NS, None))
    bench.publisher.on_read_end()
    bench.publisher.on_read_end = killed
    with pytest.raises(Killed):
        bench.publisher.on_gap(gap("stale", NS + 5, NS + 5))
    bench.restart()
    bench.publisher.adopt_open_gaps(NS + 30)
    begun, ended = bench.read()

    assert (ended.gap_id, ended.ended_ns) == (begun.gap_id, NS + 30)


def test_a_silence_that_is_left_open_and_finds_the_ring_full_is_ended_later(bench: Bench) -> None:
    bench.publisher.on_gap(gap("stale", NS, None))
    bench.fill()
    bench.restart()
    bench.fill()
    bench.publisher.adopt_open_gaps(NS + 30)
    begun = bench.read()[0]
    bench.publisher.recover(NS + 60)
    ended = bench.read()[0]

    assert (ended.gap_id, ended.version, ended.ended_ns) == (begun.gap_id, 2, NS + 30)


def test_gaps_that_find_the_ring_full_are_said_before_what_was_dropped(bench: Bench) -> None:
    kept = bench.fill()
    bench.publisher.on_gap(gap(at=NS + 1, missing=(kept + 2, kept + 4, 3)))
    bench.publisher.publish(trade(kept + 5))
    bench.publisher.on_gap(gap(at=NS + 2, ended=NS + 2, missing=(kept + 6, kept + 6, 1)))
    bench.publisher.publish(trade(kept + 7))
    bench.publisher.on_gap(gap("stale", NS + 3, None))
    assert len(bench.read()) == kept
    bench.publisher.recover(NS + 60)
    bench.publisher.publish(trade(kept + 8))
    bench.publisher.on_read_end()
    hole, silence, dropped, event = bench.read()

    assert (hole.cause, hole.first_missing, hole.last_missing, hole.missing_count) == (
        "sequence", kept + 2, kept + 6, 4,
    )  # fmt: skip
    assert (hole.started_ns, hole.ended_ns) == (NS - 9, NS + 2)
    assert (silence.cause, silence.ended_ns) == ("stale", None)
    assert (dropped.cause, dropped.missing_count, dropped.last_missing) == ("ring_full", 3, kept + 7)
    assert event.last_gap_ns == NS + 60
    assert bench.page['ring_dropped_total{stream="gap"}'] == 0
    assert bench.page['gaps_total{cause="sequence"}'] == 1


def test_a_silence_that_begins_and_ends_while_the_ring_is_full_is_one_record(bench: Bench) -> None:
    kept = bench.fill()
    bench.publisher.on_gap(gap("stale", NS + 1, None))
    bench.publisher.on_gap(gap("stale", NS + 5, NS + 5, version=2))
    assert len(bench.read()) == kept
    bench.publisher.recover(NS + 60)
    silence, _ = bench.read()

    assert (silence.version, silence.gap_id != "", silence.ended_ns) == (1, True, NS + 5)


def test_a_newer_gap_of_the_stream_is_not_hidden_by_an_older_one_of_the_ring(bench: Bench) -> None:
    bench.fill()
    bench.read()
    bench.publisher.recover(NS + 60)
    later, earlier = trade(1), trade(2)
    later.last_gap_ns, earlier.last_gap_ns = NS + 70, NS + 50
    bench.publisher.publish(later)
    bench.publisher.publish(earlier)
    bench.publisher.on_read_end()

    assert [event.last_gap_ns for event in bench.read()[1:]] == [NS + 70, NS + 60]
