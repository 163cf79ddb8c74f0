"""The serializer role: rings -> Kafka.

Guarantees: a ring's head moves only over records that the broker has acknowledged (acks=all, idempotent) or that went
to the dead-letter topic; a restart begins at head and writes each partition in ring order, so a consumer can drop what
it has seen by (epoch, position). Nothing is lost by a kill: what was not acknowledged is still in the ring.

How: stop and wait. One cycle reads a bounded batch from every ring, produces it, and waits until nothing is
outstanding; then all heads move. "Everything below head is acknowledged" needs no bookkeeping per message. The first
record of a quiet ring goes at once. Meanwhile others gather, for ``linger.ms`` at least unless a batch was full, and it
sleeps: one check at the end finds most acknowledgements, where each by itself would wake it. So latency is low when
quiet, throughput high when busy, and between the two each cycle carries several records. The client's own linger is 0.

What is counted as delivered and the heads (or the spool's checkpoint) move as one, whatever is killed between them
(`wsadapter.roles.serializer.delivery` has the argument): each record is counted once.

While the broker does not acknowledge, records go to the spool on disk and from there to the broker, in order
(`wsadapter.roles.serializer.spooling` has the rules). The rings overflow only when the spool is full too.

One way down: serializer -> spooling -> delivery -> producer; none knows who calls it.

Owns the read side of its rings, its spool and its stats page.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple

from wsadapter.errors import Reason, ServiceUnavailable
from wsadapter.events.streams import SPECS
from wsadapter.executor import DaemonExecutor
from wsadapter.kafka.partition_watch import PartitionWatch
from wsadapter.kafka.settings import LINGER_MS
from wsadapter.kafka.topics import ensure_topics, message_limit, partition_counts, topic_name
from wsadapter.log import Repeated, get_logger
from wsadapter.metrics import RINGS_AT_ONCE
from wsadapter.roles.serializer.delivery import Delivery, Reader
from wsadapter.roles.serializer.producer import DeliveryFailed, KafkaProducer
from wsadapter.roles.serializer.spool_generations import SpoolGenerations
from wsadapter.roles.serializer.spooling import SAY_AGAIN, Mode, Spooling
from wsadapter.supervision.child import Child

BATCH_RECORDS: Final = 8_192
"""Records of one ring in one cycle."""
BATCH_BYTES: Final = 64 << 20
"""Of all rings in one cycle. With what one ring may add beyond it the batch is smaller than the client's queue."""
FIRST_RECORDS: Final = 256
"""The first of a ring for a broker that has just been started: all that has gathered would keep it busy for long."""
FEW_RECORDS: Final = 16
"""Of the rings behind those that have filled the bytes of a cycle."""
LONGEST_LINGER: Final = 0.5
"""Seconds from one batch to the next; the supervisor wants a sign of life every second."""
DELIVERY_WAIT: Final = 0.05
SPOOL_WAIT: Final = 0.02
"""Seconds until it is checked again whether acknowledgements are overdue, and what the rings need."""

log = get_logger()


class Topics(NamedTuple):
    """``partitions``: topic -> how many. ``largest_message``: bytes, None when the broker does not say."""

    partitions: Mapping[str, int]
    largest_message: int | None


class Serializer:
    """Moves records from its rings to the broker, cycle by cycle."""

    def __init__(self, child: Child, producer: KafkaProducer, readers: list[Reader], spools: SpoolGenerations) -> None:
        kafka = self._kafka = child.args.config.kafka
        self._child, self._producer, self._readers, self._spools = child, producer, readers, spools
        self._groups = [readers[first : first + RINGS_AT_ONCE] for first in range(0, len(readers), RINGS_AT_ONCE)]
        """Rings that are delivered and committed together."""
        self._linger = min(LONGEST_LINGER, float(kafka.producer.get("linger.ms", LINGER_MS)) / 1000)
        self._executor = DaemonExecutor(1, "topics")
        self._partitions = PartitionWatch(kafka, self._executor)
        self._was_awaited = child.is_awaited("kafka")
        """The broker is one that is started with us; until it has acknowledged something."""
        self._reason = Reason.UNKNOWN
        """Why the topics are not there yet."""
        self._topics_created: Future[Topics] | None = None
        self._is_held_back = self._is_fitted = False
        self._delivery = Delivery(child.page, kafka, producer, readers, spools)
        self.spooling = Spooling(spools, readers, self._delivery, is_awaited=self._is_new)

    def cycle(self) -> bool:
        """One step; False when there was nothing to do."""
        try:
            return self._step()
        except DeliveryFailed as failure:
            if failure.topic_missing:
                self._topics_created, self._is_fitted = self._executor.call(self._create_topics), False
            self._delivery.forget()
            self.spooling.begin_again()
            self._count_spool()
            return True

    def _step(self) -> bool:
        if self.spooling.mode is Mode.DIRECT:
            moved = False
            for group in self._groups:
                moved = self._deliver(group) or moved
            return moved
        moved = self.spooling.step(SPOOL_WAIT, self.is_ready())
        if self.spooling.mode is Mode.SPOOLING:
            self._producer.away(self._reason)
        self._count_spool()
        return moved

    def _deliver(self, readers: Sequence[Reader]) -> bool:
        """One batch of each of these rings; False when there was nothing to read, or the deadline came first."""
        if self.spooling.mode is not Mode.DIRECT:  # since the group before
            return True
        self._producer.rejoin()
        if counts := self._partitions.counts():
            self._learn_partitions(counts)
        delivery = self._delivery
        linger = 0.0 if self._child.stopping else self._linger
        room = BATCH_BYTES
        most = FIRST_RECORDS if self._was_awaited else BATCH_RECORDS
        for reader in readers:
            before = reader.position
            if (count := delivery.take(reader, most if room > 0 else FEW_RECORDS)) and (count == most or room <= 0):
                linger = 0.0
            room -= reader.position - before
        moved = [reader for reader in readers if reader.position != reader.head]
        if not delivery.produce() and not len(self._producer.producer):
            if moved:
                delivery.commit_rings(moved)  # dead letters of long ago, and copies
            return bool(moved)
        if (remaining := delivery.queued_at + linger - time.monotonic()) > 0:
            self._child.wait([], remaining)
        while not delivery.arrived(DELIVERY_WAIT):
            child = self._child
            child.beat()
            if self.spooling.overdue(delivery.queued_at):
                self._count_spool()
                return True
            if child.stopping and time.monotonic() > child.deadline - 1.0:
                self._producer.abandon()
                return False
        delivery.commit_rings(moved)
        if moved:  # else the client had nothing but an error to tell
            self._was_awaited = False
        return bool(moved)

    def _is_new(self) -> bool:
        """The broker is one that is started with us and has not acknowledged anything yet, nor is it late."""
        self._was_awaited = self._was_awaited and self._child.is_new("kafka")
        return self._was_awaited

    def is_ready(self) -> bool:
        """The topics are there, the broker is not refusing what we send, and no other serializer has to replay an
        earlier run's records first."""
        if self._topics_created is None and not self._child.is_awaited("kafka"):
            if self._was_awaited:
                self._producer.renew()  # one that waits between its attempts to connect would come later
            self._topics_created = self._executor.call(self._create_topics)
        if self._topics_created is None or not self._topics_created.done() or not self._producer.is_ready:
            return False
        if self._spools.held_back:
            if not self._is_held_back:
                self._is_held_back = True
                log.info("waits for serializer 0 to replay an earlier run's spool", generation=self._spools.awaited)
            return False
        if not self._is_fitted:
            self._is_fitted = True
            topics = self._topics_created.result()
            self._producer.fit(topics.largest_message)
            self._partitions = PartitionWatch(
                self._kafka, self._executor
            )  # what was asked for before is of other topics
            self._learn_partitions(topics.partitions)
        return True

    def _learn_partitions(self, counts: Mapping[str, int]) -> None:
        names = {topic_name(self._kafka, spec.name): spec.kind for spec in SPECS}
        self._delivery.partitioning.learn({names[name]: n for name, n in counts.items() if n and name in names})

    def drained(self) -> bool:
        """Nothing is left that could be delivered."""
        remaining = self._spools.records or len(self._producer.producer)
        return not remaining and all(reader.head == reader.tail for reader in self._readers)

    @property
    def is_locked_out(self) -> bool:
        """The broker does not take our login, and nothing else is going to change it: whoever comes next has another
        one, and delivers what is kept."""
        page = self._child.page
        refused = not page["broker_up"] and page["broker_reason"] == Reason.AUTHENTICATION
        return refused and self.spooling.mode is Mode.SPOOLING

    def keep(self) -> None:
        """At the end: what could not be delivered goes to the spool, as far as it has room."""
        if self.spooling.mode is not Mode.DIRECT:
            while self.spooling.spool():
                pass
            self._producer.abandon()
            self._count_spool()
            if records := self._spools.records:
                log.warning("records are kept on the spool for the next start", records=records)
        self._spools.close()

    def _count_spool(self) -> None:
        page, spools = self._child.page, self._spools
        page["spool_bytes"], page["spool_records"] = spools.size, spools.records

    def _create_topics(self) -> Topics:
        """Returns when the topics are there; the broker may be away as long as it likes. In a thread of its own."""
        pause, said = threading.Event(), Repeated(SAY_AGAIN)
        while True:
            try:
                ensure_topics(self._kafka, 2.0)
                topics = Topics(partition_counts(self._kafka, 2.0), message_limit(self._kafka, 2.0))
                self._reason = Reason.UNKNOWN
                return topics
            except ServiceUnavailable as error:
                self._reason = error.reason
                if (repeated := said(error.reason)) is not None:
                    log.warning("no broker yet, ring and spool hold what comes", error=str(error), repeated=repeated)
                pause.wait(1.0)
