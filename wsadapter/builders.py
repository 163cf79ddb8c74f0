"""Ring record -> Kafka key and value, one compiled builder per registry row.

A builder decodes the msgpack record into its Struct and fills the one protobuf message of its type, field by field;
``epoch`` and ``position`` go first, so they are the first 18 bytes of every value. The source is generated from the
Struct's field list, so a field cannot be forgotten, and one reused message costs two thirds of a new one per event.
Its arena never gives the strings of earlier events back: `renew` takes new messages, to be called every `RENEW_AFTER`
records. Not for two threads.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from wsadapter.events import Gap
from wsadapter.pb import market_pb2
from wsadapter.streams import SPECS, StreamSpec

Builder = Callable[[bytes, int, int], tuple[bytes, bytes]]
"""(record payload, ring epoch, record position) -> (key, value)."""

RENEW_AFTER: Final = 20_000
"""Records; about 2 MB of arena."""
BAD_RECORD: Final = (msgspec.MsgspecError, ValueError, TypeError, UnicodeError, RecursionError)
"""What a builder raises for a record that can never become a message."""


def source_of(spec: StreamSpec) -> str:
    """The builder of a row as Python text; ``m`` is its message."""
    fields = getattr(market_pb2, spec.message).DESCRIPTOR.fields_by_name
    lines = ["def build(payload, epoch, position):", "e = decode(payload)", "m.epoch = epoch", "m.position = position"]
    if spec.event is Gap:
        lines.append("e.gap_id = e.gap_id or f'{epoch}:{position}'")
    for name in spec.event.__struct_fields__:
        if fields[name].is_repeated:
            lines.append(f"values = m.{name}; del values[:]; values.extend(e.{name})")
        elif fields[name].has_presence:
            lines += [f"value = e.{name}", f"if value is None: clear('{name}')", f"else: m.{name} = value"]
        else:
            lines.append(f"m.{name} = e.{name}")
    lines.append("return f'{e.exchange}:{e.symbol}'.encode(), serialize()")
    return "\n    ".join(lines)


def builder(spec: StreamSpec) -> tuple[Builder, Callable[[], None]]:
    """The builder of a row, and what gives it a new message."""
    names: dict[str, Any] = {"decode": msgspec.msgpack.Decoder(spec.event).decode}

    def renew() -> None:
        message = getattr(market_pb2, spec.message)()
        names.update(m=message, clear=message.ClearField, serialize=message.SerializeToString)

    renew()
    exec(source_of(spec), names)
    made: Builder = names["build"]
    return made, renew


_MADE: Final = {spec.kind: builder(spec) for spec in SPECS}
BUILDERS: Final[dict[int, Builder]] = {kind: build for kind, (build, _) in _MADE.items()}
"""By ring record kind."""


def renew() -> None:
    """Let go of what the messages have grown to."""
    for _, each in _MADE.values():
        each()
