"""Three real brokers, of which some go away under a serializer: what it was given is in the log once, in order.

Both ways to librdkafka send at the same time, to the same topics: what is done to brokers is done once for both.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confluent_kafka.admin as admin_module
import pytest
from confluent_kafka import KafkaException
from eventually import eventually
from roles.serializer.test_serializer import WAYS, Road, log, records
from samples import trade

from wsadapter.config import load as configuration
from wsadapter.embedded.kafka.cluster import SEVERAL
from wsadapter.embedded.servers import KafkaCluster
from wsadapter.pb import market_pb2

pytestmark = pytest.mark.integration
api: Any = admin_module
"""Its types are not in its __all__."""
SECONDS = 60.0
APART = 1_000_000
"""Of each ring the numbers of its trades begin at another of these."""
PREFIX = "three."
TOPIC = f"{PREFIX}trade"
SETTINGS = {"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500"}
"""A broker that is gone is missed so soon."""


@pytest.fixture
def cluster(installed_kafka: None, tmp_path: Path) -> Iterator[KafkaCluster]:
    with KafkaCluster(tmp_path / "brokers", lambda order: SETTINGS) as started:
        yield started


@pytest.fixture
def roads(cluster: KafkaCluster, tmp_path: Path) -> Iterator[list[Road]]:
    made = []
    for way in WAYS:
        path = tmp_path / f"{way}.toml"
        path.write_text(
            f'[service]\ninstance = "three{os.getpid()}-{way}"\nstate_dir = "{tmp_path / way}"\n'
            f'[[feed]]\nname = "binance"\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n'
            f'[kafka]\nbootstrap_servers = "{cluster.bootstrap}"\ntopic_prefix = "{PREFIX}"\n'
            "replication_factor = 3\npartitions = 1\n"
        )
        made.append(Road(configuration.load(str(path), {}), way))
    yield made
    for road in made:
        road.close()


class Topic:
    """The topic of trades, as an administrator sees it."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = api.AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def partitions(self) -> list[Any]:
        return list(self._admin.list_topics(TOPIC, timeout=20).topics[TOPIC].partitions.values())

    def are_in_sync(self, replicas: int) -> bool:
        try:
            found = self.partitions()
        except KafkaException:
            return False
        return bool(found) and all(len(partition.isrs) >= replicas and partition.leader > 0 for partition in found)

    def require(self, in_sync: int) -> None:
        """Asked again where the controller was the broker that is gone."""
        eventually(lambda: self._is_required(in_sync), SECONDS, f"min.insync.replicas {in_sync}")

    def _is_required(self, in_sync: int) -> bool:
        entry = api.ConfigEntry("min.insync.replicas", str(in_sync), incremental_operation=api.AlterConfigOpType.SET)
        resource = api.ConfigResource(api.ConfigResource.Type.TOPIC, TOPIC, incremental_configs=[entry])
        try:
            self._admin.incremental_alter_configs([resource])[resource].result(SECONDS)
        except KafkaException:
            return False
        return True


def test_a_leader_is_killed_and_then_too_few_are_in_sync(cluster: KafkaCluster, roads: list[Road]) -> None:
    sent = 0

    def publish(count: int) -> None:
        nonlocal sent
        for number, road in enumerate(roads):
            first = number * APART + sent + 1
            road.publish(*records([trade(one) for one in range(first, first + count)]))
        sent += count

    def settle() -> None:
        for road in roads:
            road.settle(SECONDS)

    for road in roads:
        road.serializer.start()
    publish(500)
    settle()
    topic = Topic(cluster.bootstrap)
    eventually(lambda: topic.are_in_sync(SEVERAL), SECONDS, "three replicas each")

    cluster.brokers[topic.partitions()[0].leader].kill()
    for _ in range(20):
        publish(50)
    settle()

    topic.require(SEVERAL)
    publish(500)
    eventually(
        lambda: all(road.serializer.page["spool_records"] for road in roads), SECONDS, "what two refuse is on the spool"
    )
    assert all(road.serializer.returncode is None for road in roads)
    publish(500)
    topic.require(2)
    settle()

    assert [road.serializer.stop() for road in roads] == [0, 0]
    got: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for partition, _, value in log(roads[0].config, "trade"):
        message = market_pb2.Trade.FromString(value)
        got.setdefault((message.trade_number // APART, partition), []).append((message.position, message.trade_number))
    for number in range(len(roads)):
        parts = [part for (of, _), part in got.items() if of == number]
        assert all(part == sorted(part) for part in parts), "in the order of the ring"
        first = number * APART + 1
        numbers = sorted(one for part in parts for _, one in part)
        assert numbers == list(range(first, first + sent)), "each of them once"
    for road in roads:
        assert road.serializer.page['delivered_total{topic="trade"}'] == sent
