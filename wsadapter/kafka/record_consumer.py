"""A consumer of librdkafka whose messages stay where the library has them: no Python object is made of one in passing.

It is a client of our own (`wsadapter.kafka.native_client`, `wsadapter/native/consumer.c`). `RecordConsumer` has those
methods of `confluent_kafka.Consumer` that the reader and the consumer role need, with the same meaning, and `take`
instead of `consume`. What `take` gives is decoded or framed in C, in place; a message that Python looks at is a
`FetchedMessage`, with the methods of `confluent_kafka.Message`.

Owns the client, its threads and its queue, until it is closed and all messages that were taken are gone. One thread
uses it; another one may `close` it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from wsadapter import native
from wsadapter.kafka.confluent_consumer import ConfluentConsumer
from wsadapter.kafka.native_client import AVAILABLE, NativeClient
from wsadapter.kafka.runs import Run

_NO_OFFSET: Final = -1001
_ASSIGN: Final = KafkaError._ASSIGN_PARTITIONS


class FetchedMessage(Struct, frozen=True):
    """A message that somebody looks at."""

    topic_name: str
    partition_number: int
    offset_number: int
    at_ms: int
    key_bytes: bytes | None
    value_bytes: bytes | None

    def topic(self) -> str:
        return self.topic_name

    def partition(self) -> int:
        return self.partition_number

    def offset(self) -> int:
        return self.offset_number

    def timestamp(self) -> tuple[int, int]:
        return 1, self.at_ms

    def key(self) -> bytes | None:
        return self.key_bytes

    def value(self) -> bytes | None:
        return self.value_bytes


class FailedFetch(Struct, frozen=True):
    """What librdkafka gives in the place of a message; no topic: it is about the client."""

    problem: KafkaError
    topic_name: str | None
    partition_number: int

    def error(self) -> KafkaError:
        return self.problem

    def topic(self) -> str | None:
        return self.topic_name

    def partition(self) -> int:
        return self.partition_number


class Place(Struct, frozen=True):
    """With the names of `confluent_kafka.TopicPartition`."""

    topic: str
    partition: int
    offset: int
    metadata: str | None
    error: KafkaError | None


Placed = TopicPartition | Place
Rebalanced = Callable[["RecordConsumer", list[Place]], None]


class RecordConsumer(NativeClient):
    """``settings``: as `confluent_kafka.Consumer` takes them, callbacks included."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._on: dict[str, Rebalanced | None] = {}
        super().__init__(
            settings,
            ("on_commit", "stats_cb"),
            lambda passed: native.extension.Consumer(passed, FetchedMessage, self._on_rebalance),
        )

    # Messages.

    def take(
        self, most: int, seconds: float, wanted: Mapping[bytes | None, bool] | None = None
    ) -> tuple[list[Run], list[FailedFetch]]:
        """Wait until so many messages are there, or so long; serves every callback. ``wanted``: of which keys."""
        runs, failed = self._client.take(most, seconds, wanted)
        self._tell()
        return [*map(Run._make, runs)], [
            FailedFetch(KafkaError(code, text), *where) for code, text, *where in failed
        ] if failed else []

    def close(self) -> None:
        """Leave the group. Messages that were taken stay what they are."""
        try:
            _check(self._client.close())
            self._tell()
        finally:
            self._on.clear()
            self._callbacks = dict.fromkeys(self._callbacks)

    # Partitions.

    def subscribe(
        self, topics: list[str], on_assign: Rebalanced, on_revoke: Rebalanced, on_lost: Rebalanced | None = None
    ) -> None:
        self._on = {"assign": on_assign, "revoke": on_revoke, "lost": on_lost or on_revoke}
        self._checked(self._client.subscribe([(topic, -1, _NO_OFFSET, None) for topic in topics]))

    def assign(self, places: Sequence[Placed]) -> None:
        self._checked(self._client.assign(_tuples(places)))

    def incremental_assign(self, places: Sequence[Placed]) -> None:
        self._checked(self._client.incremental_assign(_tuples(places)))

    def incremental_unassign(self, places: Sequence[Placed]) -> None:
        self._checked(self._client.incremental_unassign(_tuples(places)))

    def pause(self, places: Sequence[Placed]) -> None:
        self._checked(self._client.pause(_tuples(places)))

    def resume(self, places: Sequence[Placed]) -> None:
        self._checked(self._client.resume(_tuples(places)))

    def assignment(self) -> list[Place]:
        return self._answered(self._client.assignment())

    # Offsets.

    def offsets_for_times(self, places: Sequence[Placed], timeout: float) -> list[Place]:
        return self._answered(self._client.offsets_for_times(_tuples(places), timeout))

    def committed(self, places: Sequence[Placed], timeout: float) -> list[Place]:
        return self._answered(self._client.committed(_tuples(places), timeout))

    def commit(self, offsets: Sequence[Placed], asynchronous: bool) -> None:
        """What became of it is told to ``on_commit``, too."""
        self._answered(self._client.commit(_tuples(offsets), 0.0 if asynchronous else 1.0))

    def get_watermark_offsets(self, place: Placed, cached: bool = True) -> tuple[int, int] | None:
        """As of the last fetch; None: not known."""
        code, low, high = self._client.watermarks(place.topic, place.partition)
        return None if code else (low, high)

    # What is told.

    def _on_rebalance(self, code: int, places: list[Any], is_lost: int) -> None:
        self._tell()  # of commits, for instance, that were answered before
        word = "assign" if code == _ASSIGN else "lost" if is_lost else "revoke"
        if (on := self._on.get(word)) is not None:
            on(self, _places(places))

    def _on_commit(self, code: int, places: list[Any]) -> None:
        if (on_commit := self._callbacks["on_commit"]) is not None:
            on_commit(KafkaError(code) if code else None, _places(places))

    def _on_stats(self, text: bytes) -> None:
        if (on_statistics := self._callbacks["stats_cb"]) is not None:
            on_statistics(text)

    def _answered(self, answer: tuple[int, list[Any]]) -> list[Place]:
        code, places = answer
        self._checked(code)
        return _places(places)

    def _checked(self, code: int) -> None:
        if code == KafkaError._FATAL:
            raise KafkaException(KafkaError(code, self._client.fatal()[1]))
        _check(code)


def new_consumer(settings: Mapping[str, Any]) -> RecordConsumer | ConfluentConsumer:
    return RecordConsumer(settings) if AVAILABLE else ConfluentConsumer(dict(settings))


def _check(code: int) -> None:
    if code:
        raise KafkaException(KafkaError(code))


def _tuples(places: Sequence[Placed]) -> list[tuple[str, int, int, str | None]]:
    return [(place.topic, place.partition, place.offset, place.metadata) for place in places]


def _places(places: list[Any]) -> list[Place]:
    return [
        Place(topic, partition, offset, metadata, KafkaError(code) if code else None)
        for topic, partition, offset, metadata, code in places
    ]
