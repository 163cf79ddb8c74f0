"""How records become messages in the client's queue: one interface, two ways.

`DirectQueue`: in C, from the ring's memory or from records that were polled (`wsadapter.kafka.record_producer`).
`BatchQueue`: through confluent-kafka, an object a message; for an installation without the extension. Both put the same
bytes into the same partitions, in the same order per partition.

Guarantees: what is counted with ``on_queued`` (kind, how many) was handed to the client, or became a dead letter of
ours on the way because the client finds it too large.

Owns what is built and not handed over yet.
"""

from array import array
from collections.abc import Callable, Mapping
from mmap import mmap
from typing import Any, Final, Protocol

from wsadapter.events.records import Record, messages
from wsadapter.roles.serializer.partitioning import Partitioning
from wsadapter.roles.serializer.producer import KafkaProducer
from wsadapter.shm.ring import RingReader, Scanned

Sample = tuple[int, bytes]
"""(kind, value)"""
OnQueued = Callable[[int, int], None]


class MessageQueue(Protocol):
    def add(self, epoch: int, records: list[Record]) -> list[Record]:
        """Records of a ring, in order; returns those that are none, or a gap's. `DeliveryFailed`."""

    def add_ring(self, reader: RingReader, limit: int) -> tuple[int, Record | None, list[Record]] | None:
        """Up to ``limit`` records behind the reader's cursor, which moves: how many, the last of them, and what `add`
        returns. None: only by way of `add`. `SegmentError`, `DeliveryFailed`."""

    def add_message(self, kind: int, key: bytes, value: bytes) -> None:
        """One that is made already. `DeliveryFailed`."""

    def sample(self) -> None:
        """From now on remember the first message of each kind that `add` and `add_ring` make."""

    def take_samples(self) -> list[Sample]:
        """These; no more are remembered."""

    def produce(self) -> None:
        """Hand over what was added and is not the client's yet. `DeliveryFailed`."""

    def clear(self) -> None:
        """Forget it."""


class BatchQueue:
    """``topics``: kind -> topic; ``by_hand``: the kind whose messages come by `add_message` only."""

    def __init__(
        self, producer: KafkaProducer, partitioning: Partitioning, topics: Mapping[int, str], by_hand: int,
        on_queued: OnQueued,
    ) -> None:  # fmt: skip
        self._producer, self._partitioning, self._on_queued = producer, partitioning, on_queued
        self._batches: dict[int, list[dict[str, Any]]] = {kind: [] for kind in topics}
        self._plain = {kind: batch for kind, batch in self._batches.items() if kind != by_hand}
        self._lines = [(kind, batch, topics[kind]) for kind, batch in self._batches.items()]
        self._before: dict[int, int] = {}
        """Kind -> messages when `sample` was called."""

    def add(self, epoch: int, records: list[Record]) -> list[Record]:
        return messages(records, epoch, self._plain)

    def add_ring(self, reader: RingReader, limit: int) -> None:
        return None

    def add_message(self, kind: int, key: bytes, value: bytes) -> None:
        self._batches[kind].append({"key": key, "value": value})

    def sample(self) -> None:
        self._before = {kind: len(batch) for kind, batch in self._plain.items()}

    def take_samples(self) -> list[Sample]:
        before, self._before = self._before, {}
        return [(kind, batch[n]["value"]) for kind, n in before.items() if len(batch := self._plain[kind]) > n]

    def produce(self) -> None:
        for kind, batch, topic in self._lines:
            if batch:
                for partition, part in self._partitioning.split(kind, batch):
                    self._producer.send(topic, part, partition)
                self._on_queued(kind, len(batch))
                batch.clear()

    def clear(self) -> None:
        for batch in self._batches.values():
            batch.clear()


class DirectQueue:
    """Nothing waits here: what is added is the client's at once."""

    def __init__(
        self, producer: KafkaProducer, partitioning: Partitioning, topics: Mapping[int, str], on_queued: OnQueued
    ) -> None:
        self._producer, self._partitioning, self._topics = producer, partitioning, topics
        self._on_queued: Final = on_queued

    def add(self, epoch: int, records: list[Record]) -> list[Record]:
        left = self._producer.direct.put(records, epoch, self._counts)
        self._count()
        return left

    def add_ring(self, reader: RingReader, limit: int) -> tuple[int, Record | None, list[Record]]:
        left: list[Record] = []
        last: Record | None = None

        def scan(mapping: mmap, at: int, stop: int, most: int, lap: int) -> Scanned:
            nonlocal last
            *where, found = self._producer.direct.put_ring(
                mapping, at, stop, most, lap, reader.epoch, self._counts, left
            )
            self._count()
            last = found or last
            return where[0], where[1], where[2], where[3]

        return reader.walk(limit, scan), last, left

    def add_message(self, kind: int, key: bytes, value: bytes) -> None:
        partition = self._partitioning.partition(kind, key)
        self._producer.send(self._topics[kind], [{"key": key, "value": value}], partition)
        self._on_queued(kind, 1)

    def sample(self) -> None:
        self._producer.direct.sample()

    def take_samples(self) -> list[Sample]:
        return self._producer.direct.take_samples()

    def produce(self) -> None:
        """It is done."""

    def clear(self) -> None:
        """The client that had it is given up."""

    @property
    def _counts(self) -> "array[int]":
        return self._partitioning.counts

    def _count(self) -> None:
        for kind, count in self._producer.direct.take_counts().items():
            self._on_queued(kind, count)
        self._producer.pass_refused()
