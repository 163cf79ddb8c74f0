"""The ingest role: one exchange connection, its events into one ring.

A `Client` whose handler writes to the ring. Guarantees: the socket is never blocked by the ring; what does not fit is
counted and becomes one `Gap` per stream and symbol as soon as there is room; the gaps of the connection and of its
streams, which the client makes, are published in their place. Records become visible once per socket read, then the
doorbell is rung.

Owns the write side of its ring and its stats page. No venue and no Kafka is known here.
"""

from collections.abc import Callable
from typing import Final

from wsadapter.client.clock import clock
from wsadapter.client.handler import METHODS
from wsadapter.client.reader import ReceiveCount
from wsadapter.errors import RecordTooLarge
from wsadapter.events import Coverage, Event, Gap, Kline
from wsadapter.events.gaps import GapCause, begin, ended, of_connection
from wsadapter.events.records import BAD_EVENT, encode
from wsadapter.events.sequence import numbering
from wsadapter.events.streams import BY_EVENT, BY_STREAM
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.log import Repeated, get_logger
from wsadapter.metrics import DECODE_ERROR_KINDS, GAP_CAUSES, PUBLISHED
from wsadapter.roles.ingest.coverage_log import CoverageLog
from wsadapter.roles.ingest.gaps import ConnectionGap, DroppedEvents, StreamGaps
from wsadapter.roles.ingest.publisher import publisher
from wsadapter.shm.ring import RingWriter
from wsadapter.shm.ring_counters import RingCounters
from wsadapter.shm.stats_page import StatsPage

ROOM: Final = 16
"""After the ring was full, writing resumes when a sixteenth of it is free: one hole instead of a thousand."""

EXPECTED: Final = frozenset({GapCause.CONNECT, GapCause.RESTART, GapCause.FILLER, GapCause.RING_FULL})
"""Causes that say nothing of the venue's frames."""

log = get_logger()


class RingPublisher:
    """The `EventHandler` that writes to a ring."""

    def __init__(self, writer: RingWriter, doorbell_fd: int, page: StatsPage, plan: ConnectionPlan) -> None:
        self._writer = writer
        self._write = writer.try_write
        self._counters = RingCounters(page, PUBLISHED, writer.tail)
        self.on_read_end = self._counters.publication(writer, doorbell_fd)
        """Hand what this socket read brought to the reader, and its counts to the page: both or neither."""
        self._counts, slot = self._counters.cells, self._counters.index
        self.publish = publisher(writer, self._counters, self._slow_path)
        """One event into the ring; it becomes visible, and counts, at `on_read_end`."""
        for name in METHODS.values():
            setattr(self, name, self.publish)
        self.on_gap = self._on_gap
        self._kinds = {
            event: (spec.kind, slot(f'events_total{{stream="{spec.name}"}}')) for event, spec in BY_EVENT.items()
        }
        self._dropped_slots = {
            event: slot(f'ring_dropped_total{{stream="{spec.name}"}}') for event, spec in BY_EVENT.items()
        }
        self._errors = {kind: slot(f'decode_errors_total{{kind="{kind}"}}') for kind in DECODE_ERROR_KINDS}
        self._causes = {cause: slot(f'gaps_total{{cause="{cause}"}}') for cause in GAP_CAUSES}
        self._lost = {"oversize": slot("too_large_total"), "range": slot("unencodable_total")}
        self._missing, self._open_candles = slot("gap_missing_total"), slot("open_candles_total")
        self._last_receive = slot("last_receive_ns")
        frames = slot("frames_total")
        self.tally = ReceiveCount(memoryview(self._counts)[frames : frames + 1])
        """Counts frames like everything else of a read: the connection's, from the start on."""
        self.gap = ConnectionGap(page, writer.epoch, plan)
        self._dropped = DroppedEvents(plan.exchange, plan.connection)
        self._pending: Gap | None = None
        self._marked: dict[tuple[type[Event], str], int] = {}
        """Type and symbol (empty: all) -> time of a gap that the events decoded up to now do not know of."""
        self._all_marked_ns = 0
        """The same of all events; 0 = there is none."""
        self.mark: Callable[[str, str, int], object] = lambda stream, symbol, at_ns: None
        """`Connection.mark`: the events to come know of a gap that was noticed here."""
        self.happened: Callable[[str, int], object] = lambda reason, at_ns: None
        """Told of each gap that shows a fault, and of each frame that gave no event."""
        self.unknown_event: Callable[[str], object] = lambda detail: None
        """Told of each message of a type that the decoder does not know."""
        self.coverage = CoverageLog(self._try_coverage)
        self._repeated = Repeated()
        self._lasting = StreamGaps(page, writer.epoch, plan)
        self._ended: list[Gap] = []
        """Ends of those that are in the ring and not published."""

    @property
    def settled(self) -> bool:
        """Everything that was to be published is in the ring: no gap waits for room."""
        return not (self._dropped or self._pending)

    def move(self, page: StatsPage, plan: ConnectionPlan) -> None:
        """Go on in another stats page, which has taken over what was in the one before; the connection has other
        subscriptions now. Between reads, when `settled`."""
        self._counters.move(page)
        self.gap = ConnectionGap(page, self._writer.epoch, plan)
        self._lasting = StreamGaps(page, self._writer.epoch, plan)

    def adopt_open_gaps(self, now_ns: int) -> None:
        """Before anything else is published: what an earlier process left open. The connection's gap goes on; streams
        that were silent were so until now at most."""
        if (gap := self.gap.continued(now_ns)) is not None and self._try_gap(gap):
            self.on_read_end()
        for gap in self._lasting.left_open():
            self._on_gap(ended(gap, now_ns))

    def _slow_path(self, event: Event) -> None:
        """Behind a gap that it does not know of, where there is no room for certain, or one that can be no record."""
        if self._dropped or self._pending:
            self._drop(event)
            return
        type_ = type(event)
        marked = self._marked.get
        gap_ns = max(self._all_marked_ns, marked((type_, event.symbol), 0), marked((type_, ""), 0))
        event.last_gap_ns = max(gap_ns, event.last_gap_ns or 0) or None
        kind, counter = self._kinds[type_]
        try:
            written = self._write(kind, encode(event))
        except RecordTooLarge as error:
            self._lose(event, "oversize", error)
            return
        except BAD_EVENT as error:
            self._lose(event, "range", error)
            return
        if not written:
            self._drop(event)
            return
        counts = self._counts
        counts[counter] += 1
        counts[self._last_receive] = event.receive_time_ns
        if type_ is Kline and not event.closed:  # type: ignore[attr-defined]  # a Kline has it
            counts[self._open_candles] += 1

    def _lose(self, event: Event, kind: str, error: Exception) -> None:
        """It can never be a record: that costs this event, and is a gap."""
        self._counts[self._lost[kind]] += 1
        self.on_error(kind, "")
        stream, symbol, at_ns = event.stream_type.value, event.symbol, event.receive_time_ns
        if (kept_back := self._repeated(kind)) is not None:
            log.warning(
                "event lost, no record can hold it", stream=stream, symbol=symbol, kind=kind, error=str(error),
                not_logged=kept_back,
            )  # fmt: skip
        number = numbering(type(event)).contiguous(event)
        self._on_gap(
            begin(
                GapCause.DECODE, at_ns, at_ns, exchange=event.exchange, connection=event.connection,
                stream=stream, symbol=symbol, interval=getattr(event, "interval", ""), ended_ns=at_ns,
                missing=(number, number, 1),
            )
        )  # fmt: skip
        self._after_gap(stream, symbol, at_ns)

    def _after_gap(self, stream: str, symbol: str, at_ns: int) -> None:
        """The events that follow are marked by the connection; those that it has decoded already, here."""
        self.mark(stream, symbol, at_ns)
        if stream:
            self._marked[(BY_STREAM[stream].event, symbol)] = at_ns
        else:
            self._marked.clear()
            self._all_marked_ns = at_ns
        self.publish.held = 1

    def _on_gap(self, gap: Gap) -> None:
        """A gap in its place among the events. When the ring is full it is kept, not dropped."""
        if gap.cause not in EXPECTED:
            self.happened(f"gap {gap.cause} {gap.stream} {gap.symbol}".rstrip(), gap.receive_time_ns)
        if of_connection(gap):
            self._on_connection_gap(gap)
        elif self._dropped or not self._try_gap(gap):
            if gap.ended_ns is not None:
                self._lasting.name(gap)
            self._dropped.hold(gap)
            self.publish.held = 1
        elif self._ended:
            self._publish_ends()

    def on_error(self, kind: str, detail: str) -> None:
        """A frame without an event. A refused subscription is one too here, and is no decode error: see its state."""
        if kind == "refused":
            return
        self._counts[self._errors.get(kind, self._errors["other"])] += 1
        if kind == "unknown_event":
            self.unknown_event(detail)
        if kind != "foreign_symbol":
            self.happened(f"{kind}: {detail}", clock.now_ns())

    def _drop(self, event: Event) -> None:
        self._dropped.add(event)
        self.publish.held = 1
        self._writer.add_dropped(1)
        self._counts[self._dropped_slots[type(event)]] += 1

    def recover(self, now_ns: int, is_last: bool = False) -> None:
        """Once there is room again, publish the gaps of what was dropped; then events flow again. To be called now and
        then, between reads. ``is_last``: no event follows, any room will do."""
        if not (self._dropped or self._pending):  # what was decoded before the last call is in the ring
            self._marked.clear()
            self._all_marked_ns = self.publish.held = 0
        if self.settled or (not is_last and self._writer.used() > self._writer.capacity * (ROOM - 1) // ROOM):
            return
        dropped = 0
        for gap in self._dropped.gaps(now_ns):
            if not self._try_gap(gap):
                break
            self._dropped.published(gap)
            if gap.cause == GapCause.RING_FULL:
                dropped += gap.missing_count or 0
            elif gap.symbol:
                continue  # what follows was marked when it was found
            self._after_gap(gap.stream, gap.symbol, now_ns)
        if self._pending and not self._dropped and self._try_gap(self._pending):
            self._named(self._pending)
            self._pending = None
        self.publish.held = int(bool(self._dropped or self._pending or self._marked or self._all_marked_ns))
        log.warning("the ring was full", dropped=dropped)
        self._publish_ends()

    def _on_connection_gap(self, gap: Gap) -> None:
        """The connection receives nothing, or every subscription is live again. One record at most is kept until there
        is room: then the gap's latest state."""
        self.coverage.on_gap(gap, gap.receive_time_ns)
        if gap.ended_ns is not None:  # the connection marks the events that follow
            self._marked.clear()
            self._all_marked_ns = 0
            self.publish.held = int(bool(self._dropped or self._pending))
        if self._pending:
            # events name the gap by the time of its last record
            self._pending.ended_ns, self._pending.receive_time_ns = gap.ended_ns, gap.receive_time_ns
        elif self.gap.adopt(gap):
            if self._dropped or not self._try_gap(gap):
                self._pending = gap
                self.publish.held = 1  # no event before the gap that it names
            else:
                self._named(gap)

    def _named(self, gap: Gap) -> None:
        """A record of the connection's gap is in the ring; its first one gives the gap its name. Whoever is killed
        here leaves a gap that its successor ends."""
        if gap.ended_ns is None and not gap.gap_id:
            self.gap.opened_at(self._writer.last_position)
        self.on_read_end()
        if gap.ended_ns is not None:
            self.gap.closed()

    def _publish_ends(self) -> None:
        """The same for gaps of streams."""
        self.on_read_end()
        for gap in self._ended:
            self._lasting.closed(gap)
        self._ended.clear()

    def _try_coverage(self, row: Coverage) -> bool:
        """What finds the ring full is said again later."""
        kind, counter = self._kinds[Coverage]
        if self._dropped or not self._write(kind, encode(row)):
            return False
        self._counts[counter] += 1
        return True

    def _try_gap(self, gap: Gap) -> bool:
        """A stream's gap that ends has the name of its first record, if that one is in a ring."""
        kind, counter = self._kinds[Gap]
        if gap.stream and gap.ended_ns is not None:
            self._lasting.name(gap)
        if not self._write(kind, self._encoded(gap)):
            return False
        self._counts[counter] += 1
        if gap.stream and gap.ended_ns is None and gap.gap_id:
            return True  # it is in a ring, and goes on
        if gap.stream and gap.ended_ns is None:
            self._lasting.opened_at(self._writer.last_position, gap)
        elif gap.stream and gap.gap_id:
            self._ended.append(gap)
        if gap.version == 1:
            self._counts[self._causes[gap.cause]] += 1
        if gap.ended_ns is not None and gap.cause != GapCause.FILLER:  # a filler names what never was
            self._counts[self._missing] += gap.missing_count or 0
        return True

    def _encoded(self, gap: Gap) -> bytes:
        """A venue's number may be one that no record can hold: then the gap is known by its times only."""
        try:
            return encode(gap)
        except BAD_EVENT:
            self.on_error("range", "")
            gap.first_missing = gap.last_missing = gap.missing_count = None
            return encode(gap)

    def release(self) -> None:
        """Let go of ring and page; what was published stays."""
        self.publish.release()
        self._counters.release()
        self._writer.release()
