"""The embedded Kafka under kill -9, a dying JVM and restarts: what was acknowledged stays, offsets and metadata too."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from eventually import eventually

from wsadapter.embedded.kafka.__main__ import SILENT_SECONDS, is_hung
from wsadapter.embedded.kafka.cluster import IDENTITY
from wsadapter.embedded.servers import KafkaServer
from wsadapter.errors import ServiceUnavailable

pytestmark = pytest.mark.integration


def make_topic(bootstrap: str, name: str, partitions: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)


def produce(bootstrap: str, topic: str, values: list[bytes], flush: float = 30.0) -> set[bytes]:
    """The values that the broker acknowledged."""
    acked: set[bytes] = set()
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "log_level": 2})
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, m: None if error else acked.add(m.value() or b""))
        producer.poll(0)
    producer.flush(flush)
    return acked


def read(bootstrap: str, topic: str) -> list[bytes]:
    """All values of partition 0."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False})
    partition = TopicPartition(topic, 0, 0)
    _, end = consumer.get_watermark_offsets(partition, timeout=30)
    consumer.assign([partition])
    values: list[bytes] = []
    while len(values) < end:
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        values.append(message.value() or b"")
    consumer.close()
    return values


def jvm_of(server: KafkaServer) -> psutil.Process:
    (jvm,) = psutil.Process(server.pid).children()
    return jvm


def test_a_shared_broker_keeps_order_and_refuses_unknown_topics(kafka: str) -> None:
    make_topic(kafka, "ordered")
    values = [b"%d" % n for n in range(2000)]
    assert produce(kafka, "ordered", values) == set(values)
    assert read(kafka, "ordered") == values
    error = (
        AdminClient({"bootstrap.servers": kafka})
        .list_topics("nobody-made-it", timeout=30)
        .topics["nobody-made-it"]
        .error
    )
    assert error is not None
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


@pytest.fixture(scope="module")
def server(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """One broker for the tests that end it: a start is what costs time here."""
    with KafkaServer(tmp_path_factory.mktemp("killed")) as server:
        yield server


@pytest.fixture
def broker(server: KafkaServer) -> KafkaServer:
    return server if server.running else server.start()


def test_acked_messages_offsets_and_metadata_survive_kill_and_stop(broker: KafkaServer) -> None:
    make_topic(broker.bootstrap, "kept")
    acked = produce(broker.bootstrap, "kept", [b"first %d" % n for n in range(1000)])
    committer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g", "enable.auto.commit": False})
    committer.commit(offsets=[TopicPartition("kept", 0, 600, "i:600:799")], asynchronous=False)
    committer.close()
    jvm = jvm_of(broker)
    broker.kill()
    broker.start()  # at once, at the same port, over the same data
    assert not jvm.is_running()
    acked |= produce(broker.bootstrap, "kept", [b"second %d" % n for n in range(1000)])
    assert broker.stop() == 0
    broker.start()
    assert set(read(broker.bootstrap, "kept")) == acked
    assert len(acked) == 2000
    reader = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g"})
    (committed,) = reader.committed([TopicPartition("kept", 0)], timeout=30)
    assert (committed.offset, committed.metadata) == (600, "i:600:799")
    reader.close()


def test_a_hung_jvm_shows_as_down(broker: KafkaServer) -> None:
    jvm = jvm_of(broker)
    page = broker.page
    jvm.send_signal(signal.SIGSTOP)
    eventually(lambda: page["service_up"] == 0)
    beat = page["heartbeat_ns"]
    eventually(lambda: page["heartbeat_ns"] > beat, message="the wrapper itself is well")
    jvm.send_signal(signal.SIGCONT)
    eventually(lambda: page["service_up"] == 1)


def test_only_where_somebody_starts_it_again_a_hung_broker_is_given_up(broker: KafkaServer) -> None:
    environ = psutil.Process(broker.pid).environ()

    assert is_hung(SILENT_SECONDS + 0.1, {})
    assert not is_hung(SILENT_SECONDS, {})
    assert not is_hung(3600, environ), "one that a test has stopped"


def test_a_dead_jvm_ends_the_wrapper_with_an_error(broker: KafkaServer) -> None:
    wrapper = psutil.Process(broker.pid)
    jvm_of(broker).kill()
    assert wrapper.wait(60) not in (0, None)


def test_the_jvm_dies_when_the_supervisor_is_gone(broker: KafkaServer) -> None:
    wrapper, jvm = psutil.Process(broker.pid), jvm_of(broker)
    # the lifeline ends as it does when the supervisor is killed
    assert broker.lifeline is not None
    broker.lifeline.close()
    assert psutil.wait_procs([wrapper, jvm], timeout=60)[1] == []


def identity(directory: Path) -> dict[str, str]:
    lines = (directory / "data" / IDENTITY).read_text().splitlines()
    return dict(line.split("=") for line in lines if "=" in line)


def test_a_new_data_directory_is_a_copy_under_ids_of_its_own(server: KafkaServer, tmp_path: Path) -> None:
    """``server`` was started before: from then on Kafka's own tool is not needed any more."""
    with KafkaServer(tmp_path) as second:
        make_topic(second.bootstrap, "kept")
        assert produce(second.bootstrap, "kept", [b"x"]) == {b"x"}
    found = [path / "kafka" for path in (server.directory, tmp_path)]
    checkpoints = {(path / "data" / "bootstrap.checkpoint").read_bytes() for path in found}
    identities = [identity(path) for path in found]

    assert not (tmp_path / "kafka" / "format.log").exists()
    assert len(checkpoints) == 1
    assert identities[0]["cluster.id"] != identities[1]["cluster.id"]
    assert identities[0]["directory.id"] != identities[1]["directory.id"]


def test_a_taken_port_is_told_at_once(java: None, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = KafkaServer(tmp_path, taken.getsockname()[1])
        with pytest.raises(ServiceUnavailable, match="cannot listen"):
            server.start()
        server.close()


def test_without_java_the_mock_broker_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with KafkaServer(tmp_path) as server:
        admin = AdminClient({"bootstrap.servers": server.bootstrap})
        assert str(admin.list_topics(timeout=60).cluster_id).startswith("mockCluster")
        admin.list_topics("mocked", timeout=60)
        producer = Producer({"bootstrap.servers": server.bootstrap})
        acked: list[object] = []
        producer.produce("mocked", b"x", partition=0, on_delivery=lambda error, _: acked.append(error))
        assert producer.flush(30) == 0
        assert acked == [None]
        assert read(server.bootstrap, "mocked") == [b"x"]
        assert server.stop() == 0
