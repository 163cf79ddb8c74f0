"""Where a connection's first gap begins after whatever became of shared memory, and who ends the gaps left open."""

import errno
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ring_records import event_of
from samples import NS, trade

from wsadapter import files, metrics
from wsadapter.config.model import SocketConfig
from wsadapter.events import Gap, StreamType
from wsadapter.events.gaps import GapCause, begin, ended
from wsadapter.exchanges.venue import ConnectionPlan, Subscription
from wsadapter.files import StateDirectory
from wsadapter.roles.ingest.ring_publisher import RingPublisher
from wsadapter.roles.orders import IngestOrder, Poll, RepairerOrder
from wsadapter.roles.repairer.open_interest import begin_silence
from wsadapter.roles.repairer.publisher import RepairPublisher
from wsadapter.roles.supervisor.connection_states import ConnectionStates
from wsadapter.roles.supervisor.rings import Rings
from wsadapter.shm.ring import RingReader, RingWriter
from wsadapter.shm.segment import Segment, listing
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.process import ChildSpec, open_page

CAPACITY = 65_536
PREFIX = f"wsadapter-states-{os.getpid()}-"
SECOND = 10**9
EPOCHS = itertools.count(1000)
Connections = dict[str, tuple[str, ...]]
A: Connections = {"a": ("BTCUSDT", "ETHUSDT")}


@pytest.fixture(autouse=True)
def shared_memory() -> Iterator[None]:
    yield
    reboot()


def reboot() -> None:
    for name in listing(PREFIX):
        Segment.unlink(name)


def spec_of(rings: Rings, name: str, symbols: Sequence[str], exchange: str) -> ChildSpec:
    if name == "repair":
        fields = metrics.repairer([], [("binance", symbol) for symbol in symbols])
        order: Any = RepairerOrder(polls=(Poll("binance", "host", tuple(symbols)),))
        return ChildSpec("repairer", "repairer", "m", fields, 15, ring=rings.refs[name], order=order)
    subscriptions = tuple(Subscription(f"{s.lower()}@aggTrade", StreamType.TRADE, s) for s in symbols)
    plan = ConnectionPlan(name, exchange, "ws://127.0.0.1:1", subscriptions, tuple(symbols))
    fields = metrics.ingest(each.name for each in subscriptions)
    order = IngestOrder(SocketConfig(), plan)
    return ChildSpec(name, "ingest", "m", fields, 10, ring=rings.refs[name], order=order)


class Supervisor:
    """A supervisor's life as far as connections go; the test is the children."""

    def __init__(self, directory: Path, connections: Connections, now_ns: int = NS, exchange: str = "binance") -> None:
        self.directory, self.now_ns, self.exchange = directory, now_ns, exchange
        self.state = StateDirectory(directory)
        self.rings = Rings(PREFIX[10:-1], CAPACITY, lambda: next(EPOCHS), 1, self.state)
        self.rings.open([*connections])
        self.states = ConnectionStates(self.state, self.rings.survived, self.rings.progress, lambda: self.now_ns)
        self.states.disown(connections)
        self.children: dict[str, tuple[ChildSpec, StatsPage]] = {}
        self.ingests: dict[str, RingPublisher] = {}
        self.add(connections)

    def add(self, connections: Connections) -> None:
        for name, symbols in connections.items():
            spec = spec_of(self.rings, name, symbols, self.exchange)
            page = open_page(f"{PREFIX}stats-{name}", spec.page_fields)
            self.states.prepare(spec, page)
            self.children[name] = spec, page

    def ingest(self, name: str = "a") -> RingPublisher:
        """The process: its predecessor, if any, was killed."""
        spec, page = self.children[name]
        assert spec.ring is not None
        page["started_ns"] = NS
        self.ingests[name] = RingPublisher(
            RingWriter.attach(spec.ring.name),
            spec.ring.doorbell_fd,
            page,
            spec.order.plan,  # type: ignore[union-attr]
        )
        return self.ingests[name]

    def received_ns(self, name: str = "a") -> int:
        return self.children[name][1]["last_receive_ns"]

    def delivered(self, name: str = "a", limit: int = 1000) -> list[Any]:
        """What the serializer finds, done with."""
        ring = self.children[name][0].ring
        assert ring is not None
        reader = RingReader.attach(ring.name)
        events = []
        for position, kind, payload in reader.poll(limit):
            event = event_of(kind, payload)
            if isinstance(event, Gap):
                event.gap_id = event.gap_id or f"{reader.epoch}:{position}"
            events.append(event)
        reader.commit(reader.position)
        reader.release()
        return events

    def observe(self) -> None:
        self.states.observe(self.children.values())
        self.states.save()

    def reload(self, connections: Connections) -> None:
        for name, (spec, page) in tuple(self.children.items()):
            self.kill(name)
            self.states.retire(spec, page, name not in connections)
            page.release()
            del self.children[name]
            if name not in connections:
                Segment.unlink(f"{PREFIX}stats-{name}")
        self.rings.open([*connections])
        self.add(connections)
        self.settle()

    def settle(self) -> None:
        """As the supervisor's beat does when a reload is over."""
        self.observe()
        self.states.settle()

    def kill(self, name: str) -> None:
        if (process := self.ingests.pop(name, None)) is not None:
            process.release()

    def stop(self) -> None:
        """A clean stop: everything is delivered, nothing stays in shared memory."""
        for name, (spec, page) in self.children.items():
            self.kill(name)
            self.states.retire(spec, page, False)
            page.release()
            Segment.unlink(f"{PREFIX}stats-{name}")
        self.states.close()
        self.rings.close()

    def crash(self) -> None:
        """All processes are killed, in the moment after the last write to the disk."""
        self.states.close()
        for name, (_, page) in self.children.items():
            self.kill(name)
            page.release()


def receive(process: RingPublisher, *at_ns: int) -> None:
    for at in at_ns:
        process.publish(trade(1, receive_time_ns=at))
        process.on_read_end()


def lose_connection(process: RingPublisher, at_ns: int) -> None:
    process.on_gap(begin(GapCause.DISCONNECT, at_ns, at_ns, exchange="binance", connection="a"))


def fall_silent(process: RingPublisher, at_ns: int, symbol: str = "BTCUSDT", connection: str = "a") -> None:
    process.on_gap(
        begin(GapCause.STALE, at_ns, at_ns, exchange="binance", connection=connection, stream="trade", symbol=symbol)
    )
    process.on_read_end()


def test_after_a_reboot_the_hole_begins_with_the_last_delivered(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, A)
    process = first.ingest()
    receive(process, NS + 1, NS + 2)
    first.delivered()
    first.observe()
    receive(process, NS + 3, NS + 4)  # they stay in the ring
    first.observe()
    first.crash()
    reboot()

    assert Supervisor(tmp_path, A).received_ns() == NS + 2


def test_delivered_is_what_lies_below_head(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, A)
    process = first.ingest()
    known = []
    for number in range(1, 9):
        receive(process, NS + number)
        first.observe()
        if number % 2 == 0:
            first.delivered(limit=1)  # the ring is never empty again
        first.observe()
        state = first.states.of("a")
        known.append(state.delivered - NS)
        assert state.received == NS + number
    first.crash()

    # head has passed so many records
    assert all(at <= number // 2 for number, at in enumerate(known, 1) if number > 1), known
    assert known[-1] > 1


def test_nothing_was_ever_delivered(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, A)
    receive(first.ingest(), NS + 5 * SECOND)
    first.observe()
    first.crash()
    reboot()

    assert Supervisor(tmp_path, A).received_ns() == NS, "since the process was started"


def test_after_a_kill_of_all_the_page_knows_best(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, A)
    process = first.ingest()
    receive(process, NS + 1)
    first.observe()
    receive(process, NS + 2)
    first.crash()

    assert Supervisor(tmp_path, A).received_ns() == NS + 2


def test_after_a_clean_stop_it_is_the_last_received(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, A)
    receive(first.ingest(), NS + 1, NS + 2)
    first.delivered()
    first.stop()
    assert listing(PREFIX) == []

    assert Supervisor(tmp_path, A).received_ns() == NS + 2


def test_a_file_of_an_earlier_version_is_understood(tmp_path: Path) -> None:
    (tmp_path / "connections.json").write_bytes(msgspec.json.encode({"a": NS + 7}))

    assert Supervisor(tmp_path, A).received_ns() == NS + 7


@pytest.mark.parametrize("field", ["gap_id", "version", "started_ns"])
def test_a_gap_that_cannot_be_is_forgotten(tmp_path: Path, field: str) -> None:
    gap = begin(GapCause.DISCONNECT, NS, NS, exchange="binance", connection="a", gap_id="77:0")
    setattr(gap, field, {"gap_id": "x", "version": -5, "started_ns": 2**64 - 1}[field])
    state = {"a": {"received": NS + 1, "delivered": NS + 1, "open_gaps": [gap]}}
    (tmp_path / "connections.json").write_bytes(msgspec.json.encode(state))
    site = Supervisor(tmp_path, A)

    assert (site.received_ns(), site.children["a"][1]["gap_position"]) == (NS + 1, 0)
    site.stop()


def test_a_disk_that_takes_nothing_ends_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    first = Supervisor(directory, A)
    receive(first.ingest(), NS + 1)
    shutil.rmtree(directory)
    first.observe()
    first.crash()

    assert first.state.write_failures > 0


def test_what_is_on_the_disk_is_not_written_again(tmp_path: Path) -> None:
    site = Supervisor(tmp_path, A)
    process, written = site.ingest(), tmp_path / "connections.json"
    receive(process, NS + 1)
    site.observe()
    site.state.flush()
    before = written.stat().st_ino
    site.observe()
    site.state.flush()
    assert written.stat().st_ino == before

    receive(process, NS + 2)
    site.observe()
    site.state.flush()
    assert written.stat().st_ino != before
    site.stop()


@pytest.mark.parametrize("lost", [False, True], ids=["clean stop", "reboot"])
def test_a_gap_of_the_connection_goes_on_under_its_name(tmp_path: Path, lost: bool) -> None:
    first = Supervisor(tmp_path, A)
    lose_connection(first.ingest(), NS + 1)
    (begun,) = first.delivered()
    first.observe()
    if lost:
        first.crash()
        reboot()
    else:
        first.stop()
    second = Supervisor(tmp_path, A, NS + 50)
    process = second.ingest()
    gap = begin(GapCause.RESTART, NS + 50, NS + 50, exchange="binance", connection="a")
    process.on_gap(gap)
    process.on_gap(ended(gap, NS + 60))
    (end,) = second.delivered()

    assert (end.gap_id, end.cause, end.started_ns, end.ended_ns) == (begun.gap_id, "disconnect", NS + 1, NS + 60)
    assert end.version > begun.version + 1, "an end that the file did not know of had that"


def test_a_gap_that_goes_on_after_a_reboot_begins_with_what_was_delivered(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, A)
    process = first.ingest()
    receive(process, NS + 1)
    first.delivered()
    first.observe()
    receive(process, NS + 2)  # lost with the ring
    lose_connection(process, NS + 2)
    first.observe()
    first.crash()
    reboot()
    second = Supervisor(tmp_path, A, NS + 50)
    gap = begin(GapCause.RESTART, NS + 50, NS + 50, exchange="binance", connection="a")
    second.ingest().on_gap(ended(gap, NS + 60))
    (end,) = second.delivered()

    assert (end.cause, end.started_ns, end.ended_ns) == ("disconnect", NS + 1, NS + 60)


@pytest.mark.parametrize("whole", [True, False], ids=["connection", "stream"])
@pytest.mark.parametrize("delivered", [True, False])
@pytest.mark.parametrize("name", ["a", "other"])
def test_an_end_that_is_lost_with_its_ring_is_said_again(
    tmp_path: Path, name: str, whole: bool, delivered: bool
) -> None:
    first = Supervisor(tmp_path, A)
    process = first.ingest()
    lose_connection(process, NS + 1) if whole else fall_silent(process, NS + 1)
    (begun,) = first.delivered()
    first.observe()
    process.on_gap(ended(begun, NS + 2))
    process.on_read_end()
    first.observe()
    if delivered:
        first.delivered()
        first.observe()
    first.crash()
    reboot()
    again = Supervisor(tmp_path, {name: ("BTCUSDT",)}, NS + 50).delivered(name)

    assert [(end.gap_id, end.ended_ns) for end in again] == ([] if delivered else [(begun.gap_id, NS + 50)])
    assert all(end.version > 2 for end in again)


def test_a_silence_ends_when_the_page_is_gone(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, A)
    process = first.ingest()
    fall_silent(process, NS + 1)
    fall_silent(process, NS + 2, "ETHUSDT")
    begun = first.delivered()
    first.observe()
    first.crash()
    reboot()
    second = Supervisor(tmp_path, A, NS + 50)
    process = second.ingest()
    receive(process, NS + 60)
    *ends, _ = second.delivered()

    assert [(end.gap_id, end.ended_ns) for end in ends] == [(gap.gap_id, NS + 50) for gap in begun]
    assert second.children["a"][1]['events_total{stream="gap"}'] == 2, "they are counted"
    second.stop()
    assert Supervisor(tmp_path, A).delivered() == [], "once"


@pytest.mark.parametrize("whole", [True, False], ids=["connection", "stream"])
def test_a_connection_that_a_reload_removes_ends_its_gaps_in_its_own_ring(tmp_path: Path, whole: bool) -> None:
    both = {**A, "b": ("SOLUSDT",)}
    site = Supervisor(tmp_path, both)
    process = site.ingest()
    lose_connection(process, NS + 1) if whole else fall_silent(process, NS + 1)
    site.ingest("b")
    (begun,) = site.delivered()
    ring = site.children["a"]
    site.now_ns = NS + 50
    site.reload({"b": ("SOLUSDT",)})
    site.children["a"] = ring
    (end,) = site.delivered()

    assert (end.gap_id, end.ended_ns, end.version) == (begun.gap_id, NS + 50, 2)
    assert site.states.of("a").open_gaps == []


def test_a_connection_that_is_gone_at_the_start_has_its_gaps_ended_elsewhere(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, {**A, "b": ("SOLUSDT",)})
    lose_connection(first.ingest(), NS + 1)
    (begun,) = first.delivered()
    first.stop()
    second = Supervisor(tmp_path, {"b": ("SOLUSDT",)}, NS + 50)
    (end,) = second.delivered("b")

    assert (end.gap_id, end.connection, end.ended_ns) == (begun.gap_id, "a", NS + 50)


def test_a_symbol_that_a_reload_removes_has_its_silence_ended(tmp_path: Path) -> None:
    site = Supervisor(tmp_path, A)
    process = site.ingest()
    fall_silent(process, NS + 1)
    fall_silent(process, NS + 2, "ETHUSDT")
    btc, eth = site.delivered()
    site.now_ns = NS + 50
    site.reload({"a": ("ETHUSDT", "SOLUSDT")})
    site.ingest().adopt_open_gaps(NS + 51)
    ends = site.delivered()

    assert [(end.gap_id, end.ended_ns) for end in ends] == [(btc.gap_id, NS + 50), (eth.gap_id, NS + 51)]


def test_a_reload_begins_a_hole_with_what_was_received_last(tmp_path: Path) -> None:
    site = Supervisor(tmp_path, A)
    receive(site.ingest(), NS + 1, NS + 2)
    site.reload({"a": ("BTCUSDT",), "new": ("ETHUSDT",), "other": ("SOLUSDT",)})

    assert site.received_ns() == NS + 2
    assert site.received_ns("new") == NS + 2, "a connection that takes a symbol over misses what came since"
    assert site.received_ns("other") == 0


@pytest.mark.parametrize("lost", [False, True], ids=["clean stop", "reboot"])
def test_a_symbol_that_moves_to_a_new_connection_between_two_runs(tmp_path: Path, lost: bool) -> None:
    first = Supervisor(tmp_path, A)
    receive(first.ingest(), NS + 1)
    first.delivered()
    receive(first.ingests["a"], NS + 2)
    first.observe()
    if lost:
        first.crash()
        reboot()
    else:
        first.delivered()
        first.stop()

    assert Supervisor(tmp_path, {"a": ("BTCUSDT",), "new": ("ETHUSDT",)}).received_ns("new") == (NS if lost else NS + 2)


def months_after(site: Supervisor, taken_at_ns: int, kept: Connections, now_ns: int) -> None:
    """A reload leaves ``kept``, all of which received its last event at ``now_ns``."""
    for name in site.children:
        receive(site.ingest(name), taken_at_ns)
        site.delivered(name)
    site.reload(kept)
    for name in kept:
        receive(site.ingest(name), now_ns)
        site.delivered(name)
    site.observe()


def test_a_name_that_comes_back_with_other_streams_misses_nothing_of_its_former_ones(tmp_path: Path) -> None:
    site = Supervisor(tmp_path, {"a": ("BTCUSDT",), "b": ("OLD",)})
    months_after(site, NS + 1, {"a": ("BTCUSDT",)}, NS + 90)
    site.reload({"a": ("BTCUSDT",), "b": ("NEW",)})

    assert site.received_ns("b") == 0
    assert site.states.of("b").received == 0


def test_what_a_reload_took_months_ago_makes_no_gap_of_what_comes_with_it(tmp_path: Path) -> None:
    site = Supervisor(tmp_path, {"a": ("BTCUSDT", "ETHUSDT"), "b": ("OLD",)})
    months_after(site, NS + 1, {"a": ("BTCUSDT", "ETHUSDT")}, NS + 90)
    site.reload({"a": ("BTCUSDT",), "new": ("NEW", "OLD"), "moved": ("OLD", "ETHUSDT")})

    assert site.received_ns("new") == 0
    assert site.received_ns("moved") == NS + 90, "what a takes over it misses since now"


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("name", ["b", "other"])
def test_a_connection_that_comes_back_misses_what_came_since_it_was_taken(
    tmp_path: Path, name: str, stopped: bool
) -> None:
    both: Connections = {"a": ("BTCUSDT",), "b": ("OLD", "ETHUSDT")}
    site = Supervisor(tmp_path, both)
    months_after(site, NS + 1, {"a": ("BTCUSDT",)}, NS + 90)
    again: Connections = {"a": ("BTCUSDT",), name: ("OLD", "ETHUSDT")}
    if stopped:
        site.stop()
        site = Supervisor(tmp_path, again)
    else:
        site.reload(again)

    assert site.received_ns(name) == NS + 1


def test_a_symbol_that_a_start_gives_to_a_name_of_long_ago_is_missed_since_the_stop(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, {"a": ("BTCUSDT", "ETHUSDT"), "b": ("OLD",)})
    months_after(first, NS + 1, {"a": ("BTCUSDT", "ETHUSDT")}, NS + 90)
    first.stop()
    second = Supervisor(tmp_path, {"a": ("BTCUSDT",), "b": ("ETHUSDT",)})

    assert (second.received_ns("a"), second.received_ns("b")) == (NS + 90, NS + 90)


def test_names_that_exchange_their_streams_take_their_times_along(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, {"a": ("BTCUSDT",), "b": ("ETHUSDT",)})
    receive(first.ingest("a"), NS + 1)
    receive(first.ingest("b"), NS + 5)
    lose_connection(first.ingests["a"], NS + 6)
    (*_, begun), _ = first.delivered("a"), first.delivered("b")
    first.stop()
    second = Supervisor(tmp_path, {"a": ("ETHUSDT",), "b": ("BTCUSDT",)}, NS + 50)

    assert (second.received_ns("a"), second.received_ns("b")) == (NS + 5, NS + 1)
    (end,) = second.delivered("a")
    assert (end.gap_id, end.ended_ns) == (begun.gap_id, NS + 50), "what a has now was never in it"


@pytest.mark.parametrize(
    "connections", [{"a": ("ETHUSDT",), "b": ("BTCUSDT",)}, {"x": ("ETHUSDT",), "y": ("BTCUSDT",)}]
)
def test_what_others_had_is_missed_since_then_though_a_reboot_comes_at_once(
    tmp_path: Path, connections: Connections
) -> None:
    """Nothing is delivered yet of what the start has recorded, and its gap went with the ring."""
    first = Supervisor(tmp_path, {"a": ("BTCUSDT",), "b": ("ETHUSDT",)})
    for name in "ab":
        receive(first.ingest(name), NS + 1)
        first.delivered(name)
    first.observe()
    first.stop()
    second = Supervisor(tmp_path, connections, NS + 600)
    for name in connections:
        process = second.ingest(name)
        second.children[name][1]["started_ns"] = NS + 600
        receive(process, NS + 601)
    second.observe()
    second.crash()
    reboot()
    third = Supervisor(tmp_path, connections, NS + 700)

    assert [third.received_ns(name) for name in connections] == [NS + 1] * 2


def test_a_symbol_that_waits_for_its_new_connection_is_missed_since_its_former_one_went(tmp_path: Path) -> None:
    site = Supervisor(tmp_path, {**A, "b": ("OLD", "SOLUSDT")})
    receive(site.ingest("b"), NS + 1)
    gone = {"b": site.children.pop("b")}
    site.kill("b")
    site.states.retire(*gone["b"], True)
    receive(site.ingest("a"), NS + 90)
    site.observe()  # there is no memory for the page of the new one, for hours
    site.rings.open(["a", "new"])
    site.add({"new": ("OLD", "BTCUSDT")})

    assert site.received_ns("new") == NS + 1


@pytest.mark.parametrize("end", ["", "stopped", "killed", "reboot"])
def test_a_symbol_that_a_running_connection_gives_up_is_missed_since_then(tmp_path: Path, end: str) -> None:
    site = Supervisor(tmp_path, A)
    receive(site.ingest(), NS + 1)
    site.delivered()
    site.settle()
    site.rings.open(["a", "new"])
    _, page = site.children["a"]
    site.children["a"] = spec_of(site.rings, "a", ("BTCUSDT",), "binance"), page
    site.states.changed(*site.children["a"])
    receive(site.ingests["a"], NS + 90)
    site.observe()  # others stop meanwhile
    if end:
        site.stop() if end == "stopped" else site.crash()
        if end == "reboot":
            reboot()
        site = Supervisor(tmp_path, {"a": ("BTCUSDT",)})
        site.observe()  # there is no memory for the page of the new one
        site.rings.open(["a", "new"])
    site.add({"new": ("ETHUSDT",)})

    assert site.received_ns("new") == NS + 1
    site.settle()
    site.stop()
    assert {*json.loads((tmp_path / "connections.json").read_bytes())} == {"a", "new"}, "it is over"


@pytest.mark.parametrize("line", ["x", "x-r2"])
def test_a_redundant_feed_with_another_name_misses_what_came_since_its_last_line(tmp_path: Path, line: str) -> None:
    site = Supervisor(tmp_path, {"x": ("BTCUSDT",), "x-r2": ("BTCUSDT",)})
    receive(site.ingest("x-r2"), NS + 1)
    receive(site.ingest("x"), NS + 1)
    site.settle()
    receive(site.ingests[line], NS + 90)  # the other one is down
    site.observe()
    site.reload({"y": ("BTCUSDT",), "y-r2": ("BTCUSDT",)})

    assert (site.received_ns("y"), site.received_ns("y-r2")) == (NS + 90, NS + 90)


@pytest.mark.parametrize("settled", ["gone", "gone and started", "started", "it waited for its listing"])
@pytest.mark.parametrize(("symbol", "since_ns"), [("OLD", NS + 5), ("NEW", 0)], ids=["back", "another"])
def test_the_page_of_a_connection_that_went_while_nobody_looked_is_not_that_of_the_next(
    tmp_path: Path, symbol: str, since_ns: int, settled: str
) -> None:
    first = Supervisor(tmp_path, {"a": ("BTCUSDT",), "b": ("OLD",)})
    receive(first.ingest("a"), NS + 5)
    receive(first.ingest("b"), NS + 5)
    lose_connection(first.ingests["b"], NS + 6)
    _, begun = first.delivered("b")
    first.observe()
    first.crash()
    second = Supervisor(tmp_path, {"a": ("BTCUSDT",)}, NS + 50)
    _, end = second.delivered("a")
    assert (end.gap_id, end.ended_ns) == (begun.gap_id, NS + 50)
    if settled.startswith("gone"):
        second.settle()
    both: Connections = {"a": ("BTCUSDT",), "b": (symbol,)}
    if settled.endswith("started"):
        second.stop()
        second = Supervisor(tmp_path, both, NS + 90)
    else:
        second.now_ns = NS + 90
        second.reload(both)

    page = second.children["b"][1]
    assert (second.received_ns("b"), page["gap_position"], second.states.of("b").open_gaps) == (since_ns, 0, [])
    assert [*second.delivered("a"), *second.delivered("b")] == [], "the end was said"


def test_a_connection_that_a_start_finds_with_other_streams_ends_what_is_open_in_its_page(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, A)
    process = first.ingest()
    receive(process, NS + 5)
    first.observe()
    lose_connection(process, NS + 6)  # the file does not know of it
    _, begun = first.delivered()
    first.crash()
    second = Supervisor(tmp_path, {"a": ("NEW",), "b": ("ETHUSDT",)}, NS + 50)
    (end,) = second.delivered()

    assert (end.gap_id, end.ended_ns) == (begun.gap_id, NS + 50)
    assert (second.received_ns("a"), second.received_ns("b")) == (0, NS + 5)


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("symbol", ["OLD", "NEW"], ids=["brought back", "other symbols"])
def test_a_page_that_is_newer_than_the_file_of_a_full_disk_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, symbol: str
) -> None:
    kept: Connections = {"a": ("BTCUSDT",)} if symbol == "OLD" else {"a": ("BTCUSDT",), "b": ("OLD",)}
    both: Connections = {"a": ("BTCUSDT",), "b": (symbol,)}
    site = Supervisor(tmp_path, {"a": ("BTCUSDT",), "b": ("OLD",)})
    months_after(site, NS + 1, kept, NS + 90)
    site.state.flush()
    site.observe()
    site.state.flush()
    with monkeypatch.context() as full:
        full.setattr(files, "replace", no_space)
        site.reload(both)
        receive(site.ingest("b"), NS + 200 * SECOND)
        lose_connection(site.ingests["b"], NS + 201 * SECOND)
        *_, begun = site.delivered("b")
        site.observe()
        site.crash()
    second = Supervisor(tmp_path, both, NS + 300 * SECOND)
    receive(second.ingest("a"), NS + 300 * SECOND)
    second.observe()

    assert second.received_ns("b") == NS + 200 * SECOND
    assert [gap.gap_id for gap in second.states.of("b").open_gaps] == [begun.gap_id]
    assert not second.states.of("b").gone


@pytest.mark.parametrize("gone", [False, True], ids=["while it is away", "when it was gone"])
def test_what_opens_between_the_last_look_and_a_kill_ends_when_its_connection_comes_back(
    tmp_path: Path, gone: bool
) -> None:
    first = Supervisor(tmp_path, {"a": ("BTCUSDT",), "b": ("OLD",)})
    receive(first.ingest("b"), NS + 5)
    first.observe()
    lose_connection(first.ingests["b"], NS + 6)  # the file does not know of it
    *_, begun = first.delivered("b")
    first.crash()
    both: Connections = {"a": ("BTCUSDT",), "b": ("NEW",)}
    second = Supervisor(tmp_path, {"a": ("BTCUSDT",)}, NS + 50)
    if gone:
        second.settle()
        second.stop()
        second = Supervisor(tmp_path, both, NS + 90)
    else:
        second.now_ns = NS + 90
        second.reload(both)
    ends = [event for name in both for event in second.delivered(name)]

    assert [(end.gap_id, end.ended_ns) for end in ends] == [(begun.gap_id, NS + 90)]


def test_what_opens_after_a_connection_came_back_ends_when_its_exchange_changes(tmp_path: Path) -> None:
    both: Connections = {"a": ("BTCUSDT",), "b": ("ETHUSDT",)}
    Supervisor(tmp_path, both).stop()
    site = Supervisor(tmp_path, {"a": ("BTCUSDT",)})
    site.reload(both)
    lose_connection(site.ingest("b"), NS + 6)
    (begun,) = site.delivered("b")
    site.now_ns, site.exchange = NS + 50, "bitget"
    site.reload(both)

    assert [(end.gap_id, end.ended_ns) for end in site.delivered("b")] == [(begun.gap_id, NS + 50)]


def test_a_reload_that_changes_all_streams_of_a_connection_leaves_it_its_gap(tmp_path: Path) -> None:
    site = Supervisor(tmp_path, A)
    receive(site.ingest(), NS + 5)
    lose_connection(site.ingests["a"], NS + 6)
    _, begun = site.delivered()
    site.settle()
    site.reload({"a": ("NEW",)})

    assert site.received_ns() == NS + 5
    assert [gap.gap_id for gap in site.states.of("a").open_gaps] == [begun.gap_id]


def test_an_end_that_was_delivered_after_its_connection_had_gone_is_not_said_again(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, {**A, "b": ("SOLUSDT",)})
    lose_connection(first.ingest(), NS + 1)
    ring = first.children["a"]
    first.ingest("b")
    first.now_ns = NS + 50
    first.reload({"b": ("SOLUSDT",)})
    first.children["a"] = ring
    *_, end = first.delivered()
    assert end.ended_ns == NS + 50
    del first.children["a"]
    first.observe()
    first.stop()

    assert Supervisor(tmp_path, {"b": ("SOLUSDT",)}, NS + 90).delivered("b") == []


def test_an_end_that_is_in_a_ring_is_not_said_again_however_often_the_ring_is_kept(tmp_path: Path) -> None:
    site = Supervisor(tmp_path, {"a": ("BTCUSDT",), "b": ("ETHUSDT",)})
    receive(site.ingest("b"), NS + 1)
    receive(site.ingest("a"), NS + 5)
    lose_connection(site.ingests["a"], NS + 6)
    site.observe()
    site.now_ns = NS + 50
    only: Connections = {"b": ("ETHUSDT",)}
    site.reload(only)  # the end is in the ring of a, which nobody reads
    site.stop()
    said: list[Any] = []
    for _ in range(2):
        site = Supervisor(tmp_path, only, NS + 90)
        said += [event for event in site.delivered("b") if isinstance(event, Gap)]
        site.stop()

    assert said == []
    assert len(listing(f"{PREFIX}a.aside-")) == 1


def test_an_end_in_a_ring_that_was_set_aside_is_not_said_again_beside_a_new_ring(tmp_path: Path) -> None:
    site = Supervisor(tmp_path, {"a": ("BTCUSDT",), "b": ("ETHUSDT",)})
    receive(site.ingest("a"), NS + 5)
    lose_connection(site.ingests["a"], NS + 6)
    site.observe()
    site.now_ns = NS + 50
    only: Connections = {"b": ("ETHUSDT",)}
    site.reload(only)
    site.stop()
    site = Supervisor(tmp_path, only, NS + 90)
    site.stop()
    site = Supervisor(tmp_path, {"a": ("BTCUSDT",)}, NS + 120)

    assert site.delivered("a") == []
    assert site.received_ns("a") == NS + 5, "what is in the ring is not lost"


@pytest.mark.parametrize("killed", [False, True], ids=["clean stop", "page stays"])
def test_what_is_open_of_another_exchange_ends_there_and_nothing_is_missed_here(tmp_path: Path, killed: bool) -> None:
    first = Supervisor(tmp_path, A)
    process = first.ingest()
    receive(process, NS + 1)
    fall_silent(process, NS + 2)
    lose_connection(process, NS + 3)
    _, silence, outage = first.delivered()
    first.observe()
    first.crash() if killed else first.stop()
    second = Supervisor(tmp_path, A, NS + 50, exchange="bitget")
    ends = second.delivered()

    assert {(end.exchange, end.gap_id, end.ended_ns) for end in ends} == {
        ("binance", silence.gap_id, NS + 50), ("binance", outage.gap_id, NS + 50)
    }  # fmt: skip
    page = second.children["a"][1]
    assert (page["last_receive_ns"], page["gap_position"], page["gap_started_ns"]) == (0, 0, 0)
    second.ingest().adopt_open_gaps(NS + 60)
    second.observe()
    assert (second.delivered(), second.states.of("a").open_gaps) == ([], [])


@pytest.mark.parametrize("backlog", [1, 30])
def test_a_ring_that_is_lost_makes_no_page_of_another_exchange_newer_than_the_file(
    tmp_path: Path, backlog: int
) -> None:
    first = Supervisor(tmp_path, A)
    process = first.ingest()
    receive(process, NS + SECOND)
    first.delivered()
    first.observe()
    receive(process, NS + backlog * SECOND)
    lose_connection(process, NS + backlog * SECOND)
    first.observe()
    first.crash()
    Segment.unlink(first.rings.refs["a"].name)
    second = Supervisor(tmp_path, A, NS + 100 * SECOND, exchange="bitget")

    assert second.received_ns() == 0
    assert second.states.of("a").open_gaps == []
    assert [end.exchange for end in second.delivered()] == ["binance"]


def test_an_end_that_finds_the_ring_full_waits(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, {**A, "b": ("SOLUSDT",)})
    lose_connection(first.ingest(), NS + 1)
    (begun,) = first.delivered()
    process = first.ingest("b")
    while not process._writer.dropped:
        process.publish(trade(1))
    process.on_read_end()
    first.observe()
    first.crash()
    only: Connections = {"b": ("SOLUSDT",)}
    second = Supervisor(tmp_path, only, NS + 50)
    assert not any(isinstance(event, Gap) for event in second.delivered("b"))
    second.stop()
    third = Supervisor(tmp_path, only, NS + 90)

    assert [(end.gap_id, end.ended_ns) for end in third.delivered("b")] == [(begun.gap_id, NS + 90)]


def test_a_polled_symbols_silence_and_last_answer_outlive_the_page(tmp_path: Path) -> None:
    polls: Connections = {"repair": ("BTCUSDT",)}
    first = Supervisor(tmp_path, polls)
    spec, page = first.children["repair"]
    assert spec.ring is not None
    page["started_ns"] = NS
    page[metrics.polled("stream_last_ns", "binance", "BTCUSDT")] = NS + 3
    publisher = RepairPublisher(spec.ring, page)
    publisher.put([begin_silence("binance", "BTCUSDT", GapCause.STALE, NS + 3, NS + 4)])
    publisher.release()
    (begun,) = first.delivered("repair")
    first.observe()
    first.crash()
    reboot()
    second = Supervisor(tmp_path, polls, NS + 50)
    (end,) = second.delivered("repair")

    assert second.children["repair"][1][metrics.polled("stream_last_ns", "binance", "BTCUSDT")] == NS + 3
    assert (end.gap_id, end.ended_ns, end.repair_state) == (begun.gap_id, NS + 50, "unrepairable")
    assert second.children["repair"][1]['records_total{stream="gap"}'] == 1


def test_a_symbol_that_was_asked_for_and_is_answered_just_before_a_reboot_is_known(tmp_path: Path) -> None:
    polls: Connections = {"repair": ("BTCUSDT", "ETHUSDT")}
    first = Supervisor(tmp_path, polls)
    cell = metrics.polled("stream_last_ns", "binance", "ETHUSDT")
    first.observe()
    assert not first.states.all_started
    _, page = first.children["repair"]
    page["started_ns"] = NS
    page[metrics.polled("stream_last_ns", "binance", "BTCUSDT")] = NS + 2
    first.observe()
    assert first.states.all_started
    page[cell] = NS + 3  # and delivered, and no look after it
    first.crash()
    reboot()

    assert Supervisor(tmp_path, polls).children["repair"][1][cell] == NS, "since it was asked for"
