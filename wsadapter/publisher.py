"""An event into a ring, and counted: the last step of whoever makes events (ingest, repairer).

`publisher` gives a callable for one event. It encodes it (`wsadapter.records`), appends it to the ring, visible to the
reader from the next `RingWriter.publish`, and counts it on the stats page: the stream's counter, the receive time of
the last event, and open candles apart. What is not usual goes to ``otherwise(event)`` instead, uncounted: everything
while ``held`` is set, an event for which there is no known room, and one that no ring takes.

In C where it is built. The caller owns ring and page, and calls ``release`` before it lets go of them.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from wsadapter import native
from wsadapter.errors import RecordTooLarge
from wsadapter.events import Event, Kline
from wsadapter.records import encode
from wsadapter.ring import RingWriter
from wsadapter.stats import StatsPage
from wsadapter.streams import SPECS

Counts = Mapping[type[Event], tuple[int, int, int, int]]
"""Event type -> (record kind, counter's cell, flag's field, cell that counts events without that flag); -1 = none."""


class InPython:
    """The twin of the publisher in C."""

    __slots__ = ("_cells", "_counts", "_otherwise", "_received", "_write", "held")

    def __init__(
        self, writer: RingWriter, cells: memoryview, counts: Counts, received: int, otherwise: Callable[[Event], None]
    ) -> None:
        self._write, self._cells, self._counts = writer.try_write, cells, counts
        self._received, self._otherwise = received, otherwise
        self.held = 0
        """Not zero: every event goes to ``otherwise``."""

    def __call__(self, event: Event) -> None:
        kind, counter, flag, flag_counter = self._counts[type(event)]
        try:
            if self.held or not self._write(kind, encode(event)):
                self._otherwise(event)
                return
        except RecordTooLarge:
            self._otherwise(event)
            return
        cells = self._cells
        cells[counter] += 1
        cells[self._received] = event.receive_time_ns
        if flag >= 0 and not getattr(event, event.__struct_fields__[flag]):
            cells[flag_counter] += 1

    def release(self) -> None:
        """Let go of the stats page."""
        self.held = 1


def counts_of(page: StatsPage) -> Counts:
    closed = Kline.__struct_fields__.index("closed")
    return {
        spec.event: (
            spec.kind,
            page.index(f'events_total{{stream="{spec.name}"}}'),
            *((closed, page.index("open_candles_total")) if spec.event is Kline else (-1, -1)),
        )
        for spec in SPECS
    }


def publisher(writer: RingWriter, page: StatsPage, otherwise: Callable[[Event], None]) -> Any:
    """A callable for one event, with ``held`` and ``release``."""
    counts, received = counts_of(page), page.index("last_receive_ns")
    if _native is None:
        return InPython(writer, page.cells, counts, received, otherwise)
    return _native.Publisher(encode, writer.appender, page.cells, counts, received, otherwise)


_native: Final = native.load("_records") if native.load("_ring") is not None else None
