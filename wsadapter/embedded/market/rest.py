"""What every dialect's REST takes and gives."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

Query = Mapping[str, str]


class RestReply(Struct, frozen=True):
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class RestAnswers(Protocol):
    """The REST side of a dialect over the markets."""

    def answer(self, path: str, query: Query) -> RestReply:
        """Never raises for anything that a client may send."""
