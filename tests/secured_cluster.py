"""Three real brokers with SASL and an authorizer, and what an administrator does to them.

Listeners of each: PLAINTEXT (the brokers among themselves, and the test, which may do everything) and SASL_PLAINTEXT
with SCRAM for ``recorder``, whose password and rights come and go. What confluent-kafka's admin client does not have is
asked in Kafka's own protocol.
"""

import socket
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import confluent_kafka.admin as admin_module
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewPartitions, NewTopic
from eventually import eventually

from wsadapter.config.types import address
from wsadapter.embedded.kafka.cluster import SEVERAL, BrokerOrder
from wsadapter.embedded.ports import LOOPBACK, free_ports
from wsadapter.embedded.servers import KafkaCluster, KafkaServer

api: Any = admin_module
"""Its types are not in its __all__."""
USER: Final = "recorder"
PASSWORD: Final = "right"
SECONDS: Final = 60.0
REAUTHENTICATION_SECONDS: Final = 20.0
"""A connection lives no longer on a password that is gone."""
REPLICA_LAG_SECONDS: Final = 12.0
"""A replica that does not follow is in sync no longer; the default of 30 s is a long test."""
REASSIGN, QUOTAS = 45, 49
"""Keys of Kafka's API: AlterPartitionReassignments, AlterClientQuotas."""


class SecuredCluster:
    """Not started yet."""

    def __init__(self, directory: Path) -> None:
        ports = free_ports(SEVERAL)
        self.sasl = ",".join(f"{LOOPBACK}:{port}" for port in ports)
        self.cluster = KafkaCluster(directory, lambda order: _settings(order, ports[order.number - 1]))
        self.bootstrap = self.cluster.bootstrap
        self._admin = api.AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})

    def start(self) -> "SecuredCluster":
        self.cluster.start()

        def brokers() -> Any:
            return _persist(lambda: self._admin.list_topics(timeout=20)).brokers

        eventually(lambda: len(brokers()) == SEVERAL, SECONDS, "three brokers")
        self.give_password()
        self.give_rights()
        return self

    def close(self) -> None:
        self.cluster.close()

    @property
    def brokers(self) -> dict[int, KafkaServer]:
        return self.cluster.brokers

    def topics(self) -> list[str]:
        return sorted(_persist(lambda: self._admin.list_topics(timeout=20)).topics)

    def partitions(self, topic: str) -> list[int]:
        return sorted(_persist(lambda: self._admin.list_topics(topic, timeout=20)).topics[topic].partitions)

    def partition(self, topic: str, number: int = 0) -> Any:
        """Its metadata: ``leader``, ``replicas``, ``isrs``."""
        return _persist(lambda: self._admin.list_topics(topic, timeout=20).topics[topic].partitions[number])

    def leader(self, topic: str, number: int = 0) -> int:
        return int(eventually(lambda: max(self.partition(topic, number).leader, 0), SECONDS, "a leader"))

    def await_in_sync(self, prefix: str, seconds: float = 2 * SECONDS) -> None:
        """Until each partition of these topics has all its replicas."""

        def behind() -> list[str]:
            try:
                topics = self._admin.list_topics(timeout=20).topics
            except KafkaException as error:
                return [str(error)]
            return [
                f"{name}-{number}: {partition.isrs} of {partition.replicas}"
                for name, topic in topics.items()
                if name.startswith((prefix, "__consumer_offsets"))
                for number, partition in topic.partitions.items()
                if len(partition.isrs) < len(partition.replicas) or partition.leader < 0
            ]

        eventually(lambda: not behind(), seconds, lambda: f"all in sync: {behind()}")

    def give_password(self) -> None:
        scram = api.ScramCredentialInfo(api.ScramMechanism.SCRAM_SHA_256, 4096)
        self._scram(api.UserScramCredentialUpsertion(USER, scram, PASSWORD.encode()))

    def take_password(self) -> None:
        self._scram(api.UserScramCredentialDeletion(USER, api.ScramMechanism.SCRAM_SHA_256))

    def _scram(self, alteration: Any) -> None:
        _persist(lambda: self._admin.alter_user_scram_credentials([alteration])[USER].result(SECONDS))

    def give_rights(self, operations: Iterable[str] = ("ALL",)) -> None:
        rights = _rights(operations)
        _persist(lambda: [created.result(SECONDS) for created in self._admin.create_acls(rights).values()])

    def take_rights(self) -> None:
        """All of them."""
        anything = api.AclBindingFilter(
            api.ResourceType.ANY, None, api.ResourcePatternType.ANY, f"User:{USER}", None, api.AclOperation.ANY,
            api.AclPermissionType.ANY,
        )  # fmt: skip
        _persist(lambda: [deleted.result(SECONDS) for deleted in self._admin.delete_acls([anything]).values()])

    def set_topic(self, topic: str, name: str, value: str) -> None:
        entry = api.ConfigEntry(name, value, incremental_operation=api.AlterConfigOpType.SET)
        resource = api.ConfigResource(api.ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        _persist(lambda: self._admin.incremental_alter_configs([resource])[resource].result(SECONDS))

    def raise_partitions(self, topic: str) -> None:
        self._admin.create_partitions([NewPartitions(topic, len(self.partitions(topic)) + 1)])[topic].result(SECONDS)

    def recreate(self, topic: str) -> None:
        """Gone with all that is in it, and there again under the same name; whoever is quicker makes it."""
        partitions = len(self.partitions(topic))
        self._admin.delete_topics([topic])[topic].result(SECONDS)

        def created() -> bool:
            try:
                self._admin.create_topics([NewTopic(topic, partitions, SEVERAL)])[topic].result(SECONDS)
            except KafkaException as error:
                return bool(error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS)
            return True

        eventually(created, SECONDS, f"{topic} is there again")

    def throttle(self, bytes_a_second: float | None) -> None:
        """How fast ``recorder`` may produce to each broker; None: as it likes."""
        entity = struct.pack(">i", 1) + _string("user") + _string(USER)
        value = struct.pack(">d?", bytes_a_second or 0.0, bytes_a_second is None)
        operation = struct.pack(">i", 1) + _string("producer_byte_rate") + value
        answer = self._ask(QUOTAS, struct.pack(">i", 1) + entity + operation + b"\0", b"")
        # throttle time, one entry, its code
        assert struct.unpack(">iih", answer[:10])[1:] == (1, 0), answer

    def reassign(self, topic: str, number: int, replicas: list[int]) -> None:
        """Have a partition's replicas elsewhere, the first of them its leader by preference."""
        name = topic.encode()
        partition = struct.pack(f">iB{len(replicas)}ixx", number, len(replicas) + 1, *replicas)
        body = struct.pack(">iBB", 60_000, 2, len(name) + 1) + name + b"\2" + partition + b"\0"
        answer = self._ask(REASSIGN, body, b"\0")
        # tags, throttle time, code, no message
        assert struct.unpack(">xih", answer[:7])[1] == 0, answer
        wanted = sorted(replicas)
        eventually(lambda: sorted(self.partition(topic, number).replicas) == wanted, SECONDS, f"moved to {wanted}")

    def _ask(self, api_key: int, body: bytes, tags: bytes) -> bytes:
        """Version 0; ``tags``: what the header of a flexible version ends with."""
        request = struct.pack(">hhih", api_key, 0, 1, -1) + tags + body
        running = next(broker for broker in self.brokers.values() if broker.running)
        with socket.create_connection(address(running.bootstrap), SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
            return connection.recv(size, socket.MSG_WAITALL)[4:]


def _persist(ask: Callable[[], Any]) -> Any:
    """The answer, of a cluster that may be electing just now. To be asked twice does no harm."""
    answers: list[Any] = []

    def answered() -> bool:
        try:
            answers.append(ask())
        except (KafkaException, KeyError) as error:
            print(f"asked again: {error}", flush=True)
        return bool(answers)

    eventually(answered, 2 * SECONDS, "an answer")
    return answers[0]


def _settings(order: BrokerOrder, sasl: int) -> dict[str, str]:
    listeners = f"PLAINTEXT://{order.brokers[order.number - 1]},SASL_PLAINTEXT://{LOOPBACK}:{sasl}"
    return {
        "listeners": f"{listeners},CONTROLLER://{LOOPBACK}:{order.controllers[order.number - 1]}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256",
        "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram."
        "ScramLoginModule required;",
        "connections.max.reauth.ms": str(int(REAUTHENTICATION_SECONDS * 1000)),
        "replica.lag.time.max.ms": str(int(REPLICA_LAG_SECONDS * 1000)),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


def _rights(operations: Iterable[str]) -> list[Any]:
    return [
        api.AclBinding(
            kind,
            "*",
            api.ResourcePatternType.LITERAL,
            f"User:{USER}",
            "*",
            api.AclOperation[operation],
            api.AclPermissionType.ALLOW,
        )
        for kind in (api.ResourceType.TOPIC, api.ResourceType.GROUP)
        for operation in operations
    ]


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()
