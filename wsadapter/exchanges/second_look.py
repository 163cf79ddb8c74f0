"""The second, slow look at what a typed decoder refused: single values without a schema, and the kind of a failure.

For every venue. Nothing here raises for any input; it is not on the hot path.
"""

from typing import Final

from msgspec import DecodeError, MsgspecError, Raw, ValidationError
from msgspec.json import Decoder

from wsadapter.exchanges.venue import Bad
from wsadapter.text import printable

FAILURES: Final = (
    MsgspecError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RuntimeError, StopIteration,
)  # fmt: skip
"""All that reading hostile bytes can raise: decoding them, or a venue's functions of what was decoded (UnicodeError is
a ValueError, RecursionError a RuntimeError; `next` without a default raises StopIteration)."""

_text: Final = Decoder(str).decode
_number: Final = Decoder(int).decode


def text(raw: Raw) -> str:
    """The JSON text, or empty where there is none."""
    try:
        return _text(raw)
    except FAILURES:
        return ""


def number(raw: Raw) -> int | None:
    """The JSON integer, or None where there is none."""
    try:
        return _number(raw)
    except FAILURES:
        return None


def present(raw: Raw) -> bool:
    """Whether a field was there and not null."""
    return bytes(raw) not in (b"", b"null")


def failure(error: Exception) -> Bad:
    """What decoding raised, as a counted kind."""
    if isinstance(error, RecursionError):
        return Bad("depth", "nested too deep")
    if isinstance(error, UnicodeError):
        return Bad("utf8", printable(str(error)))
    if isinstance(error, ValidationError):
        message = str(error)
        out_of_range = "<=" in message or ">=" in message or "out of range" in message
        return Bad("range" if out_of_range else "type", printable(message))
    if isinstance(error, DecodeError):
        return Bad("json", printable(str(error)))
    return Bad("other", type(error).__name__)
