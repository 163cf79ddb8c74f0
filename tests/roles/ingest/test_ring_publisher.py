"""What ingest puts into a ring: events in order, a Gap for what did not fit, the connection's gap open and ended."""

import os
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from ring_records import event_of
from samples import NS, full, trade

from wsadapter import metrics as stats_fields
from wsadapter.events import Event, Gap, StreamType, Trade
from wsadapter.events.gaps import UNKNOWN, GapCause, begin, ended, filler
from wsadapter.events.records import in_python
from wsadapter.exchanges.venue import ConnectionPlan, Subscription
from wsadapter.roles.ingest import gaps
from wsadapter.roles.ingest import publisher as publishing
from wsadapter.roles.ingest import ring_publisher as ring_publishing
from wsadapter.roles.ingest.ring_publisher import RingPublisher
from wsadapter.shm import doorbell, ring
from wsadapter.shm.ring import RingReader, RingWriter
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

CAPACITY = 65_536
PLAN = ConnectionPlan(
    "binance-market-0", "binance", "ws://127.0.0.1:1/market/stream",
    (Subscription("btcusdt@aggTrade", StreamType.TRADE, "BTCUSDT"),), ("BTCUSDT", "ETHUSDT"),
)  # fmt: skip


class Killed(Exception):
    """In place of SIGKILL."""


def killed() -> None:
    raise Killed


class Bench:
    """A publisher on a real ring and page, and the reader of that ring."""

    def __init__(self, name: str) -> None:
        self.page = StatsPage.create(name + "-stats", stats_fields.ingest(("btcusdt@aggTrade",)))
        self.names = (name, name + "-stats")
        ring.create(name, CAPACITY, NS)
        self.bell = doorbell.create()
        self.reader = RingReader.attach(name)
        self.lives: list[RingPublisher] = []
        self.restart()

    def replace_ring(self) -> None:
        """A new ring under the old page, and a new publisher."""
        self.reader.release()
        self.publisher.release()
        Segment.unlink(self.names[0])
        ring.create(self.names[0], CAPACITY, NS + 1)
        self.reader = RingReader.attach(self.names[0])
        self.restart()

    def restart(self) -> None:
        """A new publisher on the same ring and page, as after a kill."""
        self.writer = RingWriter.attach(self.names[0])
        self.publisher = RingPublisher(self.writer, self.bell, self.page, PLAN)
        self.lives.append(self.publisher)

    def gap_begins(self, cause: GapCause, started_ns: int, at_ns: int) -> None:
        """As the connection says it."""
        self.gap = begin(cause, started_ns, at_ns, exchange="binance", connection=PLAN.connection)
        self.publisher.on_gap(self.gap)

    def gap_ends(self, at_ns: int) -> None:
        self.publisher.on_gap(ended(self.gap, at_ns))

    def read(self) -> list[Any]:
        """All published events, done with."""
        events = [(position, event_of(kind, payload)) for position, kind, payload in self.reader.poll(1_000_000)]
        self.reader.commit(self.reader.position)
        for position, event in events:
            if isinstance(event, Gap) and not event.gap_id:
                event.gap_id = f"{self.reader.epoch}:{position}"
        return [event for _, event in events]

    def fill(self) -> int:
        """Publish trades until one does not fit; how many did."""
        number = 0
        while not self.writer.dropped:
            number += 1
            self.publisher.publish(trade(number))
        self.publisher.on_read_end()
        return number - 1

    def close(self) -> None:
        self.reader.release()
        for life in self.lives:
            life.release()
        self.page.release()
        os.close(self.bell)
        for name in self.names:
            Segment.unlink(name)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(f"wsadapter-test-{os.getpid()}")
    yield made
    made.close()


def test_every_event_type_survives_the_ring(bench: Bench) -> None:
    events: list[Event] = full()
    for event in events:
        bench.publisher.publish(event)
    assert bench.read() == []  # nothing before the end of the socket read
    bench.publisher.on_read_end()

    assert bench.read() == events
    assert bench.page['events_total{stream="depth"}'] == 1
    assert bench.page["last_receive_ns"] == NS + 5


def test_open_candles_are_counted(bench: Bench) -> None:
    closed = full()[0]
    opened = msgspec.structs.replace(closed, closed=False)
    for event in (closed, opened, opened):
        bench.publisher.publish(event)
    bench.publisher.on_read_end()

    assert bench.page["open_candles_total"] == 2


def test_a_full_ring_becomes_one_gap_per_stream_and_symbol(bench: Bench) -> None:
    kept = bench.fill()
    for number in range(kept + 2, kept + 10):
        bench.publisher.publish(trade(number))
    bench.publisher.publish(trade(1, "ETHUSDT"))
    bench.publisher.recover(NS + 50)
    assert len(bench.read()) == kept, "no room yet, so nothing was said"

    bench.publisher.recover(NS + 60)
    bench.publisher.publish(trade(kept + 10))
    bench.publisher.on_read_end()
    btc, eth, event = bench.read()

    assert (btc.cause, btc.stream, btc.symbol, btc.missing_count) == ("ring_full", "trade", "BTCUSDT", 9)
    assert (btc.first_missing, btc.last_missing) == (kept + 1, kept + 9)
    assert bench.page["gap_missing_total"] == 10
    assert (eth.symbol, eth.missing_count, eth.first_missing) == ("ETHUSDT", 1, 1)
    assert isinstance(event, Trade)
    assert event.last_gap_ns == NS + 60, "the in-order gap marker"
    assert bench.page['ring_dropped_total{stream="trade"}'] == bench.writer.dropped == 10
    assert bench.page['gaps_total{cause="ring_full"}'] == 2
    assert bench.page['events_total{stream="trade"}'] == kept + 1


def test_the_connections_gap_is_open_then_ended(bench: Bench) -> None:
    bench.gap_begins(GapCause.CONNECT, NS, NS + 1)
    bench.gap_ends(NS + 9)
    first, second = bench.read()

    assert (first.cause, first.started_ns, first.ended_ns, first.version) == ("connect", NS, None, 1)
    assert (second.gap_id, second.cause, second.ended_ns, second.version) == (first.gap_id, "connect", NS + 9, 2)
    assert bench.page['gaps_total{cause="connect"}'] == 1


def test_what_is_missing_is_counted_once_and_a_filler_not_at_all(bench: Bench) -> None:
    named = begin(
        GapCause.STALE, NS, NS + 1, exchange="binance", connection=PLAN.connection, stream="trade", symbol="BTCUSDT"
    )
    bench.publisher.on_gap(named)
    end = ended(named, NS + 9)
    end.first_missing, end.last_missing, end.missing_count = 5, 9, 5
    bench.publisher.on_gap(end)
    bench.publisher.on_gap(
        filler(12, NS + 10, exchange="binance", connection=PLAN.connection, stream="trade", symbol="BTCUSDT")
    )
    bench.publisher.on_read_end()

    assert [one.cause for one in bench.read()] == ["stale", "stale", "filler"]
    assert bench.page["gap_missing_total"] == 5


def test_a_killed_ingest_leaves_its_open_gap_to_the_next(bench: Bench) -> None:
    bench.gap_begins(GapCause.DISCONNECT, NS, NS + 1)
    bench.restart()
    bench.gap_begins(GapCause.RESTART, NS + 5, NS + 5)  # one at a time
    bench.gap_ends(NS + 9)
    first, second = bench.read()

    assert (second.gap_id, second.cause, second.started_ns, second.ended_ns) == (first.gap_id, "disconnect", NS, NS + 9)


def test_a_gap_that_began_in_another_ring_ends_under_its_own_name(bench: Bench) -> None:
    bench.gap_begins(GapCause.DISCONNECT, NS, NS + 1)
    (first,) = bench.read()
    bench.replace_ring()
    bench.publisher.adopt_open_gaps(NS + 4)
    bench.gap_begins(GapCause.RESTART, NS + 5, NS + 5)
    bench.gap_ends(NS + 9)
    again, end = bench.read()

    assert (again.gap_id, again.version, again.ended_ns) == (first.gap_id, 2, None), "whoever reads this ring knows"
    assert (end.gap_id, end.version, end.ended_ns) == (first.gap_id, 3, NS + 9)
    assert {gap.started_ns for gap in (first, again, end)} == {NS}
    assert bench.page['gaps_total{cause="disconnect"}'] == 1


def test_an_end_that_a_kill_leaves_unpublished_is_said_again(bench: Bench) -> None:
    bench.gap_begins(GapCause.DISCONNECT, NS, NS + 1)
    bench.publisher.on_read_end = killed
    with pytest.raises(Killed):
        bench.gap_ends(NS + 2)
    bench.restart()
    bench.gap_ends(NS + 9)
    first, second = bench.read()

    assert (second.gap_id, second.ended_ns) == (first.gap_id, NS + 9)
    assert second.version > first.version


def test_a_gap_of_a_process_whose_clock_was_ahead_does_not_end_before_it_begins(bench: Bench) -> None:
    bench.gap_begins(GapCause.DISCONNECT, NS + 3600, NS + 3600)
    bench.restart()
    bench.gap_begins(GapCause.RESTART, NS + 5, NS + 5)
    bench.gap_ends(NS + 9)
    first, second = bench.read()

    assert (second.gap_id, second.started_ns, second.ended_ns) == (first.gap_id, NS + 9, NS + 9)


@pytest.mark.parametrize("ended", [False, True])
def test_a_gap_that_finds_the_ring_full_is_said_later(bench: Bench, ended: bool) -> None:
    kept = bench.fill()
    bench.gap_begins(GapCause.DISCONNECT, NS, NS + 1)
    if ended:
        bench.gap_ends(NS + 2)
    assert len(bench.read()) == kept
    bench.publisher.recover(NS + 3)
    if not ended:
        bench.gap_ends(NS + 4)
    dropped, *gaps = bench.read()

    assert dropped.cause == "ring_full"
    assert [(g.cause, g.version, g.ended_ns) for g in gaps] == (
        [("disconnect", 1, NS + 2)] if ended else [("disconnect", 1, None), ("disconnect", 2, NS + 4)]
    )
    assert len({g.gap_id for g in gaps}) == 1
    assert not bench.publisher.gap.is_open


def named(bench: Bench, read: list[Any]) -> bool:
    """Whether each event stands behind the gap that it names."""
    told: set[int] = set()
    for event in read:
        if isinstance(event, Gap):
            told.add(event.receive_time_ns)
        elif event.last_gap_ns is not None and event.last_gap_ns not in told:
            return False
    return any(not isinstance(event, Gap) for event in read)


def after(number: int, gap_ns: int) -> Event:
    return msgspec.structs.replace(trade(number), last_gap_ns=gap_ns)


def test_a_connections_gap_that_waited_for_room_has_the_time_that_events_name(bench: Bench) -> None:
    bench.fill()
    bench.gap_begins(GapCause.DISCONNECT, NS, NS + 1)
    bench.gap_ends(NS + 2)
    bench.read()
    bench.publisher.recover(NS + 3)
    other = msgspec.structs.replace(trade(1, "ETHUSDT"), last_gap_ns=NS + 2)  # of this one none was dropped
    bench.publisher.publish(other)
    bench.publisher.on_read_end()
    assert named(bench, bench.read())


def test_no_event_is_before_the_connections_gap_that_waits_for_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gap finds no room, and a moment later an event would."""
    bench.gap_begins(GapCause.DISCONNECT, NS, NS + 1)
    with monkeypatch.context() as full:
        full.setattr(bench.publisher, "_write", lambda kind, payload: False)
        bench.gap_ends(NS + 2)
    bench.publisher.publish(after(1, NS + 2))
    bench.publisher.on_read_end()
    bench.publisher.recover(NS + 3)
    bench.publisher.publish(after(2, NS + 2))
    bench.publisher.on_read_end()
    read = bench.read()
    assert named(bench, read)
    assert [(gap.cause, gap.missing_count) for gap in read if isinstance(gap, Gap) and gap.cause == "ring_full"] == [
        ("ring_full", 1)
    ]
    assert not bench.publisher.gap.is_open


def test_a_gap_that_goes_on_while_its_end_waits_for_room_keeps_its_name(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.gap_begins(GapCause.DISCONNECT, NS, NS + 1)
    with monkeypatch.context() as full:
        full.setattr(bench.publisher, "_write", lambda kind, payload: False)
        bench.gap_ends(NS + 2)
        bench.gap_begins(GapCause.DISCONNECT, NS + 3, NS + 4)
    bench.publisher.recover(NS + 5)
    bench.gap_ends(NS + 6)
    read = bench.read()
    assert len({gap.gap_id for gap in read}) == 1
    assert [gap.ended_ns for gap in read] == [None, None, NS + 6]
    assert [gap.version for gap in read] == sorted({gap.version for gap in read})
    assert not bench.publisher.gap.is_open


def test_an_event_larger_than_the_ring_takes_is_a_counted_bad_event(bench: Bench) -> None:
    depth = msgspec.structs.replace(full()[2], bid_price=["1.0"] * 10_000)
    bench.publisher.publish(depth)
    bench.publisher.on_read_end()

    (gap,) = bench.read()
    assert (gap.cause, gap.stream, gap.missing_count) == ("decode", "depth", 1)
    assert bench.page['decode_errors_total{kind="oversize"}'] == bench.page["too_large_total"] == 1


def test_what_follows_drops_of_too_many_series_comes_after_a_gap(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "MAX_ACCUMULATORS", 1)
    kept = bench.fill()
    bench.publisher.publish(trade(1, "ETHUSDT"))
    bench.read()
    bench.publisher.recover(NS + 60)
    bench.publisher.publish(trade(kept + 2))
    bench.publisher.publish(trade(2, "ETHUSDT"))
    bench.gap_begins(GapCause.DISCONNECT, NS + 70, NS + 70)
    bench.gap_ends(NS + 80)
    bench.publisher.publish(trade(kept + 3))
    bench.publisher.on_read_end()
    btc, others, *events = bench.read()

    assert [(gap.symbol, gap.missing_count) for gap in (btc, others)] == [("BTCUSDT", 1), ("", 1)]
    trades = [event for event in events if isinstance(event, Trade)]
    # of the connection's own gap the exchange module marks what follows
    assert [event.last_gap_ns for event in trades] == [NS + 60, NS + 60, trade(1).last_gap_ns]


def of_series(cause: GapCause, symbol: str, at_ns: int, ended: bool = True, count: int | None = None) -> Gap:
    missing = (1, 2, count) if count else UNKNOWN
    return begin(
        cause, at_ns - 1, at_ns, exchange="binance", connection=PLAN.connection, stream="trade", symbol=symbol,
        ended_ns=at_ns if ended else None, missing=missing,
    )  # fmt: skip


def test_gaps_of_too_many_series_are_held_as_one_that_what_follows_names(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of their stream and cause, from the first one's begin to the last one's end; and none is a dropped event."""
    monkeypatch.setattr(gaps, "MAX_ACCUMULATORS", 1)
    bench.fill()
    for at_ns, symbol in ((NS + 10, "BTCUSDT"), (NS + 20, "ETHUSDT"), (NS + 30, "XRPUSDT")):
        bench.publisher.on_gap(of_series(GapCause.SEQUENCE, symbol, at_ns, count=2))
    bench.read()
    bench.publisher.recover(NS + 60)
    for symbol, found_ns in (("XRPUSDT", NS + 30), ("ETHUSDT", NS + 20)):  # decoded with the names of their own gaps
        bench.publisher.publish(msgspec.structs.replace(trade(1, symbol), last_gap_ns=found_ns))
    bench.publisher.on_read_end()
    own, wide, dropped, *events = bench.read()

    assert (own.cause, own.symbol, own.first_missing, own.missing_count) == ("sequence", "BTCUSDT", 1, 2)
    assert (wide.cause, wide.stream, wide.symbol, wide.interval) == ("sequence", "trade", "", "")
    assert (wide.started_ns, wide.ended_ns) == (NS + 19, NS + 30)
    assert (wide.first_missing, wide.last_missing, wide.missing_count) == (None, None, 4)
    assert (dropped.cause, dropped.stream, dropped.missing_count) == ("ring_full", "trade", 1)
    assert {event.last_gap_ns for event in events} == {wide.receive_time_ns} == {NS + 60}
    assert bench.writer.dropped == 1


def test_an_event_of_another_stream_does_not_name_the_gap_of_all_symbols(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "MAX_ACCUMULATORS", 1)
    bench.fill()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        bench.publisher.on_gap(of_series(GapCause.SEQUENCE, symbol, NS + 10))
    bench.read()
    bench.publisher.recover(NS + 60)
    other = msgspec.structs.replace(full()[2], last_gap_ns=None)
    bench.publisher.publish(other)
    bench.publisher.on_read_end()
    assert bench.read()[-1].last_gap_ns is None


def test_what_the_venue_gave_to_no_event_is_in_a_gap_where_too_many_are_held(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number, and no dropped event more."""
    monkeypatch.setattr(gaps, "MAX_ACCUMULATORS", 2)
    kept = bench.fill()
    for number in range(kept + 2, kept + 6):
        bench.publisher.on_gap(
            filler(number, NS + 9, exchange="binance", connection="c", stream="trade", symbol="BTCUSDT")
        )
    bench.read()
    bench.publisher.recover(NS + 60)
    *fillers, dropped = bench.read()

    assert [one.first_missing for one in fillers] == [kept + 2, kept + 3]
    assert (dropped.cause, dropped.stream, dropped.symbol) == ("ring_full", "trade", "BTCUSDT")
    assert (dropped.first_missing, dropped.last_missing, dropped.missing_count) == (kept + 1, kept + 5, 1)


def test_the_end_of_a_silent_stream_is_held_however_many_gaps_are(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "MAX_ACCUMULATORS", 1)
    silence = of_series(GapCause.STALE, "BTCUSDT", NS + 1, ended=False)
    bench.publisher.on_gap(silence)
    bench.fill()
    bench.publisher.on_gap(of_series(GapCause.SEQUENCE, "ETHUSDT", NS + 10))
    bench.publisher.on_gap(ended(silence, NS + 20))
    begun, *_ = bench.read()
    bench.publisher.recover(NS + 60)

    (end,) = (gap for gap in bench.read() if gap.cause == "stale")
    assert (end.gap_id, end.version, end.ended_ns) == (begun.gap_id, 2, NS + 20)


def test_a_silence_whose_end_found_no_room_and_that_goes_on_keeps_its_name(bench: Bench) -> None:
    silence = of_series(GapCause.STALE, "BTCUSDT", NS + 1, ended=False)
    bench.publisher.on_gap(silence)
    bench.fill()
    bench.publisher.on_gap(ended(silence, NS + 20))
    again = of_series(GapCause.STALE, "BTCUSDT", NS + 30, ended=False)
    bench.publisher.on_gap(again)
    read = bench.read()
    bench.publisher.recover(NS + 60)
    bench.publisher.on_gap(ended(again, NS + 70))
    read += bench.read()

    begun, goes_on, end = (gap for gap in read if isinstance(gap, Gap) and gap.cause == "stale")
    assert {gap.gap_id for gap in (begun, goes_on, end)} == {begun.gap_id}
    assert (goes_on.ended_ns, goes_on.receive_time_ns, goes_on.version) == (None, NS + 30, 1)
    assert (end.started_ns, end.ended_ns, end.version) == (NS, NS + 70, 2)
    assert bench.page['gaps_total{cause="stale"}'] == 1


def test_a_gap_that_is_joined_with_one_where_nothing_is_missing_stays_open(bench: Bench) -> None:
    bench.fill()
    bench.publisher.on_gap(of_series(GapCause.STALE, "BTCUSDT", NS + 10, count=2))
    quiet = of_series(GapCause.STALE, "BTCUSDT", NS + 20)
    quiet.repair_state = "repaired"
    bench.publisher.on_gap(quiet)
    bench.read()
    bench.publisher.recover(NS + 60)

    gap, _ = bench.read()
    assert (gap.repair_state, gap.missing_count, gap.started_ns, gap.ended_ns) == ("open", 2, NS + 9, NS + 20)


def test_after_a_full_ring_events_take_the_fast_path_again(bench: Bench) -> None:
    marked: list[tuple[str, str, int]] = []
    bench.publisher.mark = lambda *gap: marked.append(gap)
    kept = bench.fill()
    assert len(bench.read()) == kept
    bench.publisher.recover(NS + 60)
    assert marked == [("trade", "BTCUSDT", NS + 60)], "what is decoded from now on knows of the gap"
    bench.publisher.publish(trade(kept + 2))
    bench.publisher.recover(NS + 70)
    assert bench.publisher.publish.held == 0
    bench.publisher.publish(trade(kept + 3))
    bench.publisher.on_read_end()
    gap, first, second = bench.read()

    assert gap.receive_time_ns == first.last_gap_ns == NS + 60
    assert second.last_gap_ns == trade(1).last_gap_ns, "as it was decoded"


@pytest.fixture(params=["in C", "in Python"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench with the publisher and the encoder of either kind."""
    if request.param == "in Python":
        monkeypatch.setattr(publishing, "_native", None)
        for module in (publishing, ring_publishing):
            monkeypatch.setattr(module, "encode", in_python())
    elif publishing._native is None:
        pytest.skip("the extension is not built")
    made = Bench(f"wsadapter-test-{os.getpid()}-either")
    yield made
    made.close()


def unfit(event: Event, **changes: object) -> Event:
    """With values that no decoder should give."""
    for name, value in changes.items():
        setattr(event, name, value)
    return event


@pytest.mark.parametrize(
    ("event", "missing"),
    [
        (unfit(trade(7), quantity="\ud800"), 7),
        (unfit(trade(7), price=None), 7),
        (unfit(trade(7), event_time_ns=1 << 63), 7),
        (unfit(trade(7), trade_number=1 << 63), None),
        (unfit(trade(7), trade_number=-(1 << 63) - 1), None),
    ],
    ids=["text", "type", "time", "number", "negative number"],
)
def test_an_event_that_can_be_no_record_costs_itself_and_is_a_gap(
    either: Bench, event: Trade, missing: int | None
) -> None:
    marked: list[tuple[str, str, int]] = []
    either.publisher.mark = lambda *gap: marked.append(gap)
    for one in (trade(6), event, trade(8)):
        either.publisher.publish(one)
    either.publisher.on_read_end()
    before, gap, after = either.read()

    assert (before.trade_number, after.trade_number) == (6, 8)
    assert (gap.cause, gap.stream, gap.symbol, gap.first_missing) == ("decode", "trade", "BTCUSDT", missing)
    assert (gap.started_ns, gap.ended_ns) == (event.receive_time_ns, event.receive_time_ns)
    assert after.last_gap_ns == event.receive_time_ns
    assert marked == [("trade", "BTCUSDT", event.receive_time_ns)]
    page = either.page
    assert page["unencodable_total"] == 1
    assert page['decode_errors_total{kind="range"}'] == (1 if missing else 2), "the gap's numbers, too"
    assert page["decoded_total"] == page['events_total{stream="trade"}'] + page["unencodable_total"] == 3
    assert page['gaps_total{cause="decode"}'] == 1


def test_a_gap_of_numbers_that_no_record_can_hold_is_known_by_its_times(bench: Bench) -> None:
    gap = begin(GapCause.SEQUENCE, NS, NS + 1, exchange="binance", connection=PLAN.connection, stream="trade",
                symbol="BTCUSDT", ended_ns=NS + 1, missing=(-(1 << 63), 5, (1 << 63) + 6))  # fmt: skip
    bench.publisher.on_gap(gap)
    bench.publisher.on_read_end()
    (told,) = bench.read()

    assert (told.started_ns, told.ended_ns, told.first_missing, told.missing_count) == (NS, NS + 1, None, None)


def test_numbers_of_dropped_events_that_no_record_can_hold_do_not_end_the_recovery(bench: Bench) -> None:
    kept = bench.fill()
    bench.publisher.publish(unfit(trade(1), trade_number=1 << 63))
    assert len(bench.read()) == kept
    bench.publisher.recover(NS + 60)
    (gap,) = bench.read()

    assert (gap.cause, gap.last_missing) == ("ring_full", None)
