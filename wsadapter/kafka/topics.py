"""Topics: their names, their creation, where their logs begin and end.

Guarantees: topics that exist are left as they are: another's partition count or retention is not ours to change.

Owns nothing that lives.
"""

from collections.abc import Collection
from functools import partial
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import ConfigResource, OffsetSpec  # type: ignore[attr-defined]  # not in __all__
from confluent_kafka.cimpl import NewTopic

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.events.streams import DEAD_LETTER, SPECS, StreamSpec
from wsadapter.kafka.admin import Admin
from wsadapter.kafka.errors import error_text, made_for
from wsadapter.kafka.settings import lookup_config, unsubscribed_config

_BOUNDS: Final = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
_MOCK_CLUSTER: Final = "mockCluster"
_NO_ID: Final = "A" * 22
"""Sixteen zero bytes: the broker gives topics no ids."""
Bounds = tuple[int, int]


class TopicState(NamedTuple):
    """``topic_id`` (KIP-516): another one is another topic of the same name; empty where the broker gives none."""

    partitions: int
    topic_id: str


def topic_name(kafka: KafkaConfig, name: str) -> str:
    """The topic of a stream word (or of `DEAD_LETTER`)."""
    return kafka.topic_prefix + name


def topic(kafka: KafkaConfig, spec: StreamSpec) -> str:
    return topic_name(kafka, spec.name)


def partitions_of(kafka: KafkaConfig, name: str) -> int:
    """How many partitions the topic ``name`` is created with: quiet ones get one."""
    quiet = {topic_name(kafka, word) for word in (*(spec.name for spec in SPECS if spec.quiet), DEAD_LETTER)}
    return 1 if name in quiet else kafka.partitions


def ensure_topics(kafka: KafkaConfig, timeout: float) -> None:
    """Create what is missing of the registry's topics and the dead letters; `ServiceUnavailable` when that fails."""
    admin = Admin(kafka)
    names = [topic_name(kafka, name) for name in (*(spec.name for spec in SPECS), DEAD_LETTER)]
    cluster = admin.topics(timeout)
    try:
        if str(cluster.cluster_id).startswith(_MOCK_CLUSTER):
            # librdkafka's mock broker has no CreateTopics; it makes what is asked for by name
            for name in names:
                admin.list_topics(name, timeout=timeout)
            return
    except KafkaException as error:
        raise admin.unavailable("", error) from None
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
                raise admin.unavailable(f"topic {name} cannot be created", error) from None


def message_limit(kafka: KafkaConfig, timeout: float) -> int | None:
    """The largest record batch, in bytes, that every topic takes (``max.message.bytes``); None when the broker does not
    say, or not to us."""
    names = [topic_name(kafka, name) for name in (*(spec.name for spec in SPECS), DEAD_LETTER)]
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    admin = Admin(kafka)  # lives until the answers are there: its end fails them
    answers = admin.describe_configs(resources, request_timeout=timeout)
    try:
        return min(int(answer.result()["max.message.bytes"].value) for answer in answers.values())
    except (KafkaException, KeyError):
        return None


def partition_counts(kafka: KafkaConfig, timeout: float) -> dict[str, int]:
    """How many partitions each topic has now. By a client of its own: `list_topics` of a consumer inside one of its
    callbacks ends the process at its next callback (an assertion in confluent-kafka 2.16)."""
    topics = Admin(kafka).topics(timeout).topics
    return {name: len(metadata.partitions) for name, metadata in topics.items()}


def topic_states(
    kafka: KafkaConfig, names: Collection[str], timeout: float, admin: Admin | None = None
) -> dict[str, TopicState]:
    """These topics as the broker has them now; what it does not know, or not yet, is not in the answer."""
    admin = admin or Admin(kafka)
    cluster = admin.topics(timeout)
    known = [name for name in names if name in cluster.topics and cluster.topics[name].partitions]
    ids: dict[str, str] = {}
    if known and not str(cluster.cluster_id).startswith(_MOCK_CLUSTER):  # it does not answer the question
        for name, answer in admin.describe_topics(TopicCollection(known), request_timeout=timeout).items():
            try:
                topic_id = str(answer.result(timeout).topic_id)
            except (KafkaException, TimeoutError) as error:
                if isinstance(error, KafkaException) and error.args[0].code() > 0:
                    continue  # the broker answered: it has just been deleted, or is none of our business
                raise admin.unavailable(f"id of topic {name} is not known", error) from None
            ids[name] = "" if topic_id == _NO_ID else topic_id
    return {name: TopicState(len(cluster.topics[name].partitions), ids.get(name, "")) for name in known}


def offset_at(kafka: KafkaConfig, key: tuple[str, int], at_ms: int, timeout: float) -> int | None:
    """The first offset of a record of this time (ms since the epoch) or later; None: there is none."""
    admin, partition = Admin(kafka), TopicPartition(*key)
    spec = OffsetSpec.for_timestamp(at_ms)

    def offset() -> int:
        answer: Any = admin.list_offsets({partition: spec}, request_timeout=timeout)[partition].result(timeout)
        return int(answer.offset)

    found = admin.ask("offsets are not known", offset, timeout)
    return found if found >= 0 else None


def record_at(kafka: KafkaConfig, key: tuple[str, int], offset: int, timeout: float) -> Message | None:
    """The first record from ``offset`` on; None when there is none, or none came in time."""
    with made_for(kafka.bootstrap_servers):
        reader = Consumer(lookup_config(kafka))
    try:
        reader.assign([TopicPartition(*key, offset)])
        record = reader.poll(timeout)
    finally:
        reader.close()
    return None if record is None or record.error() is not None else record


def log_bounds(
    kafka: KafkaConfig, partitions: Collection[tuple[str, int]], timeout: float, admin: Admin | None = None
) -> dict[tuple[str, int], Bounds]:
    """Where the logs begin and end now: (first offset, next offset). Two requests for all of them, on connections of
    their own: on a consumer's connection each would wait for a fetch that waits for messages."""
    admin = admin or Admin(kafka)
    names = [TopicPartition(*partition) for partition in partitions]
    if not names:
        return {}

    def offsets(spec: OffsetSpec) -> dict[tuple[str, int], int]:
        futures = admin.list_offsets(dict.fromkeys(names, spec), request_timeout=timeout)
        return {(p.topic, p.partition): future.result(timeout).offset for p, future in futures.items()}

    first, end = (admin.ask("offsets are not known", partial(offsets, spec), timeout) for spec in _BOUNDS)
    return {partition: (first[partition], end[partition]) for partition in partitions}


def unread(kafka: KafkaConfig, timeout: float) -> dict[str, int]:
    """Stream -> messages in its topic that the group has not committed; `ServiceUnavailable` when Kafka is away."""
    counts = partition_counts(kafka, timeout)
    names = {topic(kafka, spec): spec.name for spec in SPECS}
    partitions = [(name, number) for name in names for number in range(counts.get(name, 0))]
    bounds = log_bounds(kafka, partitions, timeout)
    with made_for(kafka.bootstrap_servers):
        reader = Consumer(unsubscribed_config(kafka))
    try:
        committed = reader.committed([TopicPartition(*partition) for partition in partitions], timeout=timeout)
    except KafkaException as error:
        raise ServiceUnavailable(f"committed offsets are not known: {error_text(error)}") from None
    finally:
        reader.close()
    messages = dict.fromkeys(names.values(), 0)
    for at in committed:
        first, end = bounds[at.topic, at.partition]
        messages[names[at.topic]] += end - max(at.offset, first)
    return messages
