"""What the next start must know of each connection, whatever becomes of shared memory until then.

``connections.json`` in the state directory: when each connection (and each symbol that is polled) last received, up to
when all it received is delivered, to Kafka or to the spool, and which of its gaps are open. A symbol that was never
answered stands there with the start of who asks for it: what comes before the next look would be in no gap. Written
every `SAVE_SECONDS`, and as soon as all have started; whole and durable; a disk that is slow or full holds nobody up.
All times are those of the pages.

What that is good for, before a child has its first process:

* The first gap of a connection begins where its page, or the page's predecessor, last received; when its ring is gone
  too (a reboot, a loss of power) where it was last delivered: what lay in the ring is missing as well. One with a new
  page takes its streams over from whoever had them when this run or this reload began; the time of its name, and what
  a page says that an earlier run left, are its own only where the streams are, or where the page is newer than the
  file. What earlier reloads took away is missing where all of the connection comes back.
* A gap of the connection that was open goes on, under its name. One of a stream, or of what the configuration does not
  have any more, ends: until now at most (`wsadapter.roles.supervisor.ended_gaps`).
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Set
from concurrent.futures import Future
from typing import Final

import msgspec
from msgspec import Struct

from wsadapter.events import Gap
from wsadapter.events.gaps import of_connection
from wsadapter.exchanges.rest_api import CONNECTION
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.files import StateDirectory, StateFile
from wsadapter.metrics import GAP_CAUSES, polled
from wsadapter.roles.open_gaps import STREAM_CELLS, connection_gap, polled_gaps, stream_cell, stream_gaps
from wsadapter.roles.orders import IngestOrder, RepairerOrder
from wsadapter.roles.supervisor.ended_gaps import publish_ends
from wsadapter.shm.ring_counters import cells_of
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.process import ChildSpec

_GAP_ID: Final = re.compile(r"[0-9]{1,19}:[0-9]{1,18}")
SAVE_SECONDS: Final = 3.0
OLD_NS: Final = int(5 * SAVE_SECONDS * 1e9)
"""So far behind a page the file is not only late: a full disk has not taken what came since."""
MOST: Final = 4096
"""Connections and polled symbols in the file: the newest."""
LAST_RECEIVE: Final = cells_of("last_receive_ns")
NEWER_VERSIONS: Final = 2
"""What a file that is some seconds old may not know of a gap: its end, and its repair."""
UNOWNED: Final = ""
"""Instead of a connection: the gaps that still wait for a ring to be ended in."""
GIVEN_UP: Final = ":"
"""Behind a connection in the name of what it had, until the start or reload is over. No connection's own has it."""


class ConnectionState(Struct, omit_defaults=True):
    """Times in ns since the epoch, UTC; 0 = never. ``open_gaps``: as they began, with gap_id; ``ending``: those whose
    end is in the ring and not delivered. ``ended``: gap_id of the last one of the whole connection whose end others
    say. ``carries``: exchange and name of each subscription. ``gone``: a reload that is over, or an earlier start, has
    taken the connection away."""

    received: int = 0
    delivered: int = 0
    open_gaps: list[Gap] = []
    ending: list[Gap] = []
    carries: list[str] = []
    gone: bool = False
    ended: str = ""


class RingPosition(Struct, frozen=True):
    """How far a ring is written and delivered."""

    epoch: int
    head: int
    tail: int


class ConnectionStates:
    """``survived``: connections whose ring was there already. ``progress`` says how far a ring is."""

    def __init__(
        self,
        directory: StateDirectory,
        survived: Iterable[str],
        progress: Callable[[str], RingPosition | None],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._progress, self._clock_ns = progress, clock_ns
        self._with_ring = set(survived)
        self._file = _file(directory)
        self._known = {name: _state(value) for name, value in self._file.read().items()}
        self._seen = {name: state.received for name, state in self._known.items()}
        """How far the file had seen each connection."""
        for name, state in self._known.items():
            if state.delivered and _ring_of(name) not in self._with_ring:
                state.received = state.delivered  # what is in a ring that was lost is missing, too
        self._waiting: dict[str, tuple[RingPosition, int, list[Gap]]] = {}
        """Connection -> a position of its ring, when what lies below it was received, and which gaps end below it."""
        self._live: set[str] = set()
        """Connections of this run that no reload has taken away."""
        self._former: set[str] = set()
        """Connections that this run began without, and has not had since: what was open of them has ended."""
        self._settled: Set[str] | None = None
        """Since the last reload it was seen who is gone: but at these exchanges."""
        self.all_started = False
        """Of each child that was observed something is known."""
        self._saving: Future[bool] | None = None
        self._saved: dict[str, int | ConnectionState] | None = None
        """What `_saving` writes."""

    def of(self, name: str) -> ConnectionState:
        """``name``: a connection, or the labels of a polled symbol's cell."""
        return self._known.setdefault(name, ConnectionState())

    def disown(self, connections: Iterable[str]) -> None:
        """At the start: what is open of any other connection has no owner any more."""
        self._former = self._known.keys() - {*connections, UNOWNED}
        for name in self._former:
            self._disown(name, self._known[name].open_gaps)
            if name not in self._with_ring:
                self._disown(name, self._known[name].ending)
                self._known[name].ending = []

    def prepare(self, spec: ChildSpec, page: StatsPage) -> None:
        """A child's page is there, and no process writes to it or to the child's ring."""
        if isinstance(spec.order, IngestOrder):
            self._prepare_connection(spec.order.plan, page)
        elif isinstance(spec.order, RepairerOrder):
            self._prepare_polls(spec.order, page)
        else:
            return
        self._end_unowned(spec, page)

    def changed(self, spec: ChildSpec, page: StatsPage) -> None:
        """A connection that runs has other subscriptions, and has ended the gaps of those that it has no more."""
        if isinstance(spec.order, IngestOrder):
            self._carry(spec.order.plan)
            self.observe([(spec, page)])

    def retire(self, spec: ChildSpec, page: StatsPage, for_good: bool) -> None:
        """A child is gone; ``for_good``: no other one takes its place in this run."""
        if not isinstance(spec.order, IngestOrder | RepairerOrder):
            return
        self.observe([(spec, page)])
        if for_good:
            self._live.discard(_connection(spec))
            self._settled = None
            self._disown(_connection(spec), self.of(_connection(spec)).open_gaps)
            self._end_unowned(spec, page)

    def settle(self, awaited: Set[str] = frozenset()) -> None:
        """The start or a reload is over: each child that it brings was prepared. Who has no child then is gone, but at
        the ``awaited`` exchanges: a feed that waits for their listings may take their streams over."""
        if self._settled == awaited:
            return
        for name, state in tuple(self._known.items()):
            if not awaited.isdisjoint(each.partition(":")[0] for each in state.carries):
                continue
            state.gone = bool(state.carries) and name not in self._live
            if state.gone and GIVEN_UP in name:
                del self._known[name]
                self._waiting.pop(name, None)
        self._settled = awaited

    def observe(self, children: Iterable[tuple[ChildSpec, StatsPage]]) -> None:
        """See how far each connection is."""
        self.all_started = True
        for spec, page in children:
            if isinstance(spec.order, IngestOrder):
                self._observe_connection(spec.order.plan, page)
            elif isinstance(spec.order, RepairerOrder):
                self._observe_polls(spec.order, page)
        for name, state in self._known.items():
            is_undelivered = state.ending or (state.carries and state.delivered != state.received)
            if is_undelivered and name not in self._live:
                self._observe_ring(name, 0)  # a serializer reads it still

    def save(self) -> None:
        """Have it written, if it is not there already and the disk has taken what was written before."""
        if self._saving is not None and not self._saving.done():
            return
        newest = self._newest()
        if self._saving is None or not self._saving.result() or newest != self._saved:
            self._saving, self._saved = self._file.write_soon(newest), newest

    def close(self) -> None:
        """Write it a last time."""
        self._file.write(self._newest())

    def _newest(self) -> dict[str, int | ConnectionState]:
        kept = sorted(self._known.items(), key=lambda entry: (bool(entry[1].open_gaps), entry[1].received))[-MOST:]
        return {
            name: msgspec.structs.replace(state, open_gaps=list(state.open_gaps), ending=list(state.ending))
            for name, state in kept
            if state != ConnectionState()
        }

    def _prepare_connection(self, plan: ConnectionPlan, page: StatsPage) -> None:
        name, is_lost = plan.connection, plan.connection not in self._with_ring
        is_new = not page["started_ns"] or self._was_of_another(plan, page)
        since_ns = self._missing_since(plan) if is_new else self.of(name).received
        if since_ns and (is_new or is_lost):
            for cell in LAST_RECEIVE:
                page[cell] = since_ns
        if is_new and not _goes_on(self.of(name), plan):
            self._begin_anew(name, since_ns)
        self._adopt_ring(name)
        state, cells = self.of(name), page.read()
        if is_new:
            # what a reboot takes of the ring is missing from then on, too
            state.received, state.delivered = since_ns, state.delivered or since_ns
            own = [gap for gap in state.open_gaps if of_connection(gap) and gap.exchange == plan.exchange]
            for gap in own[:1]:
                _put_connection_gap(page, gap)
            self._disown(name, [gap for gap in state.open_gaps if gap not in own])
        else:
            lines = {(each.stream.value, each.symbol, each.interval) for each in plan.subscriptions}
            gone = [gap for gap in state.open_gaps if (gap.stream, gap.symbol, gap.interval) not in lines]
            self._disown(name, [gap for gap in gone if not of_connection(gap)])
            state.open_gaps = _open_gaps(cells, plan)
        if is_lost and since_ns:
            page["gap_started_ns"] = min(page["gap_started_ns"], since_ns)  # one that is open
        self._carry(plan)

    def _was_of_another(self, plan: ConnectionPlan, page: StatsPage) -> bool:
        """Whether the page is of another connection of this name: to another venue, or of an earlier supervisor's that
        is no more. What is open there ends there, and nothing of it is missing here. What is counted stays. A file that
        is old has no say."""
        name, state = plan.connection, self.of(plan.connection)
        before = next((each.partition(":")[0] for each in state.carries), plan.exchange)
        goes_on = name in self._live or (name not in self._former and _goes_on(state, plan))
        is_old = name not in self._live | self._former and page["last_receive_ns"] > self._seen.get(name, 0) + OLD_NS
        whole = connection_gap(page.read(), msgspec.structs.replace(plan, exchange=before))
        has_ended = whole is not None and whole.gap_id == state.ended
        if is_old or (before == plan.exchange and goes_on and not has_ended):
            return False
        of_streams = [gap for gap in state.open_gaps if not of_connection(gap)]
        self._disown(name, [*([whole] if whole is not None and not has_ended else []), *of_streams])
        state.open_gaps = []
        streams = (stream_cell(cell, each.name) for cell in STREAM_CELLS for each in plan.subscriptions)
        for cell in (*LAST_RECEIVE, "gap_epoch", "gap_position", "gap_started_ns", *streams):
            page[cell] = 0
        return True

    def _missing_since(self, plan: ConnectionPlan) -> int:
        """From when on a connection with a new page misses something; 0: of nothing that it has is anything known."""
        own = self.of(plan.connection)
        if own.received and _goes_on(own, plan):
            return own.received
        before = self._carriers(plan)
        if taken_over := [state.received for state in before if state and state.received and not state.gone]:
            return min(taken_over)
        # brought back: as a whole, or what was away for months would make a gap of what was not
        back = [state.received for state in before if state is not None]
        return max(back, default=0) if len(back) == len(before) else 0

    def _begin_anew(self, name: str, since_ns: int) -> None:
        """The name alone is what it was."""
        former = self.of(name)
        self._give_up(name, former.carries)
        self._disown(name, former.open_gaps)
        self._waiting.pop(name, None)
        self._known[name] = ConnectionState(since_ns, ending=former.ending)

    def _carry(self, plan: ConnectionPlan) -> None:
        state, carries = self.of(plan.connection), _carried(plan)
        self._give_up(plan.connection, set(state.carries).difference(carries))
        state.carries, state.gone, self._settled = carries, False, None
        self._live.add(plan.connection)
        self._former.discard(plan.connection)

    def _give_up(self, name: str, streams: Iterable[str]) -> None:
        """Who has these now finds here since when, in this run or the next. The connection's time goes on."""
        state, given = self.of(name), sorted(streams)
        if state.received and given:
            self._known[f"{name}{GIVEN_UP}{state.received}{GIVEN_UP}{given[0]}"] = ConnectionState(
                state.received, state.delivered, carries=given, gone=state.gone
            )

    def _carriers(self, plan: ConnectionPlan) -> list[ConnectionState | None]:
        """Who has, or had, each subscription. Who is there counts before who is gone, and of several who received
        last."""
        carried, states = _carried(plan), sorted(self._known.values(), key=lambda each: (not each.gone, each.received))
        wanted = set(carried)
        found = {each: state for state in states for each in wanted.intersection(state.carries)}
        return [found.get(each) for each in carried]

    def _adopt_ring(self, name: str) -> None:
        """The connection has a ring from now on. With one that was lost went the ends that were in it."""
        if name not in self._with_ring:
            self._disown(name, self.of(name).ending)
            self.of(name).ending = []
            self._with_ring.add(name)

    def _prepare_polls(self, order: RepairerOrder, page: StatsPage) -> None:
        state, is_new = self.of(CONNECTION), not page["started_ns"]
        wanted = {(poll.exchange, symbol) for poll in order.polls for symbol in poll.symbols}
        for exchange, symbol in wanted:
            cell, known_ns = polled("stream_last_ns", exchange, symbol), self.of(polled("", exchange, symbol)).received
            if CONNECTION not in self._with_ring:
                page[cell] = min(known_ns, state.delivered or known_ns)
            page[cell] = page[cell] or known_ns
        self._adopt_ring(CONNECTION)
        self._disown(CONNECTION, [g for g in state.open_gaps if is_new or (g.exchange, g.symbol) not in wanted])

    def _observe_connection(self, plan: ConnectionPlan, page: StatsPage) -> None:
        name, cells = plan.connection, page.read()
        state = self.of(name)
        state.received = cells["last_receive_ns"] or state.received
        self._observe_gaps(state, _open_gaps(cells, plan))
        self.all_started = self.all_started and bool(state.received or state.open_gaps)
        self._observe_ring(name, cells["started_ns"])

    def _observe_polls(self, order: RepairerOrder, page: StatsPage) -> None:
        cells, state = page.read(), self.of(CONNECTION)
        self._observe_gaps(state, polled_gaps(cells, order.polls))
        for poll in order.polls:
            for symbol in poll.symbols:
                known = self.of(polled("", poll.exchange, symbol))
                answered_ns = cells[polled("stream_last_ns", poll.exchange, symbol)]
                known.received = answered_ns or known.received or cells["started_ns"]
                self.all_started = self.all_started and known.received > 0
                state.received = max(state.received, known.received)
        self._observe_ring(CONNECTION, cells["started_ns"])

    def _observe_gaps(self, state: ConnectionState, open_gaps: list[Gap]) -> None:
        still_open = {gap.gap_id for gap in open_gaps}
        state.ending = [*state.ending, *(gap for gap in state.open_gaps if gap.gap_id not in still_open)]
        state.open_gaps = open_gaps

    def _observe_ring(self, name: str, started_ns: int) -> None:
        """After its page: what that says was received is below the ring's tail now."""
        state = self.of(name)
        if state.received and not state.delivered:
            state.delivered = started_ns  # nothing ever was
        if (now := self._progress(_ring_of(name))) is None:
            return
        waiting = self._waiting.get(name)
        if now.head >= now.tail:
            state.delivered, state.ending = state.received, []
            self._waiting.pop(name, None)
        elif waiting is None or waiting[0].epoch != now.epoch:
            self._waiting[name] = now, state.received, state.ending
        elif now.head >= waiting[0].tail:
            state.delivered, state.ending = waiting[1], [gap for gap in state.ending if gap not in waiting[2]]
            self._waiting[name] = now, state.received, state.ending

    def _disown(self, name: str, gaps: Iterable[Gap]) -> None:
        gone = list(gaps)
        state, unowned = self.of(name), self.of(UNOWNED)
        state.ended = next((gap.gap_id for gap in gone if of_connection(gap)), state.ended)
        unowned.open_gaps = [*unowned.open_gaps, *gone]
        state.open_gaps = [gap for gap in state.open_gaps if gap not in gone]

    def _end_unowned(self, spec: ChildSpec, page: StatsPage) -> None:
        """In this child's ring, as far as it has room."""
        unowned = self.of(UNOWNED)
        foreign = any(gap.connection != _connection(spec) for gap in unowned.open_gaps)
        # among redundant connections a gap counts as one of the ring's own
        if unowned.open_gaps and spec.ring is not None and not (foreign and spec.ring.marks):
            remaining = publish_ends(spec, page, unowned.open_gaps, self._clock_ns())
            published = unowned.open_gaps[: len(unowned.open_gaps) - len(remaining)]
            state = self.of(_connection(spec))
            state.ending, unowned.open_gaps = [*state.ending, *published], remaining


def carried(directory: StateDirectory) -> dict[str, list[str]]:
    """Connection -> what it had when the last run ended: exchange and name of each subscription."""
    kept = _file(directory).read().items()
    return {name: value.carries for name, value in kept if isinstance(value, ConnectionState) and value.carries}


def _file(directory: StateDirectory) -> StateFile[dict[str, int | ConnectionState]]:
    """Not one that the directory writes again by itself: what is refused now is old a moment later."""
    return StateFile(directory, "connections.json", dict[str, int | ConnectionState], {}, True, False)


def _state(value: int | ConnectionState) -> ConnectionState:
    """As it was left; a number is of an earlier version."""
    if isinstance(value, int):
        return ConnectionState(value, value)
    value.open_gaps, value.ending = (
        [
            gap
            for gap in gaps
            if _GAP_ID.fullmatch(gap.gap_id) and 0 < gap.version < 2**31 and 0 < gap.started_ns < 2**62
        ]
        for gaps in (value.open_gaps, value.ending)
    )
    for gap in (*value.open_gaps, *value.ending):
        gap.version += NEWER_VERSIONS
    return value


def _goes_on(state: ConnectionState, plan: ConnectionPlan) -> bool:
    """Whether the connection is the one of this state, not only of its name. What an earlier version kept says not what
    it had."""
    return not state.gone and (not state.carries or not set(state.carries).isdisjoint(_carried(plan)))


def _carried(plan: ConnectionPlan) -> list[str]:
    return [f"{plan.exchange}:{each.name}" for each in plan.subscriptions]


def _ring_of(name: str) -> str:
    return name.partition(GIVEN_UP)[0]


def _connection(spec: ChildSpec) -> str:
    return spec.order.plan.connection if isinstance(spec.order, IngestOrder) else CONNECTION


def _open_gaps(cells: Mapping[str, int], plan: ConnectionPlan) -> list[Gap]:
    whole = connection_gap(cells, plan)
    return [*([whole] if whole is not None else []), *stream_gaps(cells, plan)]


def _put_connection_gap(page: StatsPage, gap: Gap) -> None:
    """Into a new page: the connection's next process goes on with it."""
    epoch, _, position = gap.gap_id.partition(":")
    page["gap_epoch"], page["gap_started_ns"], page["gap_version"] = int(epoch), gap.started_ns, gap.version
    page["gap_cause"] = GAP_CAUSES.index(gap.cause)
    page["gap_position"] = int(position) + 1
