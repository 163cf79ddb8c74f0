"""Settings of every librdkafka client of this program.

Guarantees: the settings that the delivery promise rests on cannot be overridden by the configuration's pass-through
tables: they are applied last (`wsadapter.config.librdkafka` refuses them with a message).

Owns nothing that lives: the callers own their clients, and create them in the process that uses them, never before a
fork.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from wsadapter.config import kafka_security, secrets
from wsadapter.config.model import KafkaConfig
from wsadapter.config.types import Secret
from wsadapter.log import Repeated

GROUP: Final = "wsadapter"

_CONNECTION: Final = {
    # a broker that returns is noticed within a second, not after librdkafka's default of ten
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 1000,
    # a broker that is frozen, or behind a cable that is cut, is given up after this, not after librdkafka's default of
    # 60 s: longer than the 9 s after which the controller has others lead what it led (``broker.session.timeout.ms``),
    # shorter than a member's session, so that it finds the new coordinator in time. What was sent and not answered is
    # sent again under its sequence numbers: the brokers drop what they have.
    "socket.timeout.ms": 10_000,
    "topic.metadata.propagation.max.ms": 5000,
}
LINGER_MS: Final = 5
_PRODUCER_DEFAULTS: Final = {"compression.type": "lz4", "linger.ms": LINGER_MS}
_PRODUCER: Final = {
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": 0,  # for ever: a record is in the ring until the broker has it
    # a leader whose followers are slow says so before the connection counts as dead
    "request.timeout.ms": 8_000,
    "partitioner": "murmur2_random",
}
_CONSUMER_DEFAULTS: Final = {
    # bounds the memory of what is fetched and not yet read, over all partitions together. The kilobytes do not count
    # what librdkafka needs itself per message, about three times a trade
    "queued.max.messages.kbytes": 4_096,
    "queued.min.messages": 5_000,
    "fetch.max.bytes": 1_048_576,
    "fetch.message.max.bytes": 262_144,
    # how long the broker holds a fetch that has nothing to give: it answers at once when something comes
    "fetch.wait.max.ms": 500,
    # a full queue of one partition must not hold back the others for librdkafka's default of a second
    "fetch.queue.backoff.ms": 20,
    "session.timeout.ms": 30_000,
    "heartbeat.interval.ms": 3_000,
    # partitions that are added while we run are read so soon, not after librdkafka's default of five minutes
    "topic.metadata.refresh.interval.ms": 10_000,
}
_GROUP_DEFAULTS: Final = {
    # what an answer holds at least, or how long the broker gathers it: rows wait for a batch of a second anyway, and an
    # answer to each request of the producer is one over all partitions every few milliseconds
    "fetch.min.bytes": 65_536,
    "fetch.wait.max.ms": 100,
}
_READER_DEFAULTS: Final = {
    # an event is handed on when it is there
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 16_384,
    "queued.min.messages": 20_000,
    "fetch.max.bytes": 4_194_304,
    "fetch.message.max.bytes": 1_048_576,
}
_CONSUMER: Final = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # an offset out of range is an error that the consumer role turns into a Gap, never a silent jump
    "auto.offset.reset": "error",
    # each topic is spread over all members; cooperative-sticky may leave all partitions of a busy topic with one.
    # Static members rebalance only when their number changes, so revoking everything costs little.
    "partition.assignment.strategy": "roundrobin",
    "isolation.level": "read_committed",
    "check.crcs": True,
}


LIBRDKAFKA: Final = logging.getLogger("wsadapter.librdkafka")


class RateLimit(logging.Filter):
    """librdkafka logs a broker that is down twenty times a second: one record per facility and interval passes, none
    while ``is_awaited`` says that the broker is still being started. What it tells to ``error_cb`` as well is said by
    whoever has the client, and not again."""

    def __init__(self) -> None:
        super().__init__()
        self._repeated = Repeated()
        self.is_awaited: Callable[[], bool] = lambda: False

    def filter(self, record: logging.LogRecord) -> bool:
        facility = record.getMessage().partition(" ")[0]
        if facility in TOLD or EXPERIMENTAL in record.getMessage() or self.is_awaited():
            return False
        return self._repeated(facility) is not None


TOLD: Final = ("FAIL", "ERROR", "GETPID")
EXPERIMENTAL: Final = "enable.gapless.guarantee is experimental"
"""An option that the serializer's producer means to use."""
LIMIT: Final = RateLimit()
LIBRDKAFKA.addFilter(LIMIT)


def group_id(kafka: KafkaConfig) -> str:
    """``wsadapter``; an installation with topics of another prefix is another group: their members would otherwise wait
    for each other at every rebalance."""
    prefix = kafka.topic_prefix
    return GROUP if prefix == KafkaConfig().topic_prefix else f"{GROUP}-{prefix.strip('.')}"


def _client(kafka: KafkaConfig, passed: dict[str, Any]) -> dict[str, Any]:
    """What all clients share; ``passed`` is the configuration's pass-through table."""
    security = kafka_security.settings(kafka)
    settings: dict[str, Any] = {**_CONNECTION, **passed, **security, "bootstrap.servers": kafka.bootstrap_servers}
    settings["client.id"] = settings.get("client.id", "wsadapter")
    settings["logger"] = LIBRDKAFKA
    if password := secrets.password(kafka.sasl_password, kafka.sasl_password_file, "kafka.sasl_password_file"):
        settings["sasl.password"] = password
    if passphrase := secrets.password(Secret(), kafka.ssl_key_password_file, "kafka.ssl_key_password_file"):
        settings["ssl.key.password"] = passphrase
    return settings


def producer_config(kafka: KafkaConfig) -> dict[str, Any]:
    """Settings of a producer: idempotent, acknowledged by all, without a time limit, partitioned as Java does."""
    return {**_PRODUCER_DEFAULTS, **_client(kafka, kafka.producer), **_PRODUCER}


def consumer_config(kafka: KafkaConfig, instance_id: str) -> dict[str, Any]:
    """Settings of one member of the group: static membership, commits only by hand, bounded fetches."""
    own = {"group.id": group_id(kafka), "group.instance.id": instance_id}
    return {**_CONSUMER_DEFAULTS, **_GROUP_DEFAULTS, **_client(kafka, kafka.consumer), **_CONSUMER, **own}


def repairer_config(kafka: KafkaConfig, shard: int = 0) -> dict[str, Any]:
    """Settings of the repairer, the only member of its group: it assigns itself; expired offsets begin again.
    ``shard``: its instance's number, 0 where it is the only one."""
    own = {"group.id": f"{group_id(kafka)}-repair{f'-s{shard}' if shard else ''}", "auto.offset.reset": "earliest"}
    return {**_CONSUMER_DEFAULTS, **_client(kafka, kafka.consumer), **_CONSUMER, **own}


def lookup_config(kafka: KafkaConfig) -> dict[str, Any]:
    """Settings of a consumer that reads a range of a log and commits nothing."""
    own = {"group.id": f"{group_id(kafka)}-lookup", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10}
    return {**_CONSUMER_DEFAULTS, **_client(kafka, kafka.consumer), **_CONSUMER, **own}


def reader_config(kafka: KafkaConfig) -> dict[str, Any]:
    """Settings of `wsadapter.reader`: it assigns itself, commits nothing, and is told of the end of a partition."""
    own = {"group.id": f"{group_id(kafka)}-reader", "enable.partition.eof": True}
    return {**_CONSUMER_DEFAULTS, **_READER_DEFAULTS, **_client(kafka, kafka.consumer), **_CONSUMER, **own}


def unsubscribed_config(kafka: KafkaConfig) -> dict[str, Any]:
    """Settings of a client that asks for the group's committed offsets and never joins it."""
    return {**_client(kafka, kafka.consumer), "group.id": group_id(kafka)}


def admin_config(kafka: KafkaConfig) -> dict[str, Any]:
    """The producer's addresses and credentials, without its delivery settings."""
    connection = ("sasl.", "ssl.", "security.", "socket.", "broker.", "client.", "debug")
    passed = {key: value for key, value in kafka.producer.items() if key.startswith(connection)}
    return _client(kafka, passed)
