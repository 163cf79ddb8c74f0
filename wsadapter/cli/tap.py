"""`tap TOPIC`: the messages of one topic as JSON lines, from now on or from the beginning.

Reads beside the consumers: partitions are assigned by hand, no group is joined, nothing is committed. Times stay
integers of nanoseconds, decimals the venue's text; a message that cannot be read is shown as it is, in base64.
"""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, TopicPartition
from google.protobuf.message import DecodeError, Message

from wsadapter.cli import completion, known_names, options
from wsadapter.config.model import Config, KafkaConfig
from wsadapter.errors import ExitCode, Reason, ServiceUnavailable
from wsadapter.events.streams import BY_STREAM
from wsadapter.kafka.admin import Admin
from wsadapter.kafka.errors import reason_of
from wsadapter.kafka.settings import consumer_config
from wsadapter.pb import market_pb2

TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.5
"""How long a Ctrl-C may wait."""


@click.command()
@options.CONFIG
@click.argument("topic", shell_complete=completion.topics)
@options.EXCHANGE
@options.SYMBOL
@click.option("--from-beginning", "beginning", is_flag=True, help="From the first message, not only new ones.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="Stop after so many messages.")
@click.option("--times", is_flag=True, help="Show times as text.")
@click.option("--no-follow", is_flag=True, help="Stop at the end of the topic.")
@click.pass_obj
@options.until_enough()
def tap(
    group_path: str | None, config_path: str | None, topic: str, exchange: str, symbol: str, beginning: bool,
    count: int | None, times: bool, no_follow: bool,
) -> int:  # fmt: skip
    """Print the messages of a topic (e.g. trade or websocket.trade), one JSON line each."""
    config, follow = options.load(config_path or group_path, demo=True), not no_follow
    known_names.refuse_unknown(config, exchange, symbol)
    prefix = config.kafka.topic_prefix
    topic = topic if topic.startswith(prefix) else prefix + topic
    spec = BY_STREAM.get(topic.removeprefix(prefix))
    message = getattr(market_pb2, spec.message) if spec is not None else None
    consumer = Consumer(_settings(config))
    try:
        partitions = _partitions(config.kafka, topic)
        start = OFFSET_BEGINNING if beginning else OFFSET_END
        consumer.assign([TopicPartition(topic, partition, start) for partition in partitions])
        wanted = (one for one in _records(consumer, len(partitions), follow) if _is_about(one, exchange, symbol))
        for record in islice(wanted, count):
            click.echo(json.dumps(_shown(record, message, times), ensure_ascii=False))
    finally:
        consumer.close()
    return ExitCode.OK


def _is_about(record: Any, exchange: str, symbol: str) -> bool:
    """By its key, ``exchange:symbol``; what is about every symbol (a gap) is about this one, too."""
    if not (exchange or symbol):
        return True
    named, _, about = (record.key() or b"").decode("utf-8", "replace").partition(":")
    return exchange in ("", named) and (not symbol or about in ("", symbol))


def _settings(config: Config) -> dict[str, Any]:
    settings = consumer_config(config.kafka, "")
    del settings["group.instance.id"]
    # librdkafka wants a name; it is never joined
    return {**settings, "group.id": "wsadapter-tap", "auto.offset.reset": "earliest", "enable.partition.eof": True}


def _partitions(kafka: KafkaConfig, topic: str) -> list[int]:
    metadata = Admin(kafka).topics(TIMEOUT_SECONDS).topics.get(topic)
    if metadata is None:
        raise ServiceUnavailable(f"topic {topic}: not there, or not for us to see", Reason.MISSING)
    if metadata.error is not None:
        raise ServiceUnavailable(f"topic {topic}: {metadata.error.str()}", reason_of(metadata.error))
    return sorted(metadata.partitions)


def _records(consumer: Consumer, partitions: int, follow: bool) -> Iterator[Any]:
    ended: set[int | None] = set()
    while follow or len(ended) < partitions:
        record = consumer.poll(POLL_SECONDS)
        if record is None:
            continue
        error = record.error()
        if error is None:
            yield record
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(record.partition())
        elif not error.retriable():
            raise ServiceUnavailable(f"Kafka: {error.str()}")


def _shown(record: Any, message: type[Message] | None, times: bool) -> dict[str, Any]:
    key, value = record.key(), record.value()
    shown: dict[str, Any] = {"partition": record.partition(), "offset": record.offset()}
    if key is not None:
        shown["key"] = key.decode("utf-8", "backslashreplace")
    for name, content in record.headers() or ():
        shown.setdefault("headers", {})[name] = (content or b"").decode("utf-8", "backslashreplace")
    if message is not None and value is not None:
        try:
            return {**shown, **_fields(message.FromString(value), times)}
        except DecodeError:
            shown["error"] = "not a protobuf message of this topic"
    return {**shown, "value_base64": base64.b64encode(value or b"").decode()}


def _fields(message: Message, times: bool) -> dict[str, Any]:
    """The fields as plain JSON: absent ones left out, enums by name, 64-bit integers as numbers."""
    shown: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if field.is_repeated:
            shown[field.name] = list(value)
        elif field.enum_type is not None:
            known = field.enum_type.values_by_number.get(value)
            shown[field.name] = known.name if known else value
        elif times and field.name.endswith("_ns"):
            shown[field.name.removesuffix("_ns")] = _time(value)
        else:
            shown[field.name] = value
    return shown


def _time(nanoseconds: int) -> str:
    try:
        seconds = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return str(nanoseconds)
    return f"{seconds:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 1_000_000_000:09d}Z"
