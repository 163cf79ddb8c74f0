"""The producer of one serializer: what is queued, what was refused, and what became a dead letter.

Guarantees: `KafkaProducer.flush` says that nothing is outstanding only when every message is acknowledged (acks=all,
idempotent) or is a dead letter that is; a refusal that is not the message's own fault is `DeliveryFailed`, and the
serializer begins again from head. Owns the client and its queue; counts nothing but ``broker_up``.
"""

from collections import Counter
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from wsadapter.config.load import Config
from wsadapter.errors import WsadapterError
from wsadapter.events.streams import DEAD_LETTER
from wsadapter.kafka.settings import producer_config
from wsadapter.kafka.topics import topic_name
from wsadapter.log import get_logger
from wsadapter.shm.stats_page import StatsPage

QUEUE: Final = {
    # Never full: a cycle starts with an empty queue. A full queue in mid-batch could reorder a partition.
    "queue.buffering.max.messages": 2_000_000,
    "queue.buffering.max.kbytes": 1_048_576,
    "delivery.report.only.error": True,
    "linger.ms": 0,
}
DEAD_LETTER_BYTES: Final = (256 * 1024, 8 * 1024, 512, 0)
"""A dead letter carries at most this much of what it is about; less where the client takes no more."""
PASSED_ON: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD)
"""Broker or client says no to this message for ever: it becomes a dead letter and is passed."""

log = get_logger()


class DeliveryFailed(WsadapterError):
    """The broker refused a message for a reason that is not the message's: start again from head."""


class KafkaProducer:
    """See the module docstring; ``page``: the serializer's."""

    def __init__(self, config: Config, page: StatsPage) -> None:
        self._cells = page.cells
        self._broker_up = page.index("broker_up")
        self.dead: Counter[tuple[str, str]] = Counter()
        """(reason, topic) of letters that are not counted yet."""
        self._failed: list[tuple[KafkaError, Message]] = []
        self._dead_letter_topic = topic_name(config.kafka, DEAD_LETTER)
        self.producer = Producer(producer_config(config.kafka) | QUEUE | {"error_cb": self._on_error})

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE):
            self._cells[self._broker_up] = 0
        if error.fatal():
            raise DeliveryFailed(f"the producer is finished: {error}")

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append((error, message))

    def send(self, topic: str, messages: list[dict[str, Any]]) -> None:
        """Queue the messages of one topic, in order; one that is too large becomes a dead letter."""
        if self.producer.produce_batch(topic, messages, on_delivery=self._on_failure) == len(messages):
            return
        for message in messages:
            error = message.get("_error")
            if error is None:
                continue
            if not isinstance(error, KafkaError) or error.code() not in PASSED_ON:
                raise DeliveryFailed(f"{topic}: {error}")
            self.dead_letter("too_large", topic, message["key"], message["value"], str(error))

    def dead_letter(self, reason: str, topic: str, key: bytes, value: bytes, detail: str) -> None:
        """Put what can never succeed where a person finds it, with the reason; long values are cut."""
        self.dead[reason, topic] += 1
        log.warning("dead letter", reason=reason, topic=topic, key=key.decode(errors="replace"), detail=detail)
        headers = {"reason": reason, "detail": detail, "topic": topic, "bytes": str(len(value))}
        encoded: dict[str, Any] = {name: text.encode() for name, text in headers.items()}
        for size in DEAD_LETTER_BYTES:
            try:
                self.producer.produce(
                    self._dead_letter_topic, value[:size], key, headers=encoded, on_delivery=self._on_failure
                )
            except KafkaException as error:
                if size and error.args[0].code() in PASSED_ON:  # a small message.max.bytes: less of it is a letter too
                    continue
                raise
            return

    def flush(self, seconds: float) -> bool:
        """True when nothing is outstanding and all that failed has been dead-lettered; raises `DeliveryFailed`."""
        if self.producer.flush(seconds):  # each acknowledgement wakes it
            return False
        self._cells[self._broker_up] = 1
        if not self._failed:
            return True
        failed, self._failed = self._failed, []
        for error, message in failed:
            topic = str(message.topic())
            if error.code() not in PASSED_ON or topic == self._dead_letter_topic:
                raise DeliveryFailed(f"{topic}: {error}")
            key, value = message.key(), message.value()
            self.dead_letter("rejected", topic, key or b"", value or b"", str(error))
        return False

    def probe(self, seconds: float) -> None:
        """Ask for metadata while the broker is known to be away, so that a quiet feed notices its return."""
        if not self._cells[self._broker_up]:
            try:
                self.producer.list_topics(timeout=seconds)
            except KafkaException:
                return
            self._cells[self._broker_up] = 1

    def away(self) -> None:
        """It has not answered for too long."""
        self._cells[self._broker_up] = 0

    def abandon(self) -> None:
        """Forget what is queued: it is still in the ring, or on the spool."""
        self.producer.purge()
