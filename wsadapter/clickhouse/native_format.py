"""Blocks of ClickHouse's format Native: rows as columns, each with its name and type before its values. Bytes only.

The server reads such a column as it lies there; of text it would have to find the end of each value first.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from wsadapter.clickhouse.conversion import NAME

_NUMBER: Final = 8
_SHARED_DICTIONARY, _ADDITIONAL_KEYS = 1, 0x600
"""How a LowCardinality column is written: keys of its own, places in them of one byte each."""


class BlockColumn(NamedTuple):
    """``type``: of ``values``, as ClickHouse calls it; where the table's is another one, the server converts."""

    name: str
    type: str
    values: bytes


def block(columns: Sequence[BlockColumn], rows: int) -> bytes:
    """One block of rows."""
    parts = [varint(len(columns)), varint(rows)]
    for column in columns:
        parts += (_text(column.name), _text(column.type), column.values)
    return b"".join(parts)


def repeated(name: str, value: str | int | bool, rows: int) -> BlockColumn:
    """A column that is the same in every row: a name, a number or a flag."""
    if isinstance(value, bool):
        return BlockColumn(name, "Bool", bytes((value,)) * rows)
    if isinstance(value, int):
        return BlockColumn(name, "Int64", value.to_bytes(_NUMBER, "little", signed=True) * rows)
    numbers = (_SHARED_DICTIONARY, _ADDITIONAL_KEYS, 2)  # the first key is the type's default
    head = b"".join(number.to_bytes(_NUMBER, "little") for number in numbers) + _text("") + _text(value)
    return BlockColumn(name, NAME, head + rows.to_bytes(_NUMBER, "little") + b"\1" * rows)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return varint(len(encoded)) + encoded


def varint(number: int) -> bytes:
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes((*made, number))
