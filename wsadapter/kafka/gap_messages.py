"""A `Gap` out of its Kafka message, and what became of one. Pure."""

from typing import Any, Final

from google.protobuf.message import DecodeError

from wsadapter.events import Gap, Source
from wsadapter.pb import market_pb2

_OPTIONAL: Final = frozenset(
    field.name for field in market_pb2.Gap.DESCRIPTOR.fields if field.has_presence
)  # fmt: skip


def gap_of(value: bytes | None) -> Gap | None:
    """None where it cannot be read: the consumers say so in the dead letters."""
    try:
        message = market_pb2.Gap.FromString(value or b"")
        fields: dict[str, Any] = {name: _value(message, name) for name in Gap.__struct_fields__}
        return Gap(**{**fields, "source": Source(message.source)})
    except (DecodeError, ValueError):
        return None


def _value(message: market_pb2.Gap, name: str) -> Any:
    if name in _OPTIONAL and not message.HasField(name):  # type: ignore[arg-type]  # one of its fields
        return None
    return getattr(message, name)


def next_state(gap: Gap, state: str) -> Gap:
    """The same hole, published again: its version wins in the table. The receive time stays: ``last_gap`` of the data
    refers to it."""
    fields = {name: getattr(gap, name) for name in Gap.__struct_fields__}
    fields |= {"version": gap.version + 1, "repair_state": state}
    return Gap(**fields)
