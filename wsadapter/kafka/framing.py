"""Length-delimited messages, as an insert's body holds them: the length as a varint, then the message."""

from typing import Final


def varint(number: int) -> bytes:
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    made.append(number)
    return bytes(made)


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
