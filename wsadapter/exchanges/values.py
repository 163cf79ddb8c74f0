"""A venue's values as we have them: its words, numbers and times, each with the form that it must have on the wire.

Guarantees: a number is the venue's own digits, proven to be a plain decimal or refused (`NotPlain`), never a float; a
time that cannot be ours raises ValueError. Pure; knows no venue.
"""

import calendar
import re
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Raw

from wsadapter.events.decimals import NotPlain, are_plain, plain_number
from wsadapter.exchanges.intervals import close_time_ns

MS: Final = 1_000_000
"""Nanoseconds in the unit of time of most venues."""
DAY_MS: Final = 86_400_000
MOST: Final = 2**62
"""The highest number that is one, and the last nanosecond: what is made of them by counting on, or as the distance of
two, is a number too. A venue that sends more is broken, or hostile."""
Id = Annotated[int, Meta(ge=0, le=MOST)]
IdOrNone = Annotated[int, Meta(ge=-1, le=MOST)]
"""-1 stands for none."""
Time = Annotated[int, Meta(ge=0, le=MOST // MS)]
"""Milliseconds."""
Seconds = Annotated[int, Meta(ge=0, le=MOST // 1_000_000_000)]
TimeOrMicros = Annotated[int, Meta(ge=0, le=MOST // 1_000)]
"""Milliseconds or microseconds, see `ns`."""
Text = Annotated[str, Meta(max_length=64)]


def signed_text(text: str | None) -> str | None:
    """A plain decimal with a minus sign allowed; empty or None is None."""
    if text and not are_plain(text.removeprefix("-")):
        raise NotPlain("signed")
    return text or None


def plain_text(text: str) -> str:
    """A plain decimal."""
    if not are_plain(text):
        raise NotPlain("decimal")
    return text


def plain_text_if_said(text: str | None) -> str | None:
    """The same; empty or None is None."""
    return plain_text(text) if text else None


def without_sign(raw: Raw) -> str:
    """Of a JSON number, or the text of one."""
    return plain_number(raw, True).removeprefix("-")


def at_least_none(number: Raw) -> str:
    """A quantity; below zero nothing is there."""
    text = plain_number(number, True)
    return "0" if text.startswith("-") else text


def where_offered(number: Raw, amount: Raw) -> str | None:
    """A price; None where the amount is absent, null or 0."""
    return plain_number(number) if says(amount) and plain_number(amount).strip("0.") else None


def says(value: Any) -> bool:
    """Whether a wire field is there, not null and not empty."""
    return bytes(value) not in (b"", b"null") if type(value) is Raw else bool(value)


def ns(time: int) -> int:
    """Milliseconds or microseconds, told apart by their size, in nanoseconds."""
    return time * MS if time <= MOST // MS else time * 1_000


def close_of_iso(text: str, interval: str) -> int:
    """When a candle that opens then closes, in ns."""
    return close_time_ns(iso_ns(text) // MS, interval)


def not_negative(number: int) -> int:
    """The number; ValueError where the venue counts more than there are."""
    if number < 0:
        raise ValueError("more than there are numbers")
    return number


def ns_of_text(text: str | None) -> int | None:
    """Milliseconds as text, in ns; None, empty, zero and what is no number at all are None."""
    time = int(text) if text and text.isdecimal() else 0
    return time * MS if 0 < time <= MOST // MS else None


def number_if_said(raw: Raw, signed: bool = False) -> str | None:
    """A JSON number; null and absent (`Raw` without bytes) are None."""
    octets = bytes(raw)
    return None if octets in (b"", b"null") else plain_number(octets, signed)


_iso: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)", re.ASCII).fullmatch


def iso_ns(text: str) -> int:
    """``2026-10-06T08:04:56.153890Z``, up to nine decimals and always UTC; ValueError for what is no such time."""
    match = _iso(text)
    if match is None:
        raise ValueError("not a time in UTC")
    seconds = calendar.timegm(datetime.fromisoformat(match[1]).timetuple())
    if not 0 <= seconds <= MOST // 1_000_000_000:
        raise ValueError("a time that is not of our days")
    return seconds * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))


class Words(dict[Any, Any]):
    """A venue's words in ours."""

    def __missing__(self, word: Any) -> Any:
        raise ValueError("a word that is none of the venue's")
