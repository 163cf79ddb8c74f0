"""An event into a ring, and counted: the last step of whoever makes events (ingest, repairer).

`publisher` gives a callable for one event. It encodes it (`wsadapter.events.records`), appends it to the ring,
visible to the reader from the next `RingWriter.publish`, and counts it: the stream's counter, the receive time of the
last event, and open candles apart. What is not usual goes to ``otherwise(event)`` instead: everything while ``held``
is set, an event for which there is no known room, one that no ring takes and one that no record can hold; of that only
``decoded_total`` is counted here, as of all.

In C where it is built. The caller owns ring and counters (a stats page, or its `wsadapter.shm.ring_counters`), and
calls ``release`` before it lets go of them.
"""

from array import array
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from wsadapter import native
from wsadapter.errors import RecordTooLarge
from wsadapter.events import Event, Kline
from wsadapter.events.records import BAD_EVENT, encode
from wsadapter.events.streams import SPECS
from wsadapter.shm.ring import RingWriter


class Counters(Protocol):
    """A `wsadapter.shm.stats_page.StatsPage` or `wsadapter.shm.ring_counters.RingCounters`."""

    @property
    def cells(self) -> "memoryview | array[int]": ...
    def index(self, name: str, /) -> int: ...


Counts = Mapping[type[Event], tuple[int, int, int, int]]
"""Event type -> (record kind, counter's cell, flag's field, cell that counts events without that flag); -1 = none."""


class PythonPublisher:
    """The twin of the publisher in C."""

    __slots__ = ("_cells", "_counts", "_decoded", "_otherwise", "_received", "_write", "held")

    def __init__(
        self,
        writer: RingWriter,
        cells: "memoryview | array[int]",
        counts: Counts,
        received: int,
        decoded: int,
        otherwise: Callable[[Event], None],
    ) -> None:
        self._write, self._cells, self._counts = writer.try_write, cells, counts
        self._received, self._decoded, self._otherwise = received, decoded, otherwise
        self.held = 0
        """Not zero: every event goes to ``otherwise``."""

    def __call__(self, event: Event) -> None:
        kind, counter, flag, flag_counter = self._counts[type(event)]
        cells = self._cells
        cells[self._decoded] += 1
        try:
            written = not self.held and self._write(kind, encode(event))
        except (RecordTooLarge, *BAD_EVENT):
            written = False
        if not written:
            self._otherwise(event)
            return
        cells[counter] += 1
        cells[self._received] = event.receive_time_ns
        if flag >= 0 and not getattr(event, event.__struct_fields__[flag]):
            cells[flag_counter] += 1

    def release(self) -> None:
        """Let go of the stats page."""
        self.held = 1


def counts_of(counters: Counters) -> Counts:
    closed = Kline.__struct_fields__.index("closed")
    return {
        spec.event: (
            spec.kind,
            counters.index(f'events_total{{stream="{spec.name}"}}'),
            *((closed, counters.index("open_candles_total")) if spec.event is Kline else (-1, -1)),
        )
        for spec in SPECS
    }


def publisher(writer: RingWriter, counters: Counters, otherwise: Callable[[Event], None]) -> Any:
    """A callable for one event, with ``held`` and ``release``."""
    counts, cells = counts_of(counters), counters.cells
    received, decoded = counters.index("last_receive_ns"), counters.index("decoded_total")
    if _native is None:
        return PythonPublisher(writer, cells, counts, received, decoded, otherwise)
    return _native.Publisher(encode, writer.appender, cells, counts, received, decoded, otherwise)


_native: Final = native.extension
