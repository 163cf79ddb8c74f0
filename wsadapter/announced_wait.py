"""How long a host asks to be left alone: what its headers and the text of its error announce. Pure, for every venue.

Known forms: ``Retry-After`` in seconds or as a date; a header with the end of a limit (ms since the epoch); texts with
a moment ("IP banned until 1573024520000", "Throttled: 1573024520", "retryAfter": 1573024520000) or a duration ("try
again in 10 minutes"). A moment is compared with the host's own clock (``Date``) where that is near ours.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

MAX_SECONDS: Final = 7 * 86_400.0
MOST_TEXT: Final = 4_096
NEAR_SECONDS: Final = 3_600.0
"""A host's clock that differs by more is a cached page's, or ours is not set."""
_UNTIL: Final = re.compile(r"(?:until|throttled|retry.?after)\D{0,20}(\d{10}(?:\d{3})?)(?!\d)", re.IGNORECASE)
_AGAIN_IN: Final = re.compile(
    r"(?:retry|again|wait|banned|blocked)\D{0,30}(\d{1,7}(?:\.\d{1,3})?)\s*"
    r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)\b",
    re.IGNORECASE,
)
_UNITS: Final = {"ms": 0.001, "mi": 60.0, "s": 1.0, "m": 60.0, "h": 3_600.0}


def of_headers(headers: Mapping[str, str], reset_header: str, wall: float) -> float | None:
    """Seconds from now; None where nothing is announced. ``headers``: lower case, ``wall``: `host_clock`."""
    retry_after = headers.get("retry-after", "").strip()
    if (seconds := number(retry_after)) is not None:
        return min(float(seconds), MAX_SECONDS)
    moment = _date(retry_after)
    if moment is None and reset_header and (ms := headers.get(reset_header, "").strip()).isascii() and ms.isdecimal():
        moment = int(ms[:16]) / 1_000
    return None if moment is None else _until(moment, wall)


def of_text(body: bytes, wall: float) -> float | None:
    """Seconds from now that an error's body announces; None where it announces nothing that is still to come."""
    text = body[:MOST_TEXT].decode(errors="replace")
    if (moment := _UNTIL.search(text)) is not None:
        return _until(int(moment[1]) / (1_000 if len(moment[1]) == 13 else 1), wall)
    if (duration := _AGAIN_IN.search(text)) is not None:
        unit = duration[2].lower()
        factor = _UNITS["ms" if unit.startswith(("ms", "milli")) else unit[:1]]
        return min(float(duration[1]) * factor, MAX_SECONDS)
    return None


def host_clock(headers: Mapping[str, str], wall: float) -> float:
    """The host's time (seconds since the epoch), ours where it says none that can be."""
    date = host_date(headers)
    return wall if date is None or abs(date - wall) > NEAR_SECONDS else date


def host_date(headers: Mapping[str, str]) -> float | None:
    """When the host made its answer, in whole seconds since the epoch; None where it does not say."""
    return _date(headers.get("date", ""))


def number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _until(moment: float, wall: float) -> float | None:
    seconds = moment - wall
    return min(seconds, MAX_SECONDS) if seconds > 0 else None
