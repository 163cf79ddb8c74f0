"""Messages of one topic to immutable events, many at a time, without those that were delivered before.

`Decode` takes messages in the order of their partition and stops in front of the first one that wants a decision of
its caller: one that does not begin with its ring identity, that cannot be decoded, that has a gap before it which is
not known, or before which a gap stands that is still to be given. What it passes over silently was delivered before:
its position is not above that of its epoch's last one in this partition (`wsadapter.roles.serializer.partitioning` says
why that loses nothing).

In C where the extension is built; the twin in Python parses with protobuf, and both make the same events and stop at
the same message, but for what no encoder writes: there C stops, too. Owns nothing.
"""

import struct
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final, Protocol, get_type_hints

from google.protobuf.message import DecodeError

from wsadapter import native
from wsadapter.events import Event, Name
from wsadapter.events.records import field_numbers
from wsadapter.events.streams import BY_STREAM, Column, StreamSpec, columns
from wsadapter.kafka.messages import Identity, identity_of
from wsadapter.pb import market_pb2
from wsadapter.reader.events import FROZEN

_unpack = struct.Struct("<BQBQ").unpack_from  # fixed64 epoch = 1, fixed64 position = 2: tag byte and value, twice
HEAD: Final = 18
_EPOCH_TAG: Final = 0x09
_POSITION_TAG: Final = 0x11

Marks = dict[int, int]
"""Epoch -> position of its last record."""


class Decode(Protocol):
    def __call__(
        self, values: Any, first: int, marks: Marks, stops: Mapping[int, int], known: Container[int],
        out: list[Event], /,
    ) -> int:  # fmt: skip
        """Append the events of ``values[first:]`` to ``out`` and move ``marks``; the index of the message that it
        stopped at, or the length. ``values``: a list of bytes, or what `wsadapter.kafka.runs.Messages` has of them.
        ``stops``: epoch -> position from which on a gap comes first. ``known``: receive times of gaps."""


class Parsed(Protocol):
    def __call__(self, value: bytes, /) -> tuple[Event, Identity | None]:
        """The event of one message, and its ring identity; `ValueError` where it is no message of this topic."""


def parser(spec: StreamSpec) -> Parsed:
    """The slow way, of whatever protobuf takes."""
    message_of = getattr(market_pb2, spec.message).FromString
    kind = FROZEN[spec.event]
    fields = [_read(column, spec.event) for column in columns(spec.event)]

    def parse(value: bytes) -> tuple[Event, Identity | None]:
        try:
            message = message_of(value)
        except DecodeError:
            raise ValueError(f"no protobuf of {spec.message}") from None
        if not message.receive_time_ns:
            raise ValueError(f"no {spec.message} of ours: no receive time")
        return kind(*[read(message) for read in fields]), identity_of(message)

    return parse


def _read(column: Column, event: type[Event]) -> Callable[[Any], Any]:
    """What gets a field of a message. A number that this version has no word for stays a number."""
    name = column.field
    if column.repeated:
        return lambda message: tuple(getattr(message, name))
    if column.nullable:
        return lambda message: getattr(message, name) if message.HasField(name) else None
    if column.enum:
        words = _words(event, name)
        return lambda message: words.get(number := getattr(message, name), number)
    return lambda message: getattr(message, name)


def _words(event: type[Event], field: str) -> dict[int, Any]:
    return {int(member): member for member in get_type_hints(event)[field]}


def in_python(spec: StreamSpec) -> Decode:
    """The twin of the decoder in C."""
    parse = parser(spec)

    def decode(
        values: Sequence[bytes | None], first: int, marks: Marks, stops: Mapping[int, int], known: Container[int],
        out: list[Event],
    ) -> int:  # fmt: skip
        for index in range(first, len(values)):
            value = values[index]
            if value is None or len(value) < HEAD:
                return index
            tag, epoch, second, position = _unpack(value)
            if tag != _EPOCH_TAG or second != _POSITION_TAG:
                return index
            if position <= marks.get(epoch, -1):
                continue
            if stops and position >= stops.get(epoch, 1 << 64):
                return index
            try:
                event, identity = parse(value)
            except ValueError:
                return index
            if identity != (epoch, position) or (event.last_gap_ns is not None and event.last_gap_ns not in known):
                return index
            marks[epoch] = position
            out.append(event)
        return len(values)

    return decode


def _in_c(spec: StreamSpec) -> Decode:
    event, kind = spec.event, FROZEN[spec.event]
    numbers, hints = field_numbers(event), get_type_hints(event, include_extras=True)
    fields = []
    for column in columns(event):
        few = hints[column.field] in (Name, str) and column.field != "trade_id"
        fields.append(
            (
                numbers[column.field], _what(column), column.nullable,
                _words(event, column.field) if column.enum else None, few, column.implied,
            )
        )  # fmt: skip
    made: Decode = native.extension.Decoder(kind, tuple(fields))
    return made


def _what(column: Column) -> int:
    extension = native.extension
    if column.repeated:
        return int(extension.TEXTS)
    if column.enum or column.type == "Int64" or column.implied or column.time:
        return int(extension.NUMBER)
    return int(extension.FLAG if column.type == "Bool" else extension.TEXT)


def decoder(stream: str) -> Decode:
    spec = BY_STREAM[stream]
    return in_python(spec) if native.extension is None else _in_c(spec)
