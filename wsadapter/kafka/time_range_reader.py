"""Looking up in Kafka what came around a time: a few topics, from a little before to a little after, step by step.

Reads with a client of its own that belongs to no group; each step is short, so that its role's heart beats on. Bounded
by the logs' ends as they were at the beginning and by `HORIZON_MS` after the time in question.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from wsadapter.config.load import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.kafka.settings import lookup_config
from wsadapter.kafka.topics import partition_counts

LOOKBACK_MS: Final = 30_000
"""So long before a hole the last record of a series is looked for."""
HORIZON_MS: Final = 60_000
"""So long after a hole the first one is."""
CHUNK: Final = 5_000
STEP_SECONDS: Final = 0.2
ANSWER_SECONDS: Final = 5.0


class TimeRangeReader:
    """One look. ``on_message`` gets every message from `LOOKBACK_MS` before ``started_ns`` on, in no order."""

    def __init__(
        self,
        kafka: KafkaConfig,
        topics: Iterable[str],
        started_ns: int,
        ended_ns: int,
        on_message: Callable[[Message], None],
    ) -> None:
        self._on_message = on_message
        self._until_ms = ended_ns // 1_000_000 + HORIZON_MS
        self._consumer = Consumer(lookup_config(kafka))
        self._ends: dict[tuple[str, int], int] = {}
        """Partitions that are not read to their end -> where that is."""
        try:
            self._assign(kafka, topics, max(0, started_ns // 1_000_000 - LOOKBACK_MS))
        except KafkaException as error:
            self.close()
            raise ServiceUnavailable(f"Kafka at {kafka.bootstrap_servers}: {error.args[0].str()}") from None
        except ServiceUnavailable:
            self.close()
            raise

    def step(self) -> bool:
        """Read on for a moment; True when all is read. `ServiceUnavailable` when the broker does not answer."""
        for message in self._consumer.consume(CHUNK, STEP_SECONDS) if self._ends else ():
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    continue
                raise ServiceUnavailable(f"the log cannot be read: {error.str()}")
            key = str(message.topic()), message.partition() or 0
            offset: Any = message.offset()
            _, at_ms = message.timestamp()
            if key in self._ends and at_ms <= self._until_ms:
                self._on_message(message)
            if offset + 1 >= self._ends.get(key, 0) or at_ms > self._until_ms:
                self._ends.pop(key, None)
        self._skip_gone()
        return not self._ends

    def close(self) -> None:
        self._consumer.close()

    def _assign(self, kafka: KafkaConfig, topics: Iterable[str], from_ms: int) -> None:
        counts = partition_counts(kafka, ANSWER_SECONDS)
        times = [TopicPartition(name, n, from_ms) for name in topics for n in range(counts.get(name, 0))]
        starts = self._consumer.offsets_for_times(times, timeout=ANSWER_SECONDS) if times else []
        for found in starts:
            low, end = self._consumer.get_watermark_offsets(
                TopicPartition(found.topic, found.partition), timeout=ANSWER_SECONDS
            )
            if 0 <= found.offset < end and low < end:
                self._ends[found.topic, found.partition] = end
        self._consumer.assign([found for found in starts if (found.topic, found.partition) in self._ends])

    def _skip_gone(self) -> None:
        """The last offsets of a log may hold no message (a transaction's mark): then its position says it."""
        if self._ends:
            for at in self._consumer.position([TopicPartition(*key) for key in self._ends]):
                if at.offset >= self._ends[at.topic, at.partition]:
                    del self._ends[at.topic, at.partition]
