"""Reads a block of ClickHouse's format Native, from its description: name of a column -> its values."""

import struct
from decimal import Context, Decimal
from io import BytesIO

EXACT = Context(prec=60)


def read_block(block: bytes) -> dict[str, list[object]]:
    """The types that rows of files have."""
    data = BytesIO(block)
    columns, rows = _varint(data), _varint(data)
    found = {_text(data): _values(_text(data), data, rows) for _ in range(columns)}
    assert not data.read()
    return found


def _values(kind: str, data: BytesIO, rows: int) -> list[object]:
    if kind.startswith("Nullable("):
        absent = data.read(rows)
        values = _values(kind[9:-1], data, rows)
        return [None if is_absent else value for is_absent, value in zip(absent, values, strict=True)]
    if kind == "Int64":
        return list(struct.unpack(f"<{rows}q", data.read(8 * rows)))
    if kind == "Bool":
        return [{0: False, 1: True}[number] for number in data.read(rows)]
    if kind == "String":
        return [_text(data) for _ in range(rows)]
    if kind.startswith("Decimal(38, "):
        scale = -int(kind[12:-1])
        numbers = (int.from_bytes(data.read(16), "little", signed=True) for _ in range(rows))
        return [Decimal(number).scaleb(scale, EXACT) for number in numbers]
    assert kind == "LowCardinality(String)"
    version, flags, keys = struct.unpack("<3Q", data.read(24))
    assert (version, flags) == (1, 0x600)
    texts = [_text(data) for _ in range(keys)]
    assert struct.unpack("<Q", data.read(8)) == (rows,)
    return [texts[place] for place in data.read(rows)]


def _varint(data: BytesIO) -> int:
    number = shift = 0
    while True:
        (byte,) = data.read(1)
        number |= (byte & 127) << shift
        if byte < 128:
            return number
        shift += 7


def _text(data: BytesIO) -> str:
    return data.read(_varint(data)).decode()
