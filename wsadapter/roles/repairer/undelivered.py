"""What is recorded and not in the log yet: in rings, on the serializers' spools. A look into the log that does not wait
for it has it fetched, and it comes twice.

`awaited` waits until all that the rings of a venue held at its begin is delivered, and every spool is empty after that
(a ring's head moves over what is on the spool, and the spool's count moves first). It gives up, and says why, when
nothing has moved for `STILL_SECONDS`: a ring that no serializer can read must not hold up every repair. Only rings of
this host can be seen.

Reads rings and stats pages, writes to none. A segment that is not there any more has nothing to wait for.
"""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from wsadapter.errors import SegmentError
from wsadapter.log import get_logger
from wsadapter.roles.orders import RepairerOrder, WatchedRing
from wsadapter.roles.repairer.host_queue import Pause
from wsadapter.shm.ring import RingReader
from wsadapter.shm.stats_page import StatsPage

STILL_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.1

log = get_logger()
Waiting = Generator[Pause, float, float]


class Cursors(Struct, frozen=True):
    """Of one ring."""

    epoch: int
    head: int
    tail: int


class Undelivered:
    """``rings``: venue -> those that may hold something of it; ``serializers``: their stats pages."""

    def __init__(
        self, rings: Mapping[str, Sequence[WatchedRing]] | None = None, serializers: Sequence[str] = ()
    ) -> None:
        self._rings, self._serializers = rings or {}, serializers

    def awaited(self, exchange: str, now: float) -> Waiting:
        """Returns the time."""
        targets = {ring: at for ring in self._rings.get(exchange, ()) if (at := _cursors(ring.name)) is not None}
        before: object = None
        since = now
        while True:
            waiting = {
                ring.connection: at.head
                for ring, target in targets.items()
                if (at := _cursors(ring.name)) is not None and at.epoch == target.epoch and at.head < target.tail
            }
            spooled = [] if waiting else [each for each in map(_spooled, self._serializers) if each]
            if not waiting and not spooled:
                return now
            if (state := (waiting, spooled)) != before:
                before, since = state, now
            elif now - since >= STILL_SECONDS:
                log.warning(
                    "the log is looked into though not all that is recorded is in it: what is fetched may come twice",
                    rings=sorted(waiting), spooled=sum(spooled), nothing_moved_for=STILL_SECONDS,
                )  # fmt: skip
                return now
            now = yield Pause(now + LOOK_SECONDS)


def rings_of(order: RepairerOrder) -> dict[str, list[WatchedRing]]:
    """Venue -> rings that may hold something of it: those of its connections, and those of connections that are no
    more, whose venue nobody knows."""
    venues = {each.plan.connection: each.plan.exchange for each in order.assignments}
    exchanges = {*venues.values(), *(each.exchange for each in order.histories)}
    return {
        exchange: [ring for ring in order.rings if venues.get(ring.connection, exchange) == exchange]
        for exchange in exchanges
    }


def _cursors(name: str) -> Cursors | None:
    with contextlib.suppress(SegmentError):
        reader = RingReader.attach(name, writable=False)
        try:
            tail = reader.tail  # first: head follows it
            return Cursors(reader.epoch, reader.head, tail)
        finally:
            reader.release()
    return None


def _spooled(page_name: str) -> int:
    """Records on the spool of a serializer."""
    with contextlib.suppress(SegmentError):
        page = StatsPage.attach(page_name)
        try:
            return page["spool_records"]
        finally:
            page.release()
    return 0
