"""A dead letter that the broker does not take must not hold up its partition for ever."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message
from messages import message_of
from msgspec import structs
from samples import NS, full, trade

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.events import Kline, Source
from wsadapter.events.streams import BY_STREAM
from wsadapter.kafka.dead_letters import SMALLER, missing
from wsadapter.kafka.messages import gap_of
from wsadapter.pb import market_pb2
from wsadapter.roles.consumer import dead_letters
from wsadapter.roles.consumer.dead_letters import VALUE_BYTES, DeadLetterProducer

SPEC = BY_STREAM["trade"]


class Broker:
    """Stands for the client and the broker: a topic that takes values of ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.code = KafkaError.MSG_SIZE_TOO_LARGE
        self.taken: list[tuple[bytes, int]] = []
        self.gaps: list[bytes] = []
        self._queued: list[tuple[bytes, bytes, Callable[..., None]]] = []

    def produce(
        self, topic: str, value: bytes, key: bytes, on_delivery: Callable[..., None], headers: Any = None
    ) -> None:
        if topic.endswith(".gap"):
            self.gaps.append(value)
        self._queued.append((key, value, on_delivery))

    def flush(self, seconds: float) -> int:
        queued, self._queued = self._queued, []
        for key, value, on_delivery in queued:
            if len(value) > self.limit:
                on_delivery(KafkaError(self.code), Message(topic="t", key=key, value=value))
            else:
                self.taken.append((key, len(value)))
                on_delivery(None, Message(topic="t", key=key, value=value))
        return 0


def sender(monkeypatch: pytest.MonkeyPatch, broker: Broker) -> DeadLetterProducer:
    monkeypatch.setattr(dead_letters, "Producer", lambda settings: broker)
    return DeadLetterProducer(KafkaConfig())


def letters(*sizes: int) -> list[tuple[int, bytes, str, str]]:
    return [(offset, b"x" * size, "parse", "") for offset, size in enumerate(sizes)]


def test_what_is_too_large_for_the_topic_is_sent_with_less_of_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(10_000)
    sender(monkeypatch, broker).dead_letters("t.trade", 0, letters(100, VALUE_BYTES, 20_000), set())

    assert broker.taken == [(b"t.trade:0:0", 100), (b"t.trade:0:1", SMALLER[0]), (b"t.trade:0:2", SMALLER[0])]


def test_what_is_refused_without_any_value_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(-1)
    with pytest.raises(ServiceUnavailable, match="MSG_SIZE_TOO_LARGE"):
        sender(monkeypatch, broker).dead_letters("t.trade", 0, letters(100), set())


def test_another_refusal_is_no_reason_to_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(10)
    broker.code = KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(ServiceUnavailable, match="TOPIC_AUTHORIZATION_FAILED"):
        sender(monkeypatch, broker).dead_letters("t.trade", 0, letters(100), set())

    assert broker.taken == []


def test_an_event_that_no_table_takes_is_a_gap_of_its_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is covered. What is no event of ours lacks nobody."""
    broker = Broker(10_000)
    good = message_of(SPEC)(trade(7), 5, 77).SerializeToString()
    strangers = good[:30], market_pb2.Trade(exchange="binance", symbol="BTCUSDT").SerializeToString()
    sent = [(offset, value, "parse", "") for offset, value in enumerate((good, *strangers))]

    assert sender(monkeypatch, broker).letter_gaps(SPEC, sent, set()) == 1
    (gap,) = map(gap_of, broker.gaps)
    assert gap is not None
    assert (gap.exchange, gap.symbol, gap.stream, gap.gap_id) == ("binance", "BTCUSDT", "trade", f"letter:5:77:{NS}")
    assert (gap.cause, gap.repair_state, gap.started_ns, gap.ended_ns) == ("decode", "unrepairable", NS, NS + 1)
    assert gap.version == 1, "by which a strategy begins anew"
    assert [key for key, _ in broker.taken] == [b"binance:BTCUSDT"]


def test_a_candle_that_was_fetched_is_missing_where_it_opens() -> None:
    candle = next(event for event in full() if isinstance(event, Kline))
    for source, at_ns in ((Source.WEBSOCKET, candle.receive_time_ns), (Source.REST, NS - 90)):
        made = structs.replace(candle, source=source, open_time_ns=NS - 90)
        gap = missing(BY_STREAM["kline"], message_of(BY_STREAM["kline"])(made, 5, 77).SerializeToString())
        assert gap is not None
        assert (gap.interval, gap.started_ns) == ("1m", at_ns)
