"""The serializer role: rings -> Kafka.

Guarantees: a ring's head moves only over records that the broker has acknowledged (acks=all, idempotent) or that went
to the dead-letter topic; a restart begins at head and writes each partition in ring order, so a consumer can drop what
it has seen by (epoch, position). Nothing is lost by a kill: what was not acknowledged is still in the ring.

How: stop and wait. One cycle reads a bounded batch from every ring, produces it, and waits until nothing is
outstanding; then all heads move. "Everything below head is acknowledged" needs no bookkeeping per message. The first
record of a quiet ring goes at once. Meanwhile others gather, for ``linger.ms`` at least unless a batch was full, and it
sleeps: one look at the end finds most acknowledgements, where each by itself would wake it. So latency is low when
quiet, throughput high when busy, and between the two each cycle carries several records. The client's own linger is 0.

What is counted as delivered and the heads (or the spool's checkpoint) move as one, whatever is killed between them
(`wsadapter.shm.redo_log`): each record is counted once.

While the broker does not acknowledge, records go to the spool on disk and from there to the broker, in order
(`wsadapter.roles.serializer.spooling` has the rules). The rings overflow only when the spool is full too.

Owns the read side of its rings, its spool and its stats page.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from google.protobuf.message import DecodeError

from wsadapter.errors import ServiceUnavailable
from wsadapter.events.records import Record, key_of, message_of, messages
from wsadapter.events.streams import BY_KIND, BY_STREAM, SPECS
from wsadapter.executor import DaemonExecutor
from wsadapter.kafka.settings import LINGER_MS
from wsadapter.kafka.topics import ensure_topics, message_limit, topic_name
from wsadapter.log import get_logger
from wsadapter.metrics import SERIALIZER_REASONS, UNKNOWN, dead_letters
from wsadapter.roles.serializer.producer import KafkaProducer
from wsadapter.roles.serializer.redundant_reader import RedundantReader
from wsadapter.roles.serializer.spool_generations import SpoolGenerations
from wsadapter.roles.serializer.spool_segment import Record as SpoolRecord
from wsadapter.roles.serializer.spooling import Mode, Spooling
from wsadapter.shm.redo_log import RedoLog
from wsadapter.shm.ring import RingReader
from wsadapter.shm.stats_page import Histogram
from wsadapter.supervision.child import Child

BATCH_RECORDS: Final = 8_192
"""Records of one ring in one cycle."""
BATCH_BYTES: Final = 64 << 20
FEW_RECORDS: Final = 16
"""Bytes of all rings in one cycle; of the rings behind those that have filled it a few records. With what one ring may
add beyond it the batch is smaller than the client's queue."""
LONGEST_LINGER: Final = 0.5
"""Seconds from one batch to the next; the supervisor wants a sign of life every second."""
DELIVERY_WAIT: Final = 0.05
SPOOL_WAIT: Final = 0.02
"""Seconds until it is looked at again whether acknowledgements are overdue, and what the rings need."""
GAP: Final = BY_STREAM["gap"].kind
"""A gap's name is the identity of its first record, which its writer did not know."""
Reader = RingReader | RedundantReader
Batches = dict[int, list[dict[str, Any]]]
"""Kind -> messages for `Producer.produce_batch`."""

log = get_logger()


class Serializer:
    """Moves records from its rings to the broker, cycle by cycle; the `Outlet` of its spool."""

    def __init__(self, child: Child, outbox: KafkaProducer, readers: list[Reader], spools: SpoolGenerations) -> None:
        page, kafka = child.page, child.args.config.kafka
        self._child, self._outbox, self._readers, self._spools = child, outbox, readers, spools
        self._page, self._cells = page, page.cells
        self._topics = {spec.kind: topic_name(kafka, spec.name) for spec in SPECS}
        self._delivered = {spec.kind: page.index(f'delivered_total{{topic="{spec.name}"}}') for spec in SPECS}
        self._outstanding = page.index("outstanding")
        self._delivery = Histogram(page, "delivery_seconds")
        self._queued: dict[int, int] = {}
        """Kind -> messages in the client's queue."""
        self._polled: defaultdict[int, int] = defaultdict(int)
        """Kind -> records that are done with when what is queued is settled, dead letters included."""
        self._journal = RedoLog(page)
        self._replaying = page.index("replayed_spool"), page.index("replayed_to")
        self._dead = {
            (reason, topic): (page.index(dead_letters(reason, word)), kind)
            for reason in SERIALIZER_REASONS
            for kind, word, topic in (*((s.kind, s.name, self._topics[s.kind]) for s in SPECS), (0, UNKNOWN, UNKNOWN))
        }
        self._begun_at = 0
        self._queued_at = 0.0
        self._lost, self._lost_before = page.index("spool_lost_total"), 0
        self._linger = min(LONGEST_LINGER, float(kafka.producer.get("linger.ms", LINGER_MS)) / 1000)
        self._batches: Batches = {kind: [] for kind in BY_KIND}
        self._plain = {kind: batch for kind, batch in self._batches.items() if kind != GAP}
        self._lines = [
            (s.kind, self._batches[s.kind], self._topics[s.kind], page.index(f'produced_total{{topic="{s.name}"}}'))
            for s in SPECS
        ]
        """What `_produce` needs of each kind."""
        self._twins = [reader for reader in readers if isinstance(reader, RedundantReader)]
        self._topics_made = _make_topics(child)
        self._is_held_back = self._is_fitted = False
        self._complete()
        self.spooling = Spooling(spools, readers, self)

    def cycle(self) -> bool:
        """One step; False when there was nothing to do."""
        if self.spooling.mode is Mode.DIRECT:
            return self._deliver()
        moved = self.spooling.turn(SPOOL_WAIT)
        if self.spooling.mode is Mode.SPOOLING:
            self._outbox.away()
        self._count_spool()
        return moved

    def _deliver(self) -> bool:
        """One batch of every ring; False when there was nothing to read, or the deadline came first."""
        self._outbox.rejoin()
        linger = 0.0 if self._child.stopping else self._linger
        room = BATCH_BYTES
        for reader in self._readers:
            before = reader.position
            if records := reader.poll(BATCH_RECORDS if room > 0 else FEW_RECORDS):
                self._build(reader.epoch, records)
                if len(records) == BATCH_RECORDS or room <= 0:
                    linger = 0.0
            room -= reader.position - before
        moved = [reader for reader in self._readers if reader.position != reader.head]
        if not self._produce() and not len(self._outbox.producer):
            self._pass_rings(moved)  # dead letters of long ago, and copies
            return bool(moved)
        if (left := self._queued_at + linger - time.monotonic()) > 0:
            self._child.wait([], left)
        while not self.settled(DELIVERY_WAIT):
            child = self._child
            child.beat()
            if self.spooling.overdue(self._queued_at):
                self._polled.clear()  # they are still in the rings, and count when they leave them or the spool
                self._count_spool()
                return True
            if child.stopping and time.monotonic() > child.deadline - 1.0:
                self._outbox.abandon()
                return False
        self._pass_rings(moved)
        return True

    def _pass_rings(self, readers: Iterable[Reader]) -> None:
        """All that was polled is delivered or disposed of: count it and move the heads, as one."""
        copies: Counter[int] = Counter()
        for twin in self._twins:
            copies += twin.take_copies()
        if self._polled or copies:
            for reader in readers:
                reader.intend()
            self._journal.begin(self._account() | copies, {self._replaying[0]: 0})
        for reader in readers:
            reader.commit(reader.position)
        self._journal.end()

    def passed(self) -> None:
        """The same for what came from the spool."""
        identity, number = self._spools.mark
        account, lost = self._account(), self._spools.lost_records
        account[self._lost] = lost - self._lost_before
        self._lost_before = lost
        # before the journal says that they count
        self._cells[self._replaying[0]], self._cells[self._replaying[1]] = identity, number
        self._journal.begin(account)
        self._spools.commit()
        self._journal.end()

    def spooled(self, count: int) -> None:
        page, appended = self._page, self._spools.appended
        if page["spool_next"] != appended:
            self._journal.record({page.index("spooled_total"): count}, {page.index("spool_next"): appended})

    def _complete(self) -> None:
        """Our predecessor may have been killed between a decision and its deed, or between an append and its count."""
        page, (spool, number) = self._page, self._replaying
        if self._journal.pending:
            if self._cells[spool]:
                self._spools.complete(self._cells[spool], self._cells[number])
            else:
                for reader in self._readers:
                    reader.complete()
            self._journal.end()
        for reader in self._readers:
            reader.intend()  # nothing: what was intended and not decided must not be found by another life
        self.spooled(max(0, self._spools.appended - page["spool_next"]))

    def _account(self) -> dict[int, int]:
        """Cell -> by how much it grows for what was polled."""
        polled, dead = self._polled, self._outbox.dead
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
        polled.clear()
        return account

    def ready(self) -> bool:
        """The topics are there, and no other serializer has to replay an earlier run's records first."""
        if not self._topics_made.done():
            return False
        if self._spools.held_back:
            if not self._is_held_back:
                self._is_held_back = True
                log.info("waits for serializer 0 to replay an earlier run's spool", generation=self._spools.awaited)
            return False
        if not self._is_fitted:
            self._is_fitted = True
            self._outbox.fit(self._topics_made.result())
        return True

    def send(self, records: Sequence[SpoolRecord], skipped: Sequence[SpoolRecord] = ()) -> None:
        """Build and queue records from the spool."""
        for _, _, kind, _ in skipped:
            self._polled[kind] += 1
        for epoch, run in groupby(records, itemgetter(0)):
            self._build(epoch, [record[1:] for record in run])
        self._produce()

    def settled(self, seconds: float) -> bool:
        """Whether all that was queued is delivered or disposed of."""
        if not self._outbox.flush(seconds):
            return False
        self._delivery.observe(time.monotonic_ns() - self._begun_at, sum(self._queued.values()))
        self._queued.clear()
        self._cells[self._outstanding] = 0
        return True

    def drained(self) -> bool:
        """Nothing is left that could be delivered."""
        left = self._spools.records or len(self._outbox.producer)
        return not left and all(reader.head == reader.tail for reader in self._readers)

    def keep(self) -> None:
        """At the end: what could not be delivered goes to the spool, as far as it has room."""
        if self.spooling.mode is not Mode.DIRECT:
            while self.spooling.take():
                pass
            self._outbox.abandon()
            self._count_spool()
            if records := self._spools.records:
                log.warning("records are kept on the spool for the next start", records=records)
        self._spools.close()

    def _build(self, epoch: int, records: list[Record]) -> None:
        """Append the records' messages to the batches of their kinds, in order."""
        for record in messages(records, epoch, self._plain):
            position, kind, payload = record
            try:
                value = message_of(record, epoch).SerializeToString()
            except (DecodeError, ValueError) as error:
                origin = f"{epoch}:{position}".encode()
                self._outbox.dead_letter("encode", self._topics.get(kind, UNKNOWN), origin, payload, repr(error))
                self._polled[kind if kind in self._topics else 0] += 1
                continue
            self._batches[kind].append({"key": key_of(payload), "value": value})

    def _produce(self) -> int:
        """Queue what was built; how many messages."""
        self._begun_at = time.monotonic_ns()
        for kind, batch, topic, produced in self._lines:
            if batch:
                self._outbox.send(topic, batch)
                count = len(batch)
                self._cells[produced] += count
                self._queued[kind] = count
                self._polled[kind] += count
                batch.clear()
        self._queued_at = time.monotonic()
        count = sum(self._queued.values())
        self._cells[self._outstanding] = count
        return count

    def _count_spool(self) -> None:
        page, spools = self._page, self._spools
        page["spool_bytes"], page["spool_records"] = spools.size, spools.records


def _make_topics(child: Child) -> Future[int | None]:
    """Done when the topics are there, with what they take at most; the broker may be away for as long as it likes."""
    kafka, pause = child.args.config.kafka, threading.Event()

    def make() -> int | None:
        while True:
            try:
                ensure_topics(kafka, 2.0)
                return message_limit(kafka, 2.0)
            except ServiceUnavailable as error:
                log.warning("no broker yet, ring and spool hold what comes", error=str(error))
                pause.wait(1.0)

    return DaemonExecutor(1, "topics").call(make)
