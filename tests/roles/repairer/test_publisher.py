"""What the repairer publishes is counted by what it is, together with its ring's tail."""

import os
from collections.abc import Iterator

import pytest
from ring_records import event_of
from samples import NS, full

from wsadapter import metrics as stats_fields
from wsadapter.events import FundingRate, Gap, OpenInterest, Trade
from wsadapter.events.gaps import GapCause
from wsadapter.roles.open_gaps import polled_gap
from wsadapter.roles.repairer import open_interest
from wsadapter.roles.repairer.publisher import RepairPublisher
from wsadapter.shm import doorbell, ring
from wsadapter.shm.ring import RingReader
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import RingRef


@pytest.fixture
def made() -> Iterator[tuple[RepairPublisher, StatsPage, RingReader]]:
    name = f"wsadapter-test-publisher-{os.getpid()}"
    ring.create(name, 1 << 16, NS)
    page = StatsPage.create(f"{name}-stats", stats_fields.repairer(["host"], [("binance", "BTCUSDT")], ["binance"]))
    bell, reader = doorbell.create(), RingReader.attach(name)
    publisher = RepairPublisher(RingRef("repair", name, NS, bell), page)
    yield publisher, page, reader
    publisher.release()
    reader.release()
    page.release()
    os.close(bell)
    for segment in (name, f"{name}-stats"):
        Segment.unlink(segment)


def test_each_event_is_counted_by_what_it_is(made: tuple[RepairPublisher, StatsPage, RingReader]) -> None:
    publisher, page, reader = made
    events = {type(event): event for event in full()}
    own, again = events[Gap], full()[-1]
    assert isinstance(own, Gap)
    assert isinstance(again, Gap)
    own.version, own.cause = 1, "stale"
    publisher.put([events[Trade], events[FundingRate], own, again])
    publisher.put([events[OpenInterest], events[FundingRate]], polled=True)

    kinds = [type(event_of(kind, payload)) for _, kind, payload in reader.poll(9)]
    assert kinds == [Trade, FundingRate, Gap, Gap, OpenInterest, FundingRate]
    counted = {
        field: count for field, count in page.read().items() if count and "_total" in field and field[:5] != "bank_"
    }
    assert counted == {
        'records_total{stream="trade"}': 1,
        'records_total{stream="open_interest"}': 1,
        'records_total{stream="gap"}': 2,
        'records_total{stream="funding_rate"}': 2,
        'repaired_total{stream="trade"}': 1,
        'repaired_total{stream="funding_rate"}': 1,
        stats_fields.polled("polled_total", "binance"): 1,
        'polled_total{stream="funding_rate",exchange="binance"}': 1,
        'gaps_total{cause="stale"}': 1,
    }


def test_an_event_that_can_be_no_record_costs_only_itself(made: tuple[RepairPublisher, StatsPage, RingReader]) -> None:
    publisher, page, reader = made
    good, bad = (next(event for event in full() if isinstance(event, Trade)) for _ in range(2))
    bad.trade_number = 1 << 63
    publisher.put([bad, good])

    assert publisher.kept == 0
    assert len(reader.poll(9)) == page['records_total{stream="trade"}'] == page["unencodable_total"] == 1


def test_a_silence_that_lasts_is_known_to_whoever_follows(made: tuple[RepairPublisher, StatsPage, RingReader]) -> None:
    publisher, page, reader = made

    def lasting() -> Gap | None:
        return polled_gap(page.read(), "binance", "BTCUSDT")

    assert lasting() is None
    publisher.put([next(event for event in full() if isinstance(event, Trade))])
    gap = open_interest.begin_silence("binance", "BTCUSDT", GapCause.RESTART, NS - 9, NS)
    publisher.put([gap])
    position = [record[0] for record in reader.poll(9)][-1]
    told = lasting()
    assert told is not None
    assert (told.gap_id, told.cause, told.started_ns) == (f"{NS}:{position}", "restart", NS - 9)
    assert gap.gap_id == told.gap_id

    publisher.put([open_interest.end_silence(told, NS + 9)])
    assert lasting() is None
    assert page['gaps_total{cause="restart"}'] == 1


def test_what_another_venue_streams_is_not_what_is_polled(made: tuple[RepairPublisher, StatsPage, RingReader]) -> None:
    """Bybit sends its open interest: a gap in that is no silence of a poll, what is fetched of it is a repair."""
    publisher, page, reader = made
    gap = open_interest.begin_silence("bybit", "BTCUSDT", GapCause.RESTART, NS - 9, NS)
    gap.gap_id, gap.version = f"{NS}:8", 2
    fetched = next(event for event in full() if isinstance(event, OpenInterest))
    fetched.exchange = "bybit"
    publisher.put([gap, fetched])

    assert [type(event_of(kind, payload)) for _, kind, payload in reader.poll(9)] == [Gap, OpenInterest]
    counted = {
        field: count for field, count in page.read().items() if count and "_total" in field and field[:5] != "bank_"
    }
    assert counted == {
        'records_total{stream="open_interest"}': 1,
        'records_total{stream="gap"}': 1,
        'repaired_total{stream="open_interest"}': 1,
    }
