"""Three embedded brokers as what a run starts: addresses, orders, their settings."""

from pathlib import Path

import pytest
from msgspec import structs

from wsadapter.config.load import Loaded
from wsadapter.config.model import Config, KafkaConfig, ServiceConfig
from wsadapter.embedded.demo import StandIns
from wsadapter.embedded.kafka.broker import KafkaBroker
from wsadapter.embedded.kafka.cluster import BrokerOrder, configured
from wsadapter.embedded.kafka.install import Installation

ADDRESSES = "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094"


def loaded(servers: str, *origins: str, replication_factor: int = 1) -> Loaded:
    kafka = KafkaConfig(bootstrap_servers=servers, replication_factor=replication_factor)
    return Loaded(Config(ServiceConfig("i", "/nonexistent"), kafka=kafka), dict.fromkeys(origins, "file"))


def test_others_listen_behind_one_address_and_topics_have_three_replicas() -> None:
    one = configured(loaded("127.0.0.1:9092"), 3).kafka
    three = configured(loaded("127.0.0.1:1,127.0.0.1:7,127.0.0.1:3"), 3).kafka
    chosen = configured(loaded(ADDRESSES, "kafka.replication_factor", replication_factor=2), 3).kafka

    assert (one.bootstrap_servers, one.replication_factor) == (ADDRESSES, 3)
    assert three.bootstrap_servers == "127.0.0.1:1,127.0.0.1:7,127.0.0.1:3"
    assert chosen.replication_factor == 2
    assert configured(alone := loaded("127.0.0.1:9092"), 1) is alone.config


def test_each_is_a_process_that_knows_the_others(tmp_path: Path) -> None:
    stand_ins = StandIns(embedded=True, brokers=3)
    config = configured(loaded("127.0.0.1:9092"), 3)
    config = structs.replace(config, service=ServiceConfig("i", str(tmp_path)))
    children = stand_ins.children(config, ())
    brokers = [child for child in children if child.role == "kafka"]
    orders = [child.order for child in brokers if isinstance(child.order, BrokerOrder)]

    assert [child.name for child in brokers] == ["kafka-1", "kafka-2", "kafka-3"]
    assert len({child.stop_group for child in brokers}) == 3, "what one leads it hands over to those that are left"
    assert [order.number for order in orders] == [1, 2, 3]
    assert {order.brokers for order in orders} == {tuple(ADDRESSES.split(","))}
    assert len({(order.controllers, order.cluster_id) for order in orders}) == 1
    assert children == stand_ins.children(config, ()), "a reload touches none of them"
    assert [name for _, name in stand_ins.addresses(config)][:3] == ADDRESSES.split(",")
    again = StandIns(embedded=True, brokers=3).children(config, ())
    assert {child.order.cluster_id for child in again if isinstance(child.order, BrokerOrder)} == {orders[0].cluster_id}


@pytest.mark.parametrize(("brokers", "replicas", "in_sync"), [(1, 1, 1), (3, 3, 2)])
def test_an_acknowledgement_is_one_of_two(tmp_path: Path, brokers: int, replicas: int, in_sync: int) -> None:
    addresses = tuple(ADDRESSES.split(",")[:brokers])
    order = BrokerOrder(brokers, addresses, tuple(range(5001, 5001 + brokers)), "A" * 22, {"num.io.threads": "7"})
    broker = KafkaBroker(Installation({"HOME": str(tmp_path)}), "java", tmp_path, "127.0.0.1", 9099, order)
    pairs = (line.split("=", 1) for line in broker.properties().splitlines() if not line.startswith("#"))
    settings = dict(pairs)

    assert settings["node.id"] == str(brokers)
    assert settings["controller.quorum.voters"].count("@") == brokers
    assert settings["default.replication.factor"] == settings["offsets.topic.replication.factor"] == str(replicas)
    assert settings["min.insync.replicas"] == str(in_sync)
    assert settings["num.io.threads"] == "7", "what is said last counts"
