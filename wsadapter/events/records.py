"""Ring records: what a writer makes of an event, and what a serializer makes of a record.

    record   | key length (1 byte) | key | message |      kind = that of the `StreamSpec`

The key is Kafka's, ``exchange:symbol``; the message is the event's protobuf without its identity. Epoch and position
are the ring's to know: a reader puts them in front (fields 1 and 2, 18 bytes), and what comes out is the Kafka value.
So an event is encoded once, by the process that decoded it, and a serializer moves bytes.

In C where the extension is built; the twin in Python fills one protobuf message per type, and both write the same
bytes. A message's arena never gives the strings of earlier events back, so the twin takes a new one every `RENEW_AFTER`
events. Owns nothing; not for two threads.
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from wsadapter import native
from wsadapter.events import Event, Gap
from wsadapter.events.streams import BY_KIND, SPECS, Column, columns

RENEW_AFTER: Final = 20_000
"""Events; about 2 MB of arena."""
MAX_KEY: Final = 255
BAD_EVENT: Final = (TypeError, ValueError, OverflowError, AttributeError)
"""What `encode` raises for an event that can never become a message."""

_COMMON_FIRST, _OWN_FIRST = 3, 16
_identity: Final = struct.Struct("<BQBQ").pack

Record = tuple[int, int, bytes]
"""(position, kind, payload), as polled from a ring."""


def field_numbers(event: type[Event]) -> dict[str, int]:
    """Field -> its number in the message: common fields from 3, an event's own from 16, in their order."""
    common = len(Event.__struct_fields__)
    return {
        field: index + (_COMMON_FIRST if index < common else _OWN_FIRST - common)
        for index, field in enumerate(event.__struct_fields__)
    }


def in_python() -> Callable[[Event], bytes]:
    """The twin of the encoder in C."""
    from wsadapter.pb import market_pb2

    messages: dict[type, Any] = {}
    fields = {
        spec.event: [(c.field, c.nullable, c.repeated, c.implied) for c in columns(spec.event)] for spec in SPECS
    }  # fmt: skip
    made = 0

    def encode(event: Event) -> bytes:
        nonlocal made
        made += 1
        if made % RENEW_AFTER == 0:
            messages.clear()
        kind = type(event)
        if (message := messages.get(kind)) is None:
            if kind not in fields:
                raise TypeError(f"no event: {kind.__name__}")
            message = messages[kind] = getattr(market_pb2, kind.__name__)()
        message.Clear()
        for field, nullable, repeated, implied in fields[kind]:
            value = getattr(event, field)
            if repeated:
                getattr(message, field).extend(value)
            elif (value is not None or not nullable) and not (implied and value == 0):
                setattr(message, field, value)
        key = f"{event.exchange}:{event.symbol}".encode()
        if len(key) > MAX_KEY:
            raise ValueError(f"a key of {len(key)} bytes, the most is {MAX_KEY}")
        octets: bytes = message.SerializeToString()
        return b"%c%b%b" % (len(key), key, octets)

    return encode


def messages_in_python(
    records: Iterable[Record], epoch: int, lists: Mapping[int, list[dict[str, Any]]]
) -> list[Record]:
    """The twin of `messages` in C."""
    left = []
    for record in records:
        position, kind, payload = record
        messages, begin = lists.get(kind), payload[0] + 1 if payload else 0
        if messages is None or not 0 < begin < len(payload):
            left.append(record)
            continue
        messages.append({"key": payload[1:begin], "value": _identity(9, epoch, 17, position) + payload[begin:]})
    return left


def _what(column: Column) -> int:
    if column.repeated:
        return int(_native.TEXTS)
    if column.enum or column.type == "Int64" or column.implied or column.time:
        return int(_native.NUMBER)
    return int(_native.FLAG if column.type == "Bool" else _native.TEXT)


def _member(event: type[Event], field: str) -> object:
    return next(vars(base)[field] for base in event.__mro__ if field in vars(base))


def _encoder() -> Callable[[Event], bytes]:
    layouts = {}
    for spec in SPECS:
        numbers = field_numbers(spec.event)
        layouts[spec.event] = tuple(
            (_member(spec.event, c.field), numbers[c.field], _what(c), c.nullable) for c in columns(spec.event)
        )
    made: Callable[[Event], bytes] = _native.Encoder(layouts)
    return made


_native: Final = native.extension
encode: Final[Callable[[Event], bytes]] = in_python() if _native is None else _encoder()
"""The payload of an event's ring record; raises `BAD_EVENT`."""
messages: Final[Callable[[list[Record], int, Mapping[int, list[dict[str, Any]]]], list[Record]]] = (
    messages_in_python if _native is None else _native.messages
)
"""``messages(records, epoch, lists)``: append ``{"key": ..., "value": ...}`` of each record to the list of its kind, in
order; returns the records that are none, or that have no list."""


def message_of(record: Record, epoch: int) -> Any:
    """The protobuf message of a record, with its identity; `ValueError` or `DecodeError` where it is none."""
    from wsadapter.pb import market_pb2

    position, kind, payload = record
    spec, begin = BY_KIND.get(kind), payload[0] + 1 if payload else 0
    if spec is None or not 0 < begin < len(payload):
        raise ValueError(f"no record of an event: kind {kind}, {len(payload)} bytes")
    message = getattr(market_pb2, spec.message).FromString(payload[begin:])
    message.epoch, message.position = epoch, position
    if spec.event is Gap and not message.gap_id:
        message.gap_id = f"{epoch}:{position}"
    return message


def key_of(payload: bytes) -> bytes:
    return payload[1 : payload[0] + 1]
