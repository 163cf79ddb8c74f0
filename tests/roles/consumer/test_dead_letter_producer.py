"""A dead letter that the broker does not take must not hold up its partition for ever."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.kafka.dead_letters import SMALLER
from wsadapter.roles.consumer import dead_letters
from wsadapter.roles.consumer.dead_letters import VALUE_BYTES, DeadLetterProducer


class Broker:
    """Stands for the client and the broker: a topic that takes values of ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.code = KafkaError.MSG_SIZE_TOO_LARGE
        self.taken: list[tuple[bytes, int]] = []
        self._queued: list[tuple[bytes, bytes, Callable[..., None]]] = []

    def produce(self, topic: str, value: bytes, key: bytes, headers: Any, on_delivery: Callable[..., None]) -> None:
        self._queued.append((key, value, on_delivery))

    def flush(self, seconds: float) -> int:
        queued, self._queued = self._queued, []
        for key, value, on_delivery in queued:
            if len(value) > self.limit:
                on_delivery(KafkaError(self.code), Message(topic="t", key=key, value=value))
            else:
                self.taken.append((key, len(value)))
        return 0


def sender(monkeypatch: pytest.MonkeyPatch, broker: Broker) -> DeadLetterProducer:
    monkeypatch.setattr(dead_letters, "Producer", lambda settings: broker)
    return DeadLetterProducer(KafkaConfig())


def letters(*sizes: int) -> list[tuple[int, bytes, str, str]]:
    return [(offset, b"x" * size, "parse", "") for offset, size in enumerate(sizes)]


def test_what_is_too_large_for_the_topic_is_sent_with_less_of_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(10_000)
    sender(monkeypatch, broker).dead_letters("t.trade", 0, letters(100, VALUE_BYTES, 20_000))

    assert broker.taken == [(b"t.trade:0:0", 100), (b"t.trade:0:1", SMALLER[0]), (b"t.trade:0:2", SMALLER[0])]


def test_what_is_refused_without_any_value_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(-1)
    with pytest.raises(ServiceUnavailable, match="MSG_SIZE_TOO_LARGE"):
        sender(monkeypatch, broker).dead_letters("t.trade", 0, letters(100))


def test_another_refusal_is_no_reason_to_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(10)
    broker.code = KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(ServiceUnavailable, match="TOPIC_AUTHORIZATION_FAILED"):
        sender(monkeypatch, broker).dead_letters("t.trade", 0, letters(100))

    assert broker.taken == []
