"""When a serializer's records go through the spool, and when straight to the broker.

    DIRECT     ring -> broker. The spool is empty.
    SPOOLING   ring -> spool. The broker has not acknowledged in time; what was produced stays in the client's queue.
    REPLAYING  spool -> broker, one batch at a time; the rings wait, or go to the spool when they fill up.

DIRECT becomes SPOOLING when the oldest unacknowledged record is older than a second (a quarter of one while a ring is
nearly full: then the disk is better than a drop). What is acknowledged before any of it went to the disk counts as if
it had been in time. A life that finds records on the spool begins as SPOOLING, for the broker was away when the last
one ended; any other begins as REPLAYING of nothing. SPOOLING ends when the client's queue is empty, REPLAYING when the
spool is. Nothing is purged: a purged message may have been written, and nobody would know.

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
* Records that were in the client's queue when spooling began are on the spool too, all of them as soon as one is and as
  far as it has room. They are left out of the replay once that queue has emptied; after a kill nobody knows, and they
  come twice.
* A kill between the sync and the store of head leaves records on the spool and in the ring: the next life moves head
  over them first. So every record is counted as delivered once: when head passes it (DIRECT), or when it leaves the
  spool.

Owns, except in DIRECT, the rings' cursors and heads, and what goes to the spool. What goes to the broker is the
delivery's (`wsadapter.roles.serializer.delivery`), which also argues why each record is counted once.
"""

import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from wsadapter.log import get_logger
from wsadapter.roles.serializer.delivery import Delivery, Reader
from wsadapter.roles.serializer.spool_generations import SpoolGenerations

PATIENCE: Final = 1.0
"""Seconds that an acknowledgement may take."""
PRESSED_PATIENCE: Final = 0.25
"""The same while a ring is nearly full."""
PRESSED: Final = 0.75
"""That part of a ring's capacity is nearly full."""
HALF: Final = 0.5
"""During a replay a ring that is fuller than this goes to the spool."""
SPOOL_RECORDS: Final = 4096
"""Of one ring, in one write to the spool."""
SPOOL_BYTES: Final = 64 << 20
SPOOL_FEW_RECORDS: Final = 16
"""Bytes of all rings in one write; of the rings behind those that have filled it a few records."""
REPLAY_RECORDS: Final = 16_384
SHORT_REPLAY_RECORDS: Final = 2048
"""In one batch to the broker; the rings are checked in between, more often when one is a quarter full."""
TRIAL_RECORDS: Final = 256
"""The first after a refusal: if it is refused again, little has reached the topics that are not concerned."""

SAY_AGAIN: Final = 60.0
"""Seconds between two outages that are told of while the broker is slow and fast in turns."""
SHORT: Final = 5.0
"""An outage that was not told of at its beginning is, when it has lasted so long."""

log = get_logger()


class Mode(Enum):
    DIRECT = "direct"
    SPOOLING = "spooling"
    REPLAYING = "replaying"


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
        self,
        spools: SpoolGenerations,
        readers: Sequence[Reader],
        delivery: Delivery,
        clock: Callable[[], float] = time.monotonic,
        is_awaited: Callable[[], bool] = lambda: False,
    ) -> None:
        """``is_awaited``: the broker is still being started by whoever started us. Records wait in their rings for it,
        as long as these are not half full, and what was sent may take its time."""
        self.mode = Mode.SPOOLING if spools.records else Mode.REPLAYING
        self._spools, self._readers, self._delivery, self._clock = spools, readers, delivery, clock
        self._is_awaited = is_awaited
        self._is_used = spools.records > 0
        """Records have been on the spool."""
        self._waiting = False
        """Something is in the client's queue."""
        self._replayed = False
        """It came from the spool."""
        self._since: float | None = clock()
        """Since when we wait, for an acknowledgement or for the broker to be there at all."""
        self._entered, self._told_at = clock(), float("-inf")
        self._is_told = True
        """Whoever reads the log knows of this outage; of one that follows another closely only when it lasts."""
        self._untold = 0
        """Outages since the last one that was told of."""
        self._produced: dict[int, int] = {}
        """Epoch -> up to where the ring was produced when spooling began: acknowledged before a replay begins."""
        self._is_untouched = False
        """What is overdue is as it was produced: cursors and counts are those of its acknowledgement."""
        for reader in readers:
            self._pass_stored(reader)

    def overdue(self, since: float) -> bool:
        """For who waits for acknowledgements in DIRECT, the oldest of them since ``since``. True: it is to stop waiting
        and leave its queue alone; the rings are ours until the mode is DIRECT again."""
        if self._is_awaited() and not self._fuller(HALF):
            return False
        if next_mode(self.mode, self._clock() - since, self._fuller(PRESSED), True) is not Mode.SPOOLING:
            return False
        for reader in self._readers:
            self._produced[reader.epoch] = reader.position
        self._waiting = self._is_untouched = True
        self._since = since
        self._enter(Mode.SPOOLING)
        return True

    def begin_again(self) -> None:
        """The client was replaced: of what was queued nobody knows what has arrived. From the heads and the begin of
        the spool it is sent again when the broker is ready; until then the rings go to the spool."""
        for reader in self._readers:
            reader.rewind()
        self._spools.rewind()
        self._produced.clear()
        self._waiting = self._replayed = self._is_untouched = False
        self._since = self._clock()
        self.mode = Mode.SPOOLING

    def step(self, seconds: float, is_ready: bool) -> bool:
        """One step outside DIRECT; waits up to ``seconds`` for acknowledgements. ``is_ready``: the broker is there, and
        it is our turn. False: nothing to do but wait."""
        if self._waiting and self._delivery.arrived(seconds):
            self._waiting = False
            if self._replayed:
                self._replayed = False
                self._delivery.commit_spool()
            elif self._is_untouched:
                self._is_untouched = False
                self._delivery.commit_rings(self._readers)
            else:
                self._spool_produced()
        if not self._waiting and is_ready:
            self._since = None
        elif self._since is None or (self._is_awaited() and not self._fuller(HALF)):
            self._since = self._clock()
        waited = None if self._since is None else self._clock() - self._since
        # not while we wait for the topics: a ring that was full when we came says nothing about the broker
        pressed = self._waiting and self._fuller(PRESSED)
        self._enter(next_mode(self.mode, waited, pressed, not self._spools.records))
        moved = False
        if self.mode is Mode.SPOOLING or (self.mode is Mode.REPLAYING and self._spools.records and self._fuller(HALF)):
            moved = self.spool()
        if self.mode is Mode.REPLAYING and waited is None:
            self._replay()
            moved = True
        return moved

    def spool(self) -> bool:
        """Move what is in the rings to the spool, a batch of each; head follows what is durable."""
        if self._is_untouched:
            self._is_untouched = False
            for reader in self._readers:
                reader.rewind()
            self._delivery.leave_to_spool()
        polled, room = [], SPOOL_BYTES
        for reader in self._readers:
            before = reader.position
            polled.append((reader, self._delivery.poll(reader, SPOOL_RECORDS if room > 0 else SPOOL_FEW_RECORDS)))
            room -= reader.position - before
        spooled = [(reader.epoch, *record) for reader, records in polled for record in records]
        stored = self._spools.append(spooled, self._delivery.partitioning.used())
        self._is_used = self._is_used or stored > 0
        self._delivery.count_spooled()
        remaining = stored
        for reader, records in polled:
            if remaining < len(records):
                reader.commit(records[remaining][0])
                reader.rewind()
            else:
                reader.commit(reader.position)
            remaining = max(0, remaining - len(records))
        return stored > 0

    def _spool_produced(self) -> None:
        """What has been acknowledged and is in a ring still, behind what is on the spool: the replay leaves it out."""
        while any(reader.position < self._produced.get(reader.epoch, 0) for reader in self._readers) and self.spool():
            pass

    def _replay(self) -> None:
        limit = SHORT_REPLAY_RECORDS if self._fuller(HALF / 2) else REPLAY_RECORDS
        records = self._spools.poll(TRIAL_RECORDS if self._delivery.is_refused else limit)
        produced = self._produced
        fresh = [record for record in records if record[1] >= produced.get(record[0], 0)]
        skipped = [] if len(fresh) == len(records) else [r for r in records if r[1] < produced.get(r[0], 0)]
        self._delivery.send(fresh, skipped)
        self._waiting = self._replayed = True
        self._since = self._clock()

    def _pass_stored(self, reader: Reader) -> None:
        """Our predecessor was killed when these were on the spool and head had not moved."""
        last = self._spools.last_position(reader.epoch)
        if last < reader.head:
            return
        for position, _, _ in self._delivery.poll(reader, SPOOL_RECORDS + 1):
            if position > last:
                reader.commit(position)
                reader.rewind()
                return
        reader.commit(reader.position)

    def _fuller(self, part: float) -> bool:
        return any(reader.capacity * part < reader.used() <= reader.capacity for reader in self._readers)

    def _enter(self, mode: Mode) -> None:
        now = self._clock()
        if mode is self.mode:
            if mode is Mode.SPOOLING and not self._is_told and now - self._entered > SHORT:
                self._tell()
            return
        if self.mode is Mode.SPOOLING and not self._is_told:
            self._untold += 1
        self.mode, self._entered = mode, now
        size, records = self._spools.size, self._spools.records
        if mode is Mode.SPOOLING:
            self._is_told = False
            if now - self._told_at >= SAY_AGAIN:
                self._tell()
        elif self._is_told and mode is Mode.REPLAYING:
            log.info("the spool is replayed", records=records, bytes=size)
        elif self._is_told and self._is_used:
            log.info("the spool is empty, records go straight to the broker")

    def _tell(self) -> None:
        log.warning(
            "broker does not acknowledge, records go to the spool", reason=self._delivery.trouble,
            records=self._spools.records, bytes=self._spools.size, short_outages_before=self._untold,
        )  # fmt: skip
        self._is_told, self._told_at, self._untold = True, self._clock(), 0
