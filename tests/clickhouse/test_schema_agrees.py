"""Struct, protobuf message and table columns say the same thing, for every stream type."""

from collections.abc import Sequence
from enum import IntEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from google.protobuf.descriptor import FieldDescriptor
from msgspec import structs

from wsadapter.clickhouse import conversion, schema
from wsadapter.events import Event, Ordinal, Trade
from wsadapter.events.streams import ENUMS, SPECS, StreamSpec, columns
from wsadapter.pb import market_pb2

COMMON = {"exchange": 3, "symbol": 4, "event_time_ns": 5, "transaction_time_ns": 6, "receive_time_ns": 7, "source": 8,
          "connection": 9, "last_gap_ns": 10}  # fmt: skip
F = FieldDescriptor
SCALARS = {str: F.TYPE_STRING, int: F.TYPE_INT64, bool: F.TYPE_BOOL}


def parts(hint: Any) -> tuple[type, bool, bool]:
    """(plain type, optional, repeated) of an annotation."""
    optional = isinstance(hint, UnionType) or get_origin(hint) is Union
    if optional:
        (hint,) = (a for a in get_args(hint) if a is not NoneType)
    repeated = get_origin(hint) is Sequence
    if repeated:
        (hint,) = get_args(hint)
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    assert isinstance(hint, type)
    return hint, optional, repeated


def disagreements(spec: StreamSpec) -> list[str]:
    """What the Struct of ``spec``, its message and its tables say differently."""
    found = []
    message = getattr(market_pb2, spec.message).DESCRIPTOR
    hints = get_type_hints(spec.event, include_extras=True)
    names = [field.name for field in structs.fields(spec.event)]
    if [f.name for f in message.fields] != ["epoch", "position", *names]:
        found.append("the fields are others, or stand in another order")
    numbers = {"epoch": 1, "position": 2, **COMMON}
    numbers |= {name: 16 + i for i, name in enumerate(n for n in names if n not in COMMON)}
    for name, number in numbers.items():
        field = message.fields_by_name.get(name)
        if field is None or field.number != number:
            found.append(f"{name} is not number {number}")
    for name in ("epoch", "position"):
        if message.fields_by_name[name].type != F.TYPE_FIXED64 or not message.fields_by_name[name].has_presence:
            found.append(f"{name} is not optional fixed64")
    for name in names:
        if (field := message.fields_by_name.get(name)) is not None:
            found += [f"{name}: {text}" for text in _field_disagreements(field, hints[name])]
    return found + _table_disagreements(spec, message)


def _field_disagreements(field: Any, hint: Any) -> list[str]:
    kind, optional, repeated = parts(hint)
    found = []
    if field.is_repeated != repeated:
        found.append("repeated here, not there")
    is_ordinal = hint == Ordinal  # 0 where the message has none
    if field.has_presence != (optional or is_ordinal):
        found.append("optional here, not there")
    if not issubclass(kind, IntEnum):
        if field.type != (F.TYPE_INT32 if is_ordinal else SCALARS[kind]):
            found.append(f"message type {field.type} for {kind.__name__}")
    elif field.enum_type is None:
        found.append("no enum in the message")
    else:
        there = {value.name: value.number for value in field.enum_type.values}
        here = {f"{ENUMS[kind]}_{member.name}": member.value for member in kind}
        if there != {f"{ENUMS[kind]}_UNSPECIFIED": 0, **here}:
            found.append(f"enum {there}")
    return found


def _table_disagreements(spec: StreamSpec, message: Any) -> list[str]:
    found = []
    table = {name: kind for name, kind, _ in schema.event_table(spec).columns}
    inbox = {name: kind for name, kind, _ in schema.inbox_table(spec).columns}
    if list(inbox) != [f.name for f in message.fields]:
        found.append("the Null table's columns are not the message's fields")
    own = ["version"] if "version" not in [f.name for f in message.fields] else []
    if list(table) != [f.name.removesuffix("_ns") for f in message.fields] + ["time", *own]:
        found.append("the table's columns are not the message's fields, time and version")
    if found:
        return found
    for field in message.fields:
        for where, kind in (("table", table[field.name.removesuffix("_ns")]), ("Null table", inbox[field.name])):
            is_optional = field.has_presence and field.type != F.TYPE_INT32
            if kind.startswith("Nullable(") != is_optional or kind.startswith("Array(") != field.is_repeated:
                found.append(f"{field.name} is {kind} in the {where}")
        if (field.name.endswith("_ns")) != ("DateTime64(9,'UTC')" in table[field.name.removesuffix("_ns")]):
            found.append(f"{field.name} is {table[field.name.removesuffix('_ns')]}")
    return found


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_struct_message_and_tables_agree(spec: StreamSpec) -> None:
    assert disagreements(spec) == []


class _OneMore(Trade, array_like=True, gc=False):
    update_id: int | None


class _OtherOrder(Event, array_like=True, gc=False):
    trade_number: int | None
    trade_id: str


class _NotOptional(Event, array_like=True, gc=False):
    trade_id: str
    trade_number: int


@pytest.mark.parametrize("event", [_OneMore, _OtherOrder, _NotOptional])
def test_the_comparison_sees_a_difference(event: type[Event]) -> None:
    spec = structs.replace(next(s for s in SPECS if s.event is Trade), event=event)
    message = market_pb2.Trade
    setattr(market_pb2, event.__name__, message)
    try:
        assert disagreements(spec)
    finally:
        delattr(market_pb2, event.__name__)


def test_every_message_of_the_proto_file_has_a_registry_row() -> None:
    messages = set(market_pb2.DESCRIPTOR.message_types_by_name)

    assert messages == {spec.message for spec in SPECS}


def test_every_sorting_key_and_partition_time_is_a_column_and_not_nullable() -> None:
    for spec in SPECS:
        table = schema.event_table(spec)
        types = {name: kind for name, kind, _ in table.columns}
        for part in ("exchange", "symbol", spec.partition_time, *spec.order_by):
            name = part.removeprefix("ifNull(").split(",")[0]
            assert name in types, f"{spec.name}: {part}"
            assert part.startswith("ifNull(") == types[name].startswith("Nullable("), f"{spec.name}: {part}"


def test_every_decimal_and_enum_is_checked() -> None:
    for spec in SPECS:
        checked = {field for field, _ in conversion.checks(spec)}
        assert checked == {c.field for c in columns(spec.event) if c.decimal or c.enum}, spec.name
