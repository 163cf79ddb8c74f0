"""Dead letters: a message that can never succeed, set aside in the dead-letter topic where a person finds it.

Headers: ``reason``, ``detail``, ``topic`` (where the message belongs or came from), ``bytes`` (its whole length), and
what else the sender knows of its place. The value is the message, cut where it is longer than the sender's limit or
than the broker takes.

An event that becomes one is in no table, and its time is covered: `missing` is the gap that says so. Whoever sends the
letter publishes it, as version 1: it is the only record of its gap. It is no open one: what the repairer fetches in its
place may be refused again, without an end.
"""

from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message
from google.protobuf.message import DecodeError

from wsadapter.config.model import KafkaConfig
from wsadapter.events import Gap, Source
from wsadapter.events.gaps import GapCause, RepairState, begin
from wsadapter.events.streams import DEAD_LETTER, StreamSpec
from wsadapter.kafka.topics import topic_name
from wsadapter.pb import market_pb2

PERMANENT: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD)
"""Broker or client refuses this message for ever."""
SMALLER: Final = (8 * 1024, 512, 0)
"""Bytes of the value, tried in turn where the client takes no more (a small ``message.max.bytes``)."""
DETAIL_LENGTH: Final = 1000

OnDelivery = Callable[[KafkaError | None, Message], None]


def dead_letter_topic(kafka: KafkaConfig) -> str:
    return topic_name(kafka, DEAD_LETTER)


def produce_dead_letter(
    producer: Any,
    letter_topic: str,
    key: bytes,
    value: bytes,
    on_delivery: OnDelivery | None = None,
    *,
    reason: str,
    detail: str,
    topic: str,
    limit: int,
    **place: int,
) -> None:
    """Queue one; ``limit``: bytes of the value at most. ``place``: further headers. ``on_delivery``: where it is
    not the client's own. `KafkaException` when the client takes nothing at all."""
    headers = {"reason": reason, "detail": detail[:DETAIL_LENGTH], "topic": topic, "bytes": len(value), **place}
    encoded = [(name, str(content).encode(errors="replace")) for name, content in headers.items()]
    told = {} if on_delivery is None else {"on_delivery": on_delivery}
    for size in (limit, *SMALLER):
        try:
            producer.produce(letter_topic, value[:size], key, headers=encoded, **told)
        except KafkaException as error:
            if size and error.args[0].code() in PERMANENT:
                continue
            raise
        return


def missing(spec: StreamSpec, value: bytes) -> Gap | None:
    """The gap of an event that becomes a dead letter, the same one each time. None where a venue lacks nothing by it:
    of what is no message of ours, and of records about the recording (coverage that does not arrive covers nothing)."""
    if spec.ours:
        return None
    try:
        event: Any = getattr(market_pb2, spec.message).FromString(value)
    except DecodeError:
        return None
    if not event.receive_time_ns:
        return None
    at_ns = _happened_ns(event)
    gap = begin(
        GapCause.DECODE, at_ns, at_ns, exchange=event.exchange, connection=event.connection, stream=spec.name,
        symbol=event.symbol, interval=getattr(event, "interval", ""), ended_ns=at_ns + 1,
        gap_id=f"letter:{event.epoch}:{event.position}:{event.receive_time_ns}",
    )  # fmt: skip
    gap.repair_state = RepairState.UNREPAIRABLE.value
    return gap


def _happened_ns(event: Any) -> int:
    """Where in a range of time it is missing. What was fetched happened earlier than it was received."""
    if event.source == Source.WEBSOCKET:
        return int(event.receive_time_ns)
    own = getattr(event, "open_time_ns", 0) or event.transaction_time_ns or event.event_time_ns
    return int(own or event.receive_time_ns)
