"""Text of others made fit for a log line, a message or a label: one line, bounded, nothing that moves a cursor."""

from collections.abc import Sequence
from typing import Final

MAX_DETAIL: Final = 64
"""Longest text of a venue that travels on in an event of an error: it ends in logs and labels."""
MAX_SAMPLE: Final = 256
"""The same of an event of a type that nobody knows: it is what there is to go by."""


def printable(text: str, limit: int = MAX_DETAIL) -> str:
    """What a venue wrote: ASCII, with escapes for the rest."""
    return ascii(text[: limit + 1])[1:-1][:limit]


def sample(octets: bytes) -> str:
    """The begin of a message or element, as it came."""
    return printable(octets[:MAX_SAMPLE].decode("utf-8", "replace"), MAX_SAMPLE)


def shown(text: str) -> str:
    """A word that a person wrote, as a message repeats it: in quotes."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")


def some(names: Sequence[str], most: int = 5, between: str = ", ") -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def first_line(error: BaseException) -> str:
    """What a log line and a dead letter's header show of an error. The driver's text of a network error holds the whole
    request; its cause says it in a word."""
    text = getattr(error.__cause__, "reason", None) or error
    return (str(text).strip().splitlines() or [type(text).__name__])[0][:500]
