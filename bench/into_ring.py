"""A ring for messages that are decoded without a socket: what a message costs up to its record in it.

``receive(payload, time)`` is a message's whole way in an ingest: its records at once, or its events and then theirs.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any, Final

from wsadapter import metrics
from wsadapter.events import Event
from wsadapter.events.streams import BY_EVENT
from wsadapter.exchanges.scanner import give_records
from wsadapter.roles.ingest.publisher import publisher
from wsadapter.shm import ring
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

CAPACITY: Final = 1 << 24


class IntoRing:
    """Has room for a round of a benchmark; `hand_on` makes it anew."""

    def __init__(self) -> None:
        self._name = f"wsadapter-bench-{os.getpid()}-into"
        ring.create(self._name, CAPACITY, 1)
        self._page = StatsPage.create(f"{self._name}-stats", metrics.ingest(()))
        self._writer, self._reader = ring.RingWriter.attach(self._name), ring.RingReader.attach(self._name)
        self._publish = publisher(self._writer, self._page, self._no_room)
        self._handlers: dict[type, Callable[[Any], object]] = dict.fromkeys(BY_EVENT, self._publish)

    def give(self, receive: Any, at_once: bool) -> None:
        """Whether messages become records ``at_once``."""
        give_records(receive, self._handlers if at_once else {})

    def take(self, items: Iterable[Any]) -> None:
        for item in items:
            if (handle := self._handlers.get(type(item))) is not None:
                handle(item)

    def hand_on(self) -> None:
        self._writer.publish()
        self._reader.position = self._reader.tail
        self._reader.commit(self._reader.position)

    def _no_room(self, event: Event) -> None:
        """The end of a lap."""
        self._writer.try_write(1, b"room")

    def release(self) -> None:
        for each in (self._publish, self._writer, self._reader, self._page):
            each.release()
        Segment.unlink(self._name)
        Segment.unlink(f"{self._name}-stats")
