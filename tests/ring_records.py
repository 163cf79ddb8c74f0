"""A ring record as the event that it was made from."""

from functools import cache
from typing import Any

from wsadapter.events import Event, Side, Source, UpdateType
from wsadapter.events.records import message_of
from wsadapter.events.streams import BY_KIND, Column, columns

ENUM_TYPES: dict[str, type] = {"source": Source, "update_type": UpdateType, "side": Side}


def event_of(kind: int, payload: bytes, epoch: int = 0, position: int = 0, *, named: bool = False) -> Any:
    """``named``: a gap without a name has that of the record."""
    event = BY_KIND[kind].event
    message = message_of((position, kind, payload), epoch)
    if not named and message.DESCRIPTOR.name == "Gap" and message.gap_id == f"{epoch}:{position}":
        message.gap_id = ""
    return event(**{column.field: _value(message, column) for column in _columns(event)})


@cache
def _columns(event: type[Event]) -> tuple[Column, ...]:
    return tuple(columns(event))


def _value(message: Any, column: Column) -> Any:
    field = column.field
    if column.nullable and not message.HasField(field):
        return None
    value = getattr(message, field)
    if column.repeated:
        return list(value)
    if column.enum:
        return ENUM_TYPES[field](value)
    return value
