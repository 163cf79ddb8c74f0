"""Kafka topics and client settings: every librdkafka client of this program is configured here.

Guarantees: the settings that the delivery promise rests on cannot be overridden by the configuration's pass-through
tables (they are applied last; `wsadapter.config.librdkafka` refuses them with a message). Topics that are there are
left as they are: a stranger's partition count or retention is not ours to change.

Owns nothing that lives: the callers own their clients. Created in the process that uses them, never before a fork.
"""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # not in __all__
from confluent_kafka.cimpl import NewTopic

from wsadapter.config.load import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.events.streams import DEAD_LETTER, SPECS, StreamSpec
from wsadapter.log import Repeated

_BOUNDS: Final = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
Bounds = tuple[int, int]
GROUP: Final = "wsadapter"

_RECONNECT: Final = {
    # a broker that returns is noticed within a second, not after librdkafka's default of ten
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 1000,
    "topic.metadata.propagation.max.ms": 5000,
}
LINGER_MS: Final = 5
_PRODUCER_DEFAULTS: Final = {"compression.type": "lz4", "linger.ms": LINGER_MS}
_PRODUCER: Final = {
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": 0,  # for ever: a record is in the ring until the broker has it
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


class Seldom(logging.Filter):
    """A broker that is away makes librdkafka say so twenty times a second: one record per facility and interval."""

    def __init__(self) -> None:
        super().__init__()
        self._repeated = Repeated()

    def filter(self, record: logging.LogRecord) -> bool:
        return self._repeated(record.getMessage().partition(" ")[0]) is not None


LIBRDKAFKA.addFilter(Seldom())


def topic_name(kafka: KafkaConfig, name: str) -> str:
    """The topic of a stream word (or of `DEAD_LETTER`)."""
    return kafka.topic_prefix + name


def topic(kafka: KafkaConfig, spec: StreamSpec) -> str:
    return topic_name(kafka, spec.name)


def group_id(kafka: KafkaConfig) -> str:
    """``wsadapter``; an installation with topics of another prefix is another group: their members would otherwise wait
    for each other at every rebalance."""
    prefix = kafka.topic_prefix
    return GROUP if prefix == KafkaConfig().topic_prefix else f"{GROUP}-{prefix.strip('.')}"


def _client(kafka: KafkaConfig, passed: dict[str, Any]) -> dict[str, Any]:
    """What all clients share; ``passed`` is the configuration's pass-through table."""
    settings: dict[str, Any] = {**_RECONNECT, **passed, "bootstrap.servers": kafka.bootstrap_servers}
    settings["client.id"] = settings.get("client.id", "wsadapter")
    settings["logger"] = LIBRDKAFKA
    if kafka.sasl_password_file:
        settings["sasl.password"] = _secret(kafka.sasl_password_file)
    return settings


def _secret(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ServiceUnavailable(f"kafka.sasl_password_file cannot be read: {error.strerror}") from None


def producer_config(kafka: KafkaConfig) -> dict[str, Any]:
    """Settings of a producer: idempotent, acknowledged by all, without a time limit, partitioned as Java does."""
    return {**_PRODUCER_DEFAULTS, **_client(kafka, kafka.producer), **_PRODUCER}


def consumer_config(kafka: KafkaConfig, instance_id: str) -> dict[str, Any]:
    """Settings of one member of the group: static membership, commits only by hand, bounded fetches."""
    own = {"group.id": group_id(kafka), "group.instance.id": instance_id}
    return {**_CONSUMER_DEFAULTS, **_client(kafka, kafka.consumer), **_CONSUMER, **own}


def repairer_config(kafka: KafkaConfig) -> dict[str, Any]:
    """Settings of the repairer, the only member of its group: it assigns itself; expired offsets begin again."""
    own = {"group.id": f"{group_id(kafka)}-repair", "auto.offset.reset": "earliest"}
    return {**_CONSUMER_DEFAULTS, **_client(kafka, kafka.consumer), **_CONSUMER, **own}


def lookup_config(kafka: KafkaConfig) -> dict[str, Any]:
    """Settings of a reader that looks something up and commits nothing."""
    own = {"group.id": f"{group_id(kafka)}-lookup", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10}
    return {**_CONSUMER_DEFAULTS, **_client(kafka, kafka.consumer), **_CONSUMER, **own}


def admin_config(kafka: KafkaConfig) -> dict[str, Any]:
    """The producer's addresses and credentials, without its delivery settings."""
    security = ("sasl.", "ssl.", "security.", "socket.", "broker.", "client.", "debug")
    passed = {key: value for key, value in kafka.producer.items() if key.startswith(security)}
    return _client(kafka, passed)


def partitions_of(kafka: KafkaConfig, name: str) -> int:
    """How many partitions the topic ``name`` is created with: quiet ones get one."""
    quiet = {topic_name(kafka, word) for word in (*(spec.name for spec in SPECS if spec.quiet), DEAD_LETTER)}
    return 1 if name in quiet else kafka.partitions


def ensure_topics(kafka: KafkaConfig, timeout: float) -> None:
    """Create what is missing of the registry's topics and the dead letters; `ServiceUnavailable` when that fails."""
    admin = AdminClient(admin_config(kafka))
    names = [topic_name(kafka, name) for name in (*(spec.name for spec in SPECS), DEAD_LETTER)]
    try:
        cluster = admin.list_topics(timeout=timeout)
        if str(cluster.cluster_id).startswith("mockCluster"):
            # librdkafka's mock broker has no CreateTopics; it makes what is asked for by name
            for name in names:
                admin.list_topics(name, timeout=timeout)
            return
    except KafkaException as error:
        raise ServiceUnavailable(f"Kafka at {kafka.bootstrap_servers} does not answer: {_said(error)}") from None
    retention = {"retention.ms": str(int(kafka.retention_hours * 3_600_000)), "cleanup.policy": "delete"}
    missing = [
        NewTopic(name, partitions_of(kafka, name), kafka.replication_factor, config=retention)
        for name in names
        if name not in cluster.topics
    ]
    if not missing:
        return
    for name, created in admin.create_topics(missing, operation_timeout=timeout, request_timeout=timeout).items():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another process was quicker
                raise ServiceUnavailable(f"topic {name} cannot be created: {_said(error)}") from None


def partition_counts(kafka: KafkaConfig, timeout: float) -> dict[str, int]:
    """How many partitions each topic has now. By a client of its own: `list_topics` of a consumer inside one of its
    callbacks ends the process at its next callback (an assertion in confluent-kafka 2.16)."""
    try:
        topics = AdminClient(admin_config(kafka)).list_topics(timeout=timeout).topics
    except KafkaException as error:
        raise ServiceUnavailable(f"topics are not known: {_said(error)}") from None
    return {name: len(found.partitions) for name, found in topics.items()}


def log_bounds(
    kafka: KafkaConfig, partitions: Collection[tuple[str, int]], timeout: float
) -> dict[tuple[str, int], Bounds]:
    """Where the logs begin and end now: (first offset, next offset). Two requests for all of them, on connections of
    their own: on a consumer's connection each would wait for a fetch that waits for messages."""
    admin = AdminClient(admin_config(kafka))
    names = [TopicPartition(*partition) for partition in partitions]
    found = []
    for spec in _BOUNDS if names else ():
        futures = admin.list_offsets(dict.fromkeys(names, spec), request_timeout=timeout)
        try:
            found.append({(p.topic, p.partition): future.result(timeout).offset for p, future in futures.items()})
        except (KafkaException, TimeoutError) as error:
            raise ServiceUnavailable(f"offsets are not known: {_said(error)}") from None
    return {partition: (found[0][partition], found[1][partition]) for partition in partitions}


def unread(kafka: KafkaConfig, timeout: float) -> dict[str, int]:
    """Stream -> messages in its topic that the group has not committed; `ServiceUnavailable` when Kafka is away."""
    counts = partition_counts(kafka, timeout)
    names = {topic(kafka, spec): spec.name for spec in SPECS}
    partitions = [(name, number) for name in names for number in range(counts.get(name, 0))]
    bounds = log_bounds(kafka, partitions, timeout)
    reader = Consumer({**_client(kafka, kafka.consumer), "group.id": group_id(kafka)})
    try:
        committed = reader.committed([TopicPartition(*partition) for partition in partitions], timeout=timeout)
    except KafkaException as error:
        raise ServiceUnavailable(f"committed offsets are not known: {_said(error)}") from None
    finally:
        reader.close()
    found = dict.fromkeys(names.values(), 0)
    for at in committed:
        first, end = bounds[at.topic, at.partition]
        found[names[at.topic]] += end - max(at.offset, first)
    return found


def _said(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    return f"{cause.str()} ({cause.name()})" if isinstance(cause, KafkaError) else str(error)
