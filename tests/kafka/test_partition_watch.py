"""How many partitions the topics have now, asked beside the work: what goes wrong with a question ends nobody."""

from collections.abc import Mapping

import pytest
from eventually import eventually

from wsadapter.config.model import KafkaConfig
from wsadapter.executor import DaemonExecutor
from wsadapter.kafka import partition_watch
from wsadapter.kafka.partition_watch import PartitionWatch
from wsadapter.kafka.topics import partition_counts

HALF_REPLACED = KafkaConfig(security_protocol="SSL", ssl_ca="/nonexistent")


def test_a_question_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[KafkaConfig] = []

    def counts(kafka: KafkaConfig, timeout: float) -> Mapping[str, int]:
        asked.append(kafka)
        return partition_counts(kafka, timeout) if len(asked) == 1 else {"a": 2}

    monkeypatch.setattr(partition_watch, "partition_counts", counts)
    now = 0.0
    watch = PartitionWatch(HALF_REPLACED, DaemonExecutor(1, "partitions"), lambda: now)
    assert watch.counts() is None
    assert asked == []  # not before a minute has passed

    now = 60.0
    assert watch.counts() is None
    answer = watch._asked
    eventually(lambda: answer is not None and answer.done())
    assert watch.counts() is None  # it failed

    now = 120.0
    assert watch.counts() is None
    eventually(lambda: watch.counts() == {"a": 2})
    assert len(asked) == 2
