"""What the repairer publishes: events into its own ring, kept back while that is full, and whether all is acknowledged.

Bounded by its caller, who hands over nothing while anything is kept back. Owns the write side of the ring.
"""

from collections import deque
from collections.abc import Iterable

from wsadapter.errors import RecordTooLarge
from wsadapter.events import Coverage, Event, Gap
from wsadapter.events.records import BAD_EVENT, encode
from wsadapter.events.streams import BY_EVENT
from wsadapter.log import get_logger
from wsadapter.metrics import polled, repair_published
from wsadapter.roles.repairer import open_interest
from wsadapter.shm.ring import RingWriter
from wsadapter.shm.ring_counters import RingCounters
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import RingRef

log = get_logger()


class RepairPublisher:
    """Cells: ``records_total`` of everything, ``polled_total`` of what comes by REST only, ``repaired_total`` of what
    was fetched again, ``gaps_total`` of holes in what is polled, and those that last; they move with the ring's
    tail."""

    def __init__(self, ref: RingRef, page: StatsPage) -> None:
        self._writer = RingWriter.attach(ref.name)
        self._counters = RingCounters(page, repair_published(page.fields), self._writer.tail)
        self._publish = self._counters.publication(self._writer, ref.doorbell_fd)
        self._cells, self._index = self._counters.cells, self._counters.index
        self._records = {event: self._index(f'records_total{{stream="{s.name}"}}') for event, s in BY_EVENT.items()}
        self._repaired = {event: self._index(f'repaired_total{{stream="{s.name}"}}') for event, s in BY_EVENT.items()}
        self._kept: deque[tuple[Event, bool]] = deque()

    def put(self, events: Iterable[Event], polled: bool = False) -> None:
        """``polled``: they were not missed."""
        self._kept.extend((event, polled) for event in events)
        self.flush()

    def flush(self) -> None:
        """Write as much as there is room for."""
        written = False
        while self._kept:
            event, is_polled = self._kept[0]
            type_ = type(event)
            try:
                if not self._writer.try_write(BY_EVENT[type_].kind, encode(event)):
                    break
            except (RecordTooLarge, *BAD_EVENT) as error:
                log.warning("event lost, no record can hold it", symbol=event.symbol, error=str(error))
                self._cells[self._index("unencodable_total")] += 1
                self._kept.popleft()
                written = True
                continue
            self._kept.popleft()
            if isinstance(event, Gap) and self._is_silence(event):
                self._name(event)
            self._cells[self._records[type_]] += 1
            word = BY_EVENT[type_].name
            if is_polled and (cell := polled("polled_total", event.exchange, word=word)) in self._counters:
                self._cells[self._index(cell)] += 1
            elif not isinstance(event, Gap | Coverage):
                self._cells[self._repaired[type_]] += 1
            elif (
                isinstance(event, Gap) and event.version == 1
            ):  # the repairer's own, of what it polls; others are told again
                self._cells[self._index(f'gaps_total{{cause="{event.cause}"}}')] += 1
            written = True
        if written:
            self._publish()

    def _is_silence(self, gap: Gap) -> bool:
        """Of a symbol that is polled; another venue may stream its open interest, and has gaps in that."""
        if gap.stream != open_interest.STREAM:
            return False
        return polled(open_interest.POSITION, gap.exchange, gap.symbol) in self._counters

    def _name(self, silence: Gap) -> None:
        """It has a name now, and whoever follows us finds it."""
        position = self._writer.last_position
        silence.gap_id = silence.gap_id or f"{self._writer.epoch}:{position}"
        for cell, value in open_interest.silence_cells(silence, self._writer.epoch, position).items():
            self._cells[self._index(cell)] = value

    @property
    def kept(self) -> int:
        """Events that found no room yet."""
        return len(self._kept)

    @property
    def drained(self) -> bool:
        """All that was ever put is with the broker, or on the spool."""
        return not self._kept and self._writer.used() == 0

    def release(self) -> None:
        self._counters.release()
        self._writer.release()
