"""What a consumer itself sends to Kafka: dead letters, and the Gap of a log that no longer holds what was to be read.

Guarantees: `deliver` returns only when the broker has all of it; until then no offset moves past what a letter is
about. A repeat after a crash may send a letter twice. The producer is made when the first letter is there: most
consumers never need one.
"""

import threading
import time
from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer

from wsadapter.config.load import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.events.gaps import GapCause, begin
from wsadapter.events.streams import BY_STREAM, StreamSpec
from wsadapter.kafka.dead_letters import dead_letter_topic, produce_dead_letter
from wsadapter.kafka.messages import message_of
from wsadapter.kafka.settings import producer_config
from wsadapter.kafka.topics import topic

VALUE_BYTES: Final = 512 * 1024
"""A dead letter carries at most this much: the message itself is where its headers say."""
DELIVERY_SECONDS: Final = 10.0


class DeadLetterProducer:
    """The producer of one consumer. Threads take turns."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._failed: list[KafkaError] = []
        self._dead_letter_topic = dead_letter_topic(kafka)

    def dead_letters(self, source: str, partition: int, letters: Iterable[tuple[int, bytes, str, str]]) -> None:
        """Send (offset, value, reason, detail) of messages of one partition and wait for the broker."""
        with self._lock:
            producer = self._open()
            for offset, value, reason, detail in letters:
                produce_dead_letter(
                    producer, self._dead_letter_topic, f"{source}:{partition}:{offset}".encode(), value,
                    self._on_delivery, reason=reason, detail=detail, topic=source, limit=VALUE_BYTES,
                    partition=partition, offset=offset,
                )  # fmt: skip
            self._deliver(producer)

    def gap(self, spec: StreamSpec, source: str, partition: int, expected: int, first: int) -> None:
        """Say that the log begins at ``first`` where ``expected`` was to be read (less: the log is another one)."""
        now = time.time_ns()
        gap = begin(
            GapCause.KAFKA_RETENTION,
            now,
            now,
            exchange="",
            connection=f"kafka:{source}:{partition}",
            stream=spec.name,
            ended_ns=now,
            missing=(None, None, first - expected if first > expected else None),
            gap_id=f"{source}:{partition}:{expected}-{first}",
        )
        with self._lock:
            producer = self._open()
            gaps = topic(self._kafka, BY_STREAM["gap"])
            producer.produce(gaps, message_of(gap).SerializeToString(), b":", on_delivery=self._on_delivery)
            self._deliver(producer)

    def _open(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(producer_config(self._kafka))
        return self._producer

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(error)

    def _deliver(self, producer: Any) -> None:
        outstanding = producer.flush(DELIVERY_SECONDS)
        failed, self._failed = self._failed, []
        if outstanding:
            # with its producer goes what it still holds: all of it is sent again
            self._producer = None
            raise ServiceUnavailable(f"{outstanding} messages not delivered to {self._kafka.bootstrap_servers}")
        if failed:
            raise ServiceUnavailable(f"{len(failed)} messages refused: {failed[0].str()} ({failed[0].name()})")
