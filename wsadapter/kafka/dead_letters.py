"""Dead letters: a message that can never succeed, set aside in the dead-letter topic where a person finds it.

Headers: ``reason``, ``detail``, ``topic`` (where the message belongs or came from), ``bytes`` (its whole length), and
what else the sender knows of its place. The value is the message, cut where it is longer than the sender's limit or
than the broker takes.
"""

from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message

from wsadapter.config.model import KafkaConfig
from wsadapter.events.streams import DEAD_LETTER
from wsadapter.kafka.topics import topic_name

PERMANENT: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD)
"""Broker or client refuses this message for ever."""
SMALLER: Final = (8 * 1024, 512, 0)
"""Bytes of the value, tried in turn where the client takes no more (a small ``message.max.bytes``)."""
DETAIL_LENGTH: Final = 1000

OnDelivery = Callable[[KafkaError | None, Message], None]


def dead_letter_topic(kafka: KafkaConfig) -> str:
    return topic_name(kafka, DEAD_LETTER)


def produce_dead_letter(
    producer: Any,
    letter_topic: str,
    key: bytes,
    value: bytes,
    on_delivery: OnDelivery | None = None,
    *,
    reason: str,
    detail: str,
    topic: str,
    limit: int,
    **place: int,
) -> None:
    """Queue one; ``limit``: bytes of the value at most. ``place``: further headers. ``on_delivery``: where it is
    not the client's own. `KafkaException` when the client takes nothing at all."""
    headers = {"reason": reason, "detail": detail[:DETAIL_LENGTH], "topic": topic, "bytes": len(value), **place}
    encoded = [(name, str(content).encode(errors="replace")) for name, content in headers.items()]
    told = {} if on_delivery is None else {"on_delivery": on_delivery}
    for size in (limit, *SMALLER):
        try:
            producer.produce(letter_topic, value[:size], key, headers=encoded, **told)
        except KafkaException as error:
            if size and error.args[0].code() in PERMANENT:
                continue
            raise
        return
