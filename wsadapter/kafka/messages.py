"""Messages as Kafka holds them: their ring identity, their framing in an insert's body, a gap read back. Pure.

A message's *ring identity* is (epoch, position): the ring's epoch and the record's position in it. Nearly every message
begins with it and is not decoded for it; `identify_as` is the slow way, for the others.

An insert's body holds length-delimited messages: the length as a varint, then the message.
"""

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import DecodeError

from wsadapter.events import Gap, Source
from wsadapter.events.streams import StreamSpec
from wsadapter.pb import market_pb2

Identity = tuple[int, int]
Identify = Callable[[bytes], Identity | None]
"""The ring identity of a message that does not begin with it, None when it has none; `ValueError`: not our message."""


def identify_as(spec: StreamSpec) -> Identify:
    parse = getattr(market_pb2, spec.message).FromString

    def identify(value: bytes) -> Identity | None:
        try:
            message = parse(value)
        except DecodeError:
            raise ValueError(f"no protobuf of {spec.message}") from None
        if not message.receive_time_ns:
            raise ValueError(f"no {spec.message} of ours: no receive time")
        if message.HasField("epoch") and message.HasField("position"):
            return message.epoch, message.position
        return None

    return identify


def varint(number: int) -> bytes:
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def length_at(framed: bytes | bytearray, at: int) -> tuple[int, int]:
    """The length that stands at ``at``, and where its message begins."""
    length = shift = 0
    while (byte := framed[at]) & 128:
        length |= (byte & 127) << shift
        shift += 7
        at += 1
    return length | byte << shift, at + 1


PREFIXES: Final = tuple(varint(length) for length in range(16_384))
"""Lengths of nearly all messages, made once."""

_OPTIONAL: Final = frozenset(field.name for field in market_pb2.Gap.DESCRIPTOR.fields if field.has_presence)


def gap_of(value: bytes | None) -> Gap | None:
    """The gap in a message of its topic; None where it cannot be read (the consumer makes it a dead letter)."""
    gap, _ = gap_record(value)
    return gap


def gap_record(value: bytes | None) -> tuple[Gap | None, Identity | None]:
    """The same, and the ring identity of the record."""
    try:
        message = market_pb2.Gap.FromString(value or b"")
        fields: dict[str, Any] = {name: _value(message, name) for name in Gap.__struct_fields__}
        return Gap(**{**fields, "source": Source(message.source)}), identity_of(message)
    except (DecodeError, ValueError):
        return None, None


def identity_of(message: Any) -> Identity | None:
    """The ring identity of a parsed message; None where it comes from no ring."""
    return (message.epoch, message.position) if message.HasField("epoch") and message.HasField("position") else None


def _value(message: market_pb2.Gap, name: str) -> Any:
    if name in _OPTIONAL and not message.HasField(name):  # type: ignore[arg-type]  # one of its fields
        return None
    return getattr(message, name)


def message_of(gap: Gap) -> market_pb2.Gap:
    """The protobuf message of a gap that comes from no ring: without epoch and position."""
    values = {name: getattr(gap, name) for name in Gap.__struct_fields__}
    return market_pb2.Gap(**{name: value for name, value in values.items() if value is not None})
