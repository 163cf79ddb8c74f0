"""How a message's columns become a table's: types, codecs, the check that a value can be kept, the conversion.

SQL text from the registry's columns; ``raw`` is the alias of the Null table. The check of a decimal is a regular
expression over its text. It is stricter than ``toDecimal128OrNull``, which silently takes '1e-20' and '.' for 0 and
cuts digits past the scale; and it costs less. Zeros at the end past the scale change no value and are taken. The
conversion itself is ``toDecimal128``: should the two ever disagree, the insert fails, and no value is stored wrong.
"""

import re
from enum import IntEnum
from hashlib import sha1
from typing import Final, get_type_hints

from wsadapter.events.streams import IDENTITY, Column, StreamSpec, columns

NAME: Final = "LowCardinality(String)"
EVENT_TIME: Final = (
    "fromUnixTimestamp64Nano(coalesce(raw.`transaction_time_ns`, raw.`event_time_ns`, raw.`receive_time_ns`), 'UTC')"
)
"""Column ``time``: the best known time of the event, never NULL."""
FINGERPRINT: Final = "wsadapter "
"""What the comment of a view of ours begins with."""
IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
"""A database's name has 64 characters at most, and the inner one's is longer."""


def quoted(identifier: str) -> str:
    """An identifier in backticks; anything that is not a plain word is refused, not escaped."""
    if not IDENTIFIER.fullmatch(identifier):
        raise ValueError(f"not an identifier: {identifier!a}")
    return f"`{identifier}`"


def fingerprint(select: str) -> str:
    """Of a view's text."""
    return FINGERPRINT + sha1(select.encode(), usedforsecurity=False).hexdigest()[:16]


def literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def table_columns(spec: StreamSpec) -> tuple[Column, ...]:
    """The columns of an event table that come from the message; ``time`` and ``version`` follow them."""
    return (*IDENTITY, *columns(spec.event))


def decimal_pattern(scale: int, signed: bool = True) -> str:
    """What fits Decimal(38, scale) without a change of value: digits, one dot, at most ``scale`` decimals (zeros at the
    end do not count), so few digits before it that 38 are never passed; a minus sign where it is ``signed``."""
    sign = "-?" if signed else ""
    whole = 38 - scale
    return rf"^{sign}([0-9]{{1,{whole}}}(\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{1,{scale}}}0*)$"


def scale(column: Column) -> int:
    return int(column.type.partition(",")[2].rstrip(")"))


def stored_type(column: Column) -> str:
    # ReplacingMergeTree wants an unsigned version; a Gap brings its own
    return "UInt64" if column.name == "version" else column.sql_type


def message_type(column: Column) -> str:
    """The column of the Null table: what the Protobuf format reads a field as. Enums as numbers: as text, a value that
    the schema does not know would fail the whole insert."""
    plain = "String" if column.decimal else "Int32" if column.enum else "Int64" if column.time else column.type
    return f"Array({plain})" if column.repeated else f"Nullable({plain})" if column.nullable else plain


def checked_type(column: Column) -> str:
    """The same of rows that were checked on this side: decimals and enums as the table has them."""
    return stored_type(column) if column.decimal or column.enum else message_type(column)


def codec(column: Column) -> str:
    if column.name == "receive_time":
        return "T64, ZSTD(1)"
    if column.time:
        return "Delta, ZSTD(1)"
    if column.type == "Int64" and column.name.endswith(("_id", "_number")):
        return "DoubleDelta, ZSTD(1)"
    if column.name == "position":
        return "Delta, ZSTD(1)"
    if column.decimal and not column.repeated:
        return "GCD, ZSTD(1)"  # they are multiples of a step, which is ten digits above the column's last
    return "ZSTD(1)"


def enum_of(spec: StreamSpec, column: Column) -> type[IntEnum]:
    kind = get_type_hints(spec.event)[column.field]
    assert isinstance(kind, type)
    assert issubclass(kind, IntEnum)
    return kind


def converted(spec: StreamSpec, column: Column) -> str:
    raw = f"raw.{quoted(column.field)}"
    if column.enum:
        members = list(enum_of(spec, column))
        names = ", ".join(literal(member.name) for member in members)
        return f"transform({raw}, [{', '.join(str(member.value) for member in members)}], [{names}], '')"
    if column.decimal and column.repeated:
        return f"arrayMap(x -> toDecimal128(x, {scale(column)}), {raw})"
    if column.decimal:
        return f"toDecimal128({raw}, {scale(column)})"
    if column.time:
        return f"fromUnixTimestamp64Nano({raw}, 'UTC')"
    if column.name == "version":
        return f"toUInt64({raw})"
    return raw


def checks(spec: StreamSpec) -> tuple[tuple[str, str], ...]:
    """(field, SQL that is true when the value can be kept), for each column that can fail."""
    conditions = []
    for column in table_columns(spec):
        raw = f"raw.{quoted(column.field)}"
        if column.enum:
            conditions.append((column.field, f"{raw} IN ({', '.join(str(m.value) for m in enum_of(spec, column))})"))
        elif column.decimal:
            pattern = literal(decimal_pattern(scale(column), column.signed))
            if column.repeated:
                conditions.append((column.field, f"arrayAll(x -> match(x, {pattern}), {raw})"))
            elif column.nullable:
                conditions.append((column.field, f"ifNull(match({raw}, {pattern}), true)"))
            else:
                conditions.append((column.field, f"match({raw}, {pattern})"))
    return tuple(conditions)
