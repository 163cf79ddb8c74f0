"""When a serializer's records go through the spool, and when straight to the broker.

    DIRECT     ring -> broker. The spool is empty.
    SPOOLING   ring -> spool. The broker has not acknowledged in time; what was produced stays in the client's queue.
    REPLAYING  spool -> broker, one batch at a time; the rings wait, or go to the spool when they fill up.

DIRECT becomes SPOOLING when the oldest unacknowledged record is older than a second (a quarter of one while a ring is
nearly full: then the disk is better than a drop). A life that finds records on the spool begins as SPOOLING, for the
broker was away when the last one ended; any other begins as REPLAYING of nothing. SPOOLING ends when the client's queue
is empty, REPLAYING when the spool is. Nothing is purged: a purged message may have been written, and nobody would know.

Why order holds, and so the consumer's watermark (it drops a position that is not above the last one it saw of that
epoch in that partition; that loses nothing as long as no record reaches a partition before an older one of its ring):

* What is on the spool is, per ring, a run of records without a hole that ends where the ring's head stands: head moves
  only after the sync, and only over what was stored. So all on the spool is older than all in the ring.
* The rings are produced from in DIRECT only, when the spool is empty and its last batch acknowledged. The spool is
  produced from its begin, in order, and only when nothing else is in the client's queue. The client keeps the order of
  its queue per partition (idempotent, no time limit, never purged while we live).
* A kill at any point leaves the log with a prefix of that sequence. The next life starts with the spool at its
  checkpoint, at or before the first record that was not acknowledged, then the rings from head: the same sequence,
  begun a little earlier. What comes twice has a position at or below the watermark; what comes first does not.
* Records that were in the client's queue when spooling began are on the spool too. They are left out of the replay once
  that queue has emptied; after a kill nobody knows, and they come twice.
* A kill between the sync and the store of head leaves records on the spool and in the ring: the next life moves head
  over them first. So every record is counted as delivered once: when head passes it (DIRECT), or when it leaves the
  spool.

Owns the spool and, except in DIRECT, the rings' cursors and heads. The broker side is an `Outlet`.
"""

import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Protocol

from wsadapter.log import get_logger
from wsadapter.roles.serializer.spool_segment import Record

PATIENCE: Final = 1.0
"""Seconds that an acknowledgement may take."""
PRESSED_PATIENCE: Final = 0.25
"""The same while a ring is nearly full."""
PRESSED: Final = 0.75
"""That part of a ring's capacity is nearly full."""
HALF: Final = 0.5
"""During a replay a ring that is fuller than this goes to the spool."""
TAKE_RECORDS: Final = 4096
"""Of one ring, in one write to the spool."""
TAKE_BYTES: Final = 64 << 20
TAKE_FEW_RECORDS: Final = 16
"""Bytes of all rings in one write; of the rings behind those that have filled it a few records."""
REPLAY_RECORDS: Final = 16_384
SHORT_REPLAY_RECORDS: Final = 2048
"""In one batch to the broker; the rings are looked at in between, more often when one is a quarter full."""

log = get_logger()


class Mode(Enum):
    DIRECT = "direct"
    SPOOLING = "spooling"
    REPLAYING = "replaying"


class Reader(Protocol):
    """A ring's reading end (`wsadapter.shm.ring.RingReader`)."""

    @property
    def epoch(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def position(self) -> int: ...
    def poll(self, limit: int) -> list[tuple[int, int, bytes]]: ...
    def commit(self, position: int) -> None: ...
    def rewind(self) -> None: ...
    def used(self) -> int: ...
    @property
    def head(self) -> int: ...


class Log(Protocol):
    """A `wsadapter.roles.serializer.spool.Spool`, or several behind each other
    (`wsadapter.roles.serializer.spool_generations.SpoolGenerations`)."""

    @property
    def records(self) -> int: ...
    @property
    def size(self) -> int: ...
    def append(self, records: Sequence[Record]) -> int: ...
    def last_position(self, epoch: int) -> int: ...
    def poll(self, limit: int) -> list[Record]: ...
    def commit(self) -> None: ...


class Outlet(Protocol):
    """The way to the broker."""

    def ready(self) -> bool:
        """The topics are there: records can be produced."""

    def send(self, records: Sequence[Record], skipped: Sequence[Record] = ()) -> None:
        """Queue these, in order; a record that can never be a message is disposed of here. ``skipped``: come from the
        spool too and were acknowledged before."""

    def passed(self) -> None:
        """All that came from the spool is settled: count it and commit the spool, as one."""

    def spooled(self, count: int) -> None:
        """So many more are on the spool."""

    def settled(self, seconds: float) -> bool:
        """Whether all that was queued is acknowledged or disposed of; waits as long for it."""


def next_mode(mode: Mode, waited: float | None, pressed: bool, empty: bool) -> Mode:
    """``waited``: age of the oldest unacknowledged record, None when there is none and the broker is there.
    ``empty``: nothing is on the spool."""
    if waited is None:
        return Mode.DIRECT if empty else Mode.REPLAYING
    if waited > (PRESSED_PATIENCE if pressed else PATIENCE):
        return Mode.SPOOLING
    return mode


class Spooling:
    def __init__(
        self, spool: Log, readers: Sequence[Reader], outlet: Outlet, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.mode = Mode.SPOOLING if spool.records else Mode.REPLAYING
        self._spool, self._readers, self._outlet, self._clock = spool, readers, outlet, clock
        self._found = spool.records
        self.taken = 0
        """Records that went to the spool."""
        self._waiting = False
        """Something is in the client's queue."""
        self._replayed = False
        """It came from the spool."""
        self._since: float | None = clock()
        """Since when we wait, for an acknowledgement or for the broker to be there at all."""
        self._produced: dict[int, int] = {}
        """Epoch -> up to where the ring was produced when spooling began: acknowledged before a replay begins."""
        for reader in readers:
            self._pass_stored(reader)

    def overdue(self, since: float) -> bool:
        """For the direct road while it waits for acknowledgements, the oldest of them since ``since``. True: it is to
        stop waiting and leave its queue alone; the rings are ours until the mode is DIRECT again."""
        if next_mode(self.mode, self._clock() - since, self._fuller(PRESSED), True) is not Mode.SPOOLING:
            return False
        for reader in self._readers:
            self._produced[reader.epoch] = reader.position
            reader.rewind()
        self._waiting, self._since = True, since
        self._enter(Mode.SPOOLING)
        return True

    def turn(self, seconds: float) -> bool:
        """One step outside DIRECT; waits up to ``seconds`` for acknowledgements. False: nothing to do but wait."""
        if self._waiting and self._outlet.settled(seconds):
            self._waiting = False
            if self._replayed:
                self._replayed = False
                self._outlet.passed()
        if not self._waiting and self._outlet.ready():
            self._since = None
        elif self._since is None:
            self._since = self._clock()
        waited = None if self._since is None else self._clock() - self._since
        # not while we wait for the topics: a ring that was full when we came says nothing about the broker
        pressed = self._waiting and self._fuller(PRESSED)
        self._enter(next_mode(self.mode, waited, pressed, not self._spool.records))
        moved = False
        if self.mode is Mode.SPOOLING or (self.mode is Mode.REPLAYING and self._spool.records and self._fuller(HALF)):
            moved = self.take()
        if self.mode is Mode.REPLAYING and waited is None:
            self._replay()
            moved = True
        return moved

    def take(self) -> bool:
        """Move what is in the rings to the spool, a batch of each; head follows what is durable."""
        polled, room = [], TAKE_BYTES
        for reader in self._readers:
            before = reader.position
            polled.append((reader, reader.poll(TAKE_RECORDS if room > 0 else TAKE_FEW_RECORDS)))
            room -= reader.position - before
        stored = taken = self._spool.append(
            [(reader.epoch, *record) for reader, records in polled for record in records]
        )
        self.taken += taken
        self._outlet.spooled(taken)
        for reader, records in polled:
            if stored < len(records):
                reader.commit(records[stored][0])
                reader.rewind()
            else:
                reader.commit(reader.position)
            stored = max(0, stored - len(records))
        return taken > 0

    def _replay(self) -> None:
        records = self._spool.poll(SHORT_REPLAY_RECORDS if self._fuller(HALF / 2) else REPLAY_RECORDS)
        produced = self._produced
        fresh = [record for record in records if record[1] >= produced.get(record[0], 0)]
        skipped = [] if len(fresh) == len(records) else [r for r in records if r[1] < produced.get(r[0], 0)]
        self._outlet.send(fresh, skipped)
        self._waiting = self._replayed = True
        self._since = self._clock()

    def _pass_stored(self, reader: Reader) -> None:
        """Our predecessor was killed when these were on the spool and head had not moved."""
        last = self._spool.last_position(reader.epoch)
        if last < reader.head:
            return
        for position, _, _ in reader.poll(TAKE_RECORDS + 1):
            if position > last:
                reader.commit(position)
                reader.rewind()
                return
        reader.commit(reader.position)

    def _fuller(self, part: float) -> bool:
        return any(reader.used() > reader.capacity * part for reader in self._readers)

    def _enter(self, mode: Mode) -> None:
        if mode is self.mode:
            return
        self.mode = mode
        size, records = self._spool.size, self._spool.records
        if mode is Mode.SPOOLING:
            log.warning("broker does not acknowledge, records go to the spool", records=records, bytes=size)
        elif mode is Mode.REPLAYING:
            log.info("broker is back, the spool is replayed", records=records, bytes=size)
        elif self.taken or self._found:
            log.info("the spool is empty, records go straight to the broker")
