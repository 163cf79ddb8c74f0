"""What a consumer itself sends to Kafka: dead letters, and the Gap of a log that no longer holds what was to be read.

Guarantees: `deliver` returns only when the broker has all of it; until then no offset moves past what a letter is
about. A repeat after a crash may send a letter twice. The producer is made when the first letter is there: most
consumers never need one.
"""

import threading
import time
from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from wsadapter.config.load import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.events.gaps import GapCause, begin
from wsadapter.events.streams import BY_STREAM, DEAD_LETTER, StreamSpec
from wsadapter.kafka.messages import message_of
from wsadapter.kafka.settings import producer_config
from wsadapter.kafka.topics import topic, topic_name

VALUE_BYTES: Final = (512 * 1024, 8 * 1024, 512, 0)
"""A letter carries at most this much, or less where the client takes no more: the message itself is where its headers
say."""
DELIVERY_SECONDS: Final = 10.0


class DeadLetterProducer:
    """The producer of one consumer. Threads take turns."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._turn = threading.Lock()
        self._producer: Producer | None = None
        self._failed: list[KafkaError] = []

    def dead_letters(self, source: str, partition: int, letters: Iterable[tuple[int, bytes, str, str]]) -> None:
        """Send (offset, value, reason, detail) of messages of one partition and wait for the broker."""
        with self._turn:
            producer = self._open()
            for offset, value, reason, detail in letters:
                headers = {"reason": reason, "detail": detail[:1000], "topic": source, "bytes": str(len(value))}
                headers |= {"partition": str(partition), "offset": str(offset)}
                self._produce(producer, f"{source}:{partition}:{offset}".encode(), value, headers)
            self._deliver(producer)

    def gap(self, spec: StreamSpec, source: str, partition: int, expected: int, found: int) -> None:
        """Say that the log begins at ``found`` where ``expected`` was to be read (less: the log is another one)."""
        now = time.time_ns()
        gap = begin(
            GapCause.KAFKA_RETENTION,
            now,
            now,
            exchange="",
            connection=f"kafka:{source}:{partition}",
            stream=spec.name,
            ended_ns=now,
            missing=(None, None, found - expected if found > expected else None),
            gap_id=f"{source}:{partition}:{expected}-{found}",
        )
        with self._turn:
            producer = self._open()
            gaps = topic(self._kafka, BY_STREAM["gap"])
            producer.produce(gaps, message_of(gap).SerializeToString(), b":", on_delivery=self._on_delivery)
            self._deliver(producer)

    def _produce(self, producer: Any, key: bytes, value: bytes, headers: dict[str, str]) -> None:
        encoded = [(name, text.encode(errors="replace")) for name, text in headers.items()]
        topic = topic_name(self._kafka, DEAD_LETTER)
        for size in VALUE_BYTES:
            try:
                producer.produce(topic, value[:size], key, headers=encoded, on_delivery=self._on_delivery)
            except KafkaException as error:
                if size and error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    continue
                raise
            return

    def _open(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(producer_config(self._kafka))
        return self._producer

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(error)

    def _deliver(self, producer: Any) -> None:
        left = producer.flush(DELIVERY_SECONDS)
        failed, self._failed = self._failed, []
        if left:
            # with its producer goes what it still holds: all of it is sent again
            self._producer = None
            raise ServiceUnavailable(f"{left} messages not delivered to {self._kafka.bootstrap_servers}")
        if failed:
            raise ServiceUnavailable(f"{len(failed)} messages refused: {failed[0].str()} ({failed[0].name()})")
