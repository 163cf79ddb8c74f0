"""Partitions that are added to a real topic while the gaps of it are read."""

import contextlib
import uuid
from typing import Any

import pytest
from confluent_kafka import KafkaException, Message, Producer
from confluent_kafka.cimpl import NewPartitions, NewTopic
from eventually import eventually

from wsadapter.config.model import KafkaConfig
from wsadapter.kafka import partition_watch
from wsadapter.kafka.admin import Admin
from wsadapter.pb import market_pb2
from wsadapter.roles.repairer.gap_log import GapLog

pytestmark = pytest.mark.integration


def test_gaps_and_candles_of_new_partitions_are_read_and_no_other_is_lost(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_watch, "ASK_SECONDS", 0.1)
    config = KafkaConfig(bootstrap_servers=kafka, topic_prefix=f"{uuid.uuid4().hex}.")
    gaps, klines = (f"{config.topic_prefix}{word}" for word in ("gap", "kline"))
    admin = Admin(config)
    admin.create_topics([NewTopic(gaps, 1, 1)])[gaps].result(20)
    candles: list[Message] = []

    def put(topic: str, partition: int, message: Any) -> None:
        producer = Producer({"bootstrap.servers": kafka})  # one that knows the partitions of now

        def produced() -> bool:
            with contextlib.suppress(KafkaException):
                producer.produce(topic, message.SerializeToString(), partition=partition)
                return True
            return False

        eventually(produced)
        assert producer.flush(20) == 0

    def gap(number: int) -> Any:
        return market_pb2.Gap(
            exchange="binance",
            gap_id=f"1:{number}",
            version=1,
            repair_state="open",
            started_ns=1,
            ended_ns=2,
            source=market_pb2.SOURCE_WEBSOCKET,
        )

    put(gaps, 0, gap(1))
    log = GapLog(config)

    def are_open(*numbers: int) -> bool:
        candles.extend(log.poll(0.1))
        return set(log.open) == {f"1:{number}" for number in numbers}

    eventually(lambda: are_open(1))
    admin.create_partitions([NewPartitions(gaps, 2)])[gaps].result(20)
    admin.create_topics([NewTopic(klines, 1, 1)])[klines].result(20)
    put(gaps, 1, gap(2))
    put(klines, 0, market_pb2.Kline(exchange="binance", symbol="BTCUSDT"))
    put(gaps, 0, gap(3))
    eventually(lambda: are_open(1, 2, 3))
    eventually(lambda: are_open(1, 2, 3) and len(candles) == 1)
    assert log.caught_up
    log.close(10)
