"""What is on its way to the broker: records become messages, and what has arrived is counted and committed as one.

Exactly once, for the counters (the rows' own argument is in `wsadapter.roles.serializer.spooling`): a record counts as
delivered, or as a dead letter or a copy, when it leaves its ring or the spool, and both is one entry of the redo log
(`wsadapter.shm.redo_log`): the new counts, and the deed, which is to move the heads of these rings (by epoch) or to
commit this spool up to this number. Killed

* before the entry's length is stored, nothing has happened: the records are read again, sent again, and counted then;
* after it, everything has: the next life finds the entry pending and does what it says, whether or not it was done
  before. Heads and checkpoint only go forward, up to what the entry says, and counts are set, not added; so doing it
  twice is doing it once. What an entry means is in the entry: no other cell of the page is read for it.

An entry is written only when nothing that it counts is outstanding, and ended before the next is begun. Of redundant
connections the watermarks are stored before it: they cannot be made again later, and a record that they call published
is, for all of them were acknowledged (killed in between, it is read again and counted as a copy).

What goes to the spool is counted by the spool's own numbers: ``spool_next`` is the number up to which ``spooled_total``
has counted, and a successor counts the rest; of a spool that is new, which begins at 0, all.

Owns the producer's use, and on the page all that is counted here.
"""

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import groupby
from operator import itemgetter

from google.protobuf.message import DecodeError
from msgspec import Struct

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import SegmentError
from wsadapter.events.gaps import GapCause, begin
from wsadapter.events.records import Record, encode, key_of, message_of
from wsadapter.events.streams import SPECS
from wsadapter.kafka.topics import topic_name
from wsadapter.log import get_logger
from wsadapter.metrics import SERIALIZER_REASONS, UNKNOWN, dead_letters
from wsadapter.roles.serializer.latency import LatencySamples
from wsadapter.roles.serializer.message_queue import BatchQueue, DirectQueue, MessageQueue
from wsadapter.roles.serializer.partitioning import Partitioning
from wsadapter.roles.serializer.producer import GAP, KafkaProducer
from wsadapter.roles.serializer.redundant_reader import RedundantReader
from wsadapter.roles.serializer.spool_generations import SpoolGenerations
from wsadapter.roles.serializer.spool_segment import Record as SpoolRecord
from wsadapter.shm.redo_log import RedoLog
from wsadapter.shm.ring import RingReader
from wsadapter.shm.stats_page import Histogram, StatsPage

Reader = RingReader | RedundantReader
log = get_logger()


class Deed(IntEnum):
    """What goes with the counts of a redo-log entry; 0 is none."""

    RINGS = 1
    """Move these rings' heads: epoch -> position."""
    SPOOL = 2
    """Commit this spool: identity -> number."""


class RingDamage(Struct):
    """``received_ns``: of the last event before it, 0 = not known; ``position``: of the first event behind it."""

    received_ns: int = 0
    position: int | None = None


class Delivery:
    """``page``: the serializer's; ``readers``: all its rings. Finishes what a predecessor had decided."""

    def __init__(
        self,
        page: StatsPage,
        kafka: KafkaConfig,
        producer: KafkaProducer,
        readers: Sequence[Reader],
        spools: SpoolGenerations,
    ) -> None:
        self._page, self._cells = page, page.cells
        self._producer, self._readers, self._spools = producer, readers, spools
        self._redundant = [reader for reader in readers if isinstance(reader, RedundantReader)]
        self._topics = {spec.kind: topic_name(kafka, spec.name) for spec in SPECS}
        self._delivered = {spec.kind: page.index(f'delivered_total{{topic="{spec.name}"}}') for spec in SPECS}
        self._dead = {
            (reason, topic): (page.index(dead_letters(reason, word)), kind)
            for reason in SERIALIZER_REASONS
            for kind, word, topic in (*((s.kind, s.name, self._topics[s.kind]) for s in SPECS), (0, UNKNOWN, UNKNOWN))
        }
        self._letter_gaps = {spec.name: page.index(f'letter_gaps_total{{stream="{spec.name}"}}') for spec in SPECS}
        self._outstanding = page.index("outstanding")
        self._lost, self._lost_before = page.index("spool_lost_total"), 0
        self._seconds = Histogram(page, "delivery_seconds")
        self._latency = LatencySamples(page)
        self._queued: defaultdict[int, int] = defaultdict(int)
        """Kind -> messages in the client's queue."""
        self._polled: defaultdict[int, int] = defaultdict(int)
        """Kind -> records that are done with when what is queued has arrived, dead letters included."""
        self._produced = {spec.kind: page.index(f'produced_total{{topic="{spec.name}"}}') for spec in SPECS}
        self._last: dict[int, Record] = {}
        """Epoch -> the last record that was polled."""
        self._damages: dict[int, RingDamage] = {}
        """Epoch -> damage that was passed and whose gap is not committed yet."""
        self._unreadable: set[int] = set()
        """Epochs of rings that are left alone."""
        self._read_at = self._begun_at = 0
        """When we began to read what came last, and the first of what is queued (monotonic, ns); 0: nothing is."""
        self.queued_at = 0.0
        """When `produce` last ended (monotonic)."""
        self.partitioning = Partitioning(page, readers)
        self._queue: MessageQueue = (
            DirectQueue(producer, self.partitioning, self._topics, self._on_queued)
            if producer.is_direct
            else BatchQueue(producer, self.partitioning, self._topics, GAP, self._on_queued)
        )
        self._redo_log = RedoLog(page)
        self._redo()

    def _redo(self) -> None:
        """Our predecessor may have been killed between a decision and its deed, or between an append and its count."""
        entry = self._redo_log
        if entry.pending:
            if entry.deed == Deed.RINGS:
                heads = entry.targets
                for reader in self._readers:
                    reader.resume_at(heads.get(reader.epoch, 0))
            elif entry.deed == Deed.SPOOL:
                for identity, number in entry.targets.items():
                    self._spools.commit(identity, number)
            entry.end()
        if self._spools.appended < self._page["spool_next"]:
            self._page["spool_next"] = 0  # a spool that is new: the one before was emptied and removed
        self.count_spooled()

    def poll(self, reader: Reader, limit: int) -> list[Record]:
        """Up to ``limit`` records of a ring. Damage costs what lies between it and tail: it is counted, and a gap
        stands before the next event; a ring whose cursors are no cursors is left alone. Neither keeps other rings from
        being read."""
        try:
            records = reader.poll(limit)
        except SegmentError as error:
            self._pass_damage(reader, error)
            return []
        if records:
            if reader.epoch in self._damages:
                records = self._with_gap(reader, records)
            self._last[reader.epoch] = records[-1]
        return records

    def _pass_damage(self, reader: Reader, error: SegmentError) -> None:
        try:
            skipped = reader.skip_damage()
        except SegmentError:
            if reader.epoch not in self._unreadable:
                log.error("ring cannot be read any more, the others are", reason=str(error))
                self._unreadable.add(reader.epoch)
            return
        log.error("damage in a ring, what is in it is lost", reason=str(error), bytes=skipped)
        self._page["ring_damaged_bytes_total"] += skipped
        self._damages[reader.epoch] = damage = RingDamage()
        with contextlib.suppress(KeyError, DecodeError, ValueError):
            damage.received_ns = message_of(self._last[reader.epoch], reader.epoch).receive_time_ns

    def _with_gap(self, reader: Reader, records: list[Record]) -> list[Record]:
        """The records behind damage, with a gap before the first event, under that event's position; again when they
        are polled again."""
        damage = self._damages[reader.epoch]
        if damage.position is not None and damage.position < reader.head:
            del self._damages[reader.epoch]
            return records
        for number, (position, kind, _) in enumerate(records):
            if kind == GAP or damage.position not in (None, position):
                continue
            try:
                event = message_of(records[number], reader.epoch)
            except (DecodeError, ValueError):
                continue
            at_ns = event.receive_time_ns
            gap = begin(
                GapCause.DECODE, damage.received_ns or at_ns, at_ns, exchange=event.exchange,
                connection=event.connection, ended_ns=at_ns,
            )  # fmt: skip
            damage.position = position
            return [*records[:number], (position, GAP, encode(gap)), *records[number:]]
        return records

    def take(self, reader: Reader, limit: int) -> int:
        """Up to ``limit`` records of a ring, polled and built; how many. Damage: as in `poll`."""
        if not isinstance(reader, RingReader) or reader.epoch in self._damages:
            return self._poll_and_build(reader, limit)
        self._read_at = time.monotonic_ns()
        try:
            with self._sampled(reader.epoch):
                added = self._queue.add_ring(reader, limit)
        except SegmentError as error:
            self._pass_damage(reader, error)
            return 0
        if added is None:
            return self._poll_and_build(reader, limit)
        count, last, left = added
        if last is not None:
            self._last[reader.epoch] = last
        self._build_each(reader.epoch, left)
        return count

    def _poll_and_build(self, reader: Reader, limit: int) -> int:
        if records := self.poll(reader, limit):
            self.build(reader.epoch, records)
        return len(records)

    def build(self, epoch: int, records: list[Record]) -> None:
        """Make the records' messages and put them into the queue, in order."""
        self._read_at = time.monotonic_ns()
        with self._sampled(epoch):
            left = self._queue.add(epoch, records)
        self._build_each(epoch, left)

    @contextlib.contextmanager
    def _sampled(self, epoch: int) -> Iterator[None]:
        """What is queued meanwhile, where it is this ring's turn."""
        if not self._latency.is_due(epoch):
            yield
            return
        self._queue.sample()
        yield
        self._latency.remember(self._queue.take_samples())

    def _build_each(self, epoch: int, records: list[Record]) -> None:
        """Gaps, which learn their names here, and what cannot be a message."""
        for record in records:
            position, kind, payload = record
            try:
                value = message_of(record, epoch).SerializeToString()
            except (DecodeError, ValueError) as error:
                origin = f"{epoch}:{position}".encode()
                self._producer.dead_letter("encode", self._topics.get(kind, UNKNOWN), origin, payload, repr(error))
                self._polled[self._counted_as(kind)] += 1
                continue
            self._queue.add_message(kind, key_of(payload), value)

    def _counted_as(self, kind: int) -> int:
        """0: a record of no kind that we know, which becomes a dead letter."""
        return kind if kind in self._topics else 0

    def produce(self) -> int:
        """Queue what was built; how many messages."""
        self._read_at = time.monotonic_ns()
        self._queue.produce()
        self.queued_at = time.monotonic()
        count = sum(self._queued.values())
        self._cells[self._outstanding] = count
        return count

    def _on_queued(self, kind: int, count: int) -> None:
        self._begun_at = self._begun_at or self._read_at
        self._cells[self._produced[kind]] += count
        self._queued[kind] += count
        self._polled[kind] += count

    def send(self, records: Sequence[SpoolRecord], skipped: Sequence[SpoolRecord] = ()) -> None:
        """Build and queue records from the spool, behind nothing; those that are ``skipped`` have arrived already."""
        self._producer.rejoin()
        for _, _, kind, _ in skipped:
            self._polled[self._counted_as(kind)] += 1
        counts = self.partitioning.for_spooled(self._spools.partitions)
        self._spools.keep_partitions(counts)
        with self.partitioning.under(counts):
            for epoch, run in groupby(records, itemgetter(0)):
                self.build(epoch, [record[1:] for record in run])
            self.produce()

    def arrived(self, seconds: float) -> bool:
        """Whether all that was queued is acknowledged or a dead letter that is; waits as long for it."""
        if not self._producer.flush(seconds):
            return False
        if count := sum(self._queued.values()):
            self._seconds.observe(time.monotonic_ns() - self._begun_at, count)
            self._producer.acknowledged()
            self._latency.arrived(time.time_ns())
        self._queued.clear()
        self._begun_at = 0
        self._cells[self._outstanding] = 0
        return True

    @property
    def is_refused(self) -> bool:
        """The broker refused what was sent last."""
        return self._producer.is_refused

    @property
    def trouble(self) -> str:
        """Why the broker does not acknowledge, in words."""
        return self._producer.trouble

    def forget(self) -> None:
        """The client was replaced: nothing is queued, and what was polled is polled again."""
        self._queue.clear()
        self._polled.clear()
        self._queued.clear()
        self._latency.forget()
        self._begun_at = 0
        self._cells[self._outstanding] = 0
        self.partitioning.wait()

    def commit_rings(self, readers: Iterable[Reader]) -> None:
        """All that was polled of these has arrived: count it and move their heads, as one."""
        copies: Counter[int] = Counter()
        for redundant in self._redundant:
            copies += redundant.count_copies()
        moved = [reader for reader in readers if reader.position != reader.head]
        for redundant in self._redundant:
            redundant.store_watermarks()
        heads = {reader.epoch: reader.position for reader in moved}
        self._redo_log.begin(self._account() | copies, deed=Deed.RINGS, targets=heads)
        for reader in moved:
            reader.commit(reader.position)
        self._redo_log.end()
        if not self._spools.records and self.partitioning.use_learned():
            self._producer.renew()

    def commit_spool(self) -> None:
        """The same for all that was polled from the spool."""
        identity, number = self._spools.polled_to
        account, lost = self._account(), self._spools.lost_records
        account[self._lost] = lost - self._lost_before
        self._lost_before = lost
        self._redo_log.begin(account, deed=Deed.SPOOL, targets={identity: number})
        self._spools.commit(identity, number)
        self._redo_log.end()

    def count_spooled(self) -> None:
        """What was appended to the spool since it was counted. Before a head moves: what a ring does not show any more,
        ``spool_records`` shows."""
        page, appended = self._page, self._spools.appended
        page["spool_records"] = self._spools.records
        if count := appended - page["spool_next"]:
            self._redo_log.record({page.index("spooled_total"): count}, {page.index("spool_next"): appended})

    def leave_to_spool(self) -> None:
        """What is queued stays queued, but it is in the rings or on the spool, and counts when it leaves them."""
        self._polled.clear()
        self.partitioning.wait()

    def _account(self) -> dict[int, int]:
        """Cell -> by how much it grows for what was polled."""
        polled, dead = self._polled, self._producer.dead
        account: dict[int, int] = {}
        for key in list(dead):
            cell, kind = self._dead[key]
            # of one that is on the spool the letter may be sent before the record is polled
            if count := min(dead[key], polled[kind]):
                account[cell] = count
                polled[kind] -= count
                dead[key] -= count
                if not dead[key]:
                    del dead[key]
        account |= {self._delivered[kind]: count for kind, count in polled.items() if count}
        account |= {self._letter_gaps[stream]: count for stream, count in self._producer.letter_gaps.items()}
        self._producer.letter_gaps.clear()
        polled.clear()
        return account
