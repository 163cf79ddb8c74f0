"""A session with the scanner in C beside one without, and what both must leave behind."""

import itertools
import os
from typing import Any, Final

import pytest
from msgspec import Struct, structs

from wsadapter import metrics, native
from wsadapter.events import Event
from wsadapter.events.records import encode, in_python
from wsadapter.events.streams import BY_EVENT
from wsadapter.exchanges import by_key, by_tag, load, scanner
from wsadapter.exchanges.checked_book import CheckedBook
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import ConnectionPlan, Item, Receive
from wsadapter.roles.ingest.publisher import publisher
from wsadapter.shm import ring
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

built = pytest.mark.skipif(native.extension is None, reason="the C extension is not built")


def state(made: VenueSession) -> list[Any]:
    s = made.sequences
    series = [
        (one.next, one.at_ns, one.gap_ns, one.behind, one.run, one.waiting, one.grid)
        for by_symbol in s._all()
        for one in by_symbol.values()
    ]
    times = [ordinals.times for ordinals in made.ordinals.values()]
    states = {key: structs.asdict(each) for key, each in made.states.items() if isinstance(each, Struct)}
    books = {key: (book.bids.best(9999), book.asks.best(9999))
             for key, book in made.states.items() if isinstance(book, CheckedBook)}  # fmt: skip
    return [
        books, series, made.last_receive_ns, made.outages.pending, made.requests.unheard, times, states, s.out_of_order,
        made.messages.last, made.known, made.published,
    ]  # fmt: skip


def twins(plan: ConnectionPlan, monkeypatch: pytest.MonkeyPatch, slowly: list[bytes]) -> tuple[Any, Any]:
    """With C and without; what C passes on goes into ``slowly``."""
    made = load(plan.exchange)

    def counted(framing: Any, session: Any, streams: Any, otherwise: Receive, marks: Any = None) -> Receive:
        def pass_on(payload: bytes | memoryview, at_ns: int) -> list[Item]:
            slowly.append(bytes(payload))
            return otherwise(payload, at_ns)

        return scanner.scanner(framing, session, streams, pass_on, marks)

    with monkeypatch.context() as patched:
        for module in (by_key, by_tag):
            patched.setattr(module, "scanner", lambda framing, session, streams, otherwise, marks=None: otherwise)
        slow = made(plan)
    with monkeypatch.context() as patched:
        for module in (by_key, by_tag):
            patched.setattr(module, "scanner", counted)
        fast = made(plan)
    return fast, slow


_numbers: Final = itertools.count()
Made = tuple[list[tuple[int, bytes]], list[Item]]
"""(kind and payload of each record, items that are no events)."""


class Recording:
    """A session whose messages become records in a ring, as in an ingest. ``straight``: messages that gave records and
    no event."""

    def __init__(self, session: VenueSession, capacity: int = 1 << 16) -> None:
        self.session, self.straight = session, 0
        self._name = f"wsadapter-records-{os.getpid()}-{next(_numbers)}"
        ring.create(self._name, capacity, 1)
        self.page = StatsPage.create(f"{self._name}-stats", metrics.ingest(()))
        self.writer, self._reader = ring.RingWriter.attach(self._name), ring.RingReader.attach(self._name)
        self.publisher = publisher(self.writer, self.page, self._otherwise)
        self.slowly: list[Event] = []
        """What the publisher did not take at once."""
        self.give()

    def give(self) -> None:
        scanner.give_records(self.session.receive, dict.fromkeys(BY_EVENT, self.publisher))

    def _otherwise(self, event: Event) -> None:
        self.slowly.append(event)
        if not self.publisher.held:
            self.writer.try_write(BY_EVENT[type(event)].kind, encode(event))

    def receive(self, payload: bytes | memoryview, at_ns: int) -> Made:
        items = self.session.receive(payload, at_ns)
        for item in items:
            if isinstance(item, Event):
                self.publisher(item)
        made = self.read()
        self.straight += bool(made and not items)
        return made, [item for item in items if not isinstance(item, Event)]

    def read(self) -> list[tuple[int, bytes]]:
        self.writer.publish()
        found = [(kind, payload) for _, kind, payload in self._reader.poll(10_000)]
        self._reader.commit(self._reader.position)
        return found

    @property
    def counts(self) -> dict[str, int]:
        return {name: value for name, value in self.page.read().items() if value}

    def release(self) -> None:
        scanner.give_records(self.session.receive, {})
        for each in (self.publisher, self.writer, self._reader, self.page):
            each.release()
        Segment.unlink(self._name)
        Segment.unlink(f"{self._name}-stats")


_encode: Final = in_python()


def as_records(items: list[Item]) -> Made:
    """What the twins in Python make of these."""
    events = [item for item in items if isinstance(item, Event)]
    records = [(BY_EVENT[type(event)].kind, _encode(event)) for event in events]
    return records, [item for item in items if not isinstance(item, Event)]
