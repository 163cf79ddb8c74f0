"""Several instances share what a configuration asks for: each symbol is recorded by exactly one of them.

``service.shard = "2/3"``: this is the second of three instances that have one Kafka, one ClickHouse and one
configuration but for this key. Rendezvous hashing: when their number grows from n to n + 1, one symbol in n + 1 moves,
all of them to the new instance. Whose a gap is goes by the same rule. Pure.
"""

import hashlib
import re
from typing import Final, Self

from msgspec import Struct

MOST: Final = 64
_TEXT: Final = re.compile(r"([1-9]\d?)/([1-9]\d?)")
_CONNECTION: Final = re.compile(r".+-s([1-9]\d?)-[^-]+-\d+(?:-r\d+)?")


class Shard(Struct, frozen=True):
    """``number`` of ``count`` instances, counted from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for empty text: one instance records all. ValueError says what is wrong."""
        if not text:
            return None
        match = _TEXT.fullmatch(text)
        number, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= count <= MOST:
            raise ValueError(f"i/n, the i-th of n instances: 1 <= i <= n <= {MOST}")
        return cls(number, count)

    def owns(self, exchange: str, symbol: str) -> bool:
        return owner(exchange, symbol, self.count) == self.number

    def owns_connection(self, connection: str) -> bool:
        """Whether what is said of all symbols of a connection is this instance's business. Those of an instance that
        there is no more are shared out, and those of none: of before there were shards, of a log of Kafka."""
        match = _CONNECTION.fullmatch(connection)
        return (int(match[1]) - 1) % self.count + 1 == self.number if match else self.owns("", connection)

    def feed(self, name: str) -> str:
        """What the connections of a feed are named after: no two instances may have connections of one name."""
        return f"{name}-s{self.number}"


def owner(exchange: str, symbol: str, count: int) -> int:
    """The number of the instance that records a symbol, however it is spelled."""

    def weight(number: int) -> bytes:
        return hashlib.blake2b(f"{exchange}\n{symbol.casefold()}\n{number}".encode(), digest_size=16).digest()

    return max(range(1, count + 1), key=weight)
