"""Points in time as people write them and as tables show them: ``90m``, ``2d``, ``2026-11-22T10:00:00Z``; ns inside."""

import math
import re
from datetime import UTC, datetime
from typing import Final

from wsadapter.text import shown

SECOND: Final = 1_000_000_000
_DAYS: Final = re.compile(r"([0-9]{1,5})([dw])")
_SECONDS: Final = {"d": 86_400, "w": 7 * 86_400}
_PLAIN: Final = re.compile(r"[0-9]+(\.[0-9]*)?")
_PLAIN_DIGITS: Final = 6
"""So many mean seconds; more of them are a date (20261122) or a time since the epoch to whoever writes them."""
_FRACTION: Final = re.compile(r"[.,]([0-9]{1,9})")
FORMS: Final = (
    "a duration back from now (90s, 15m, 2h, 7d, 1w; seconds without a unit: 6 digits at most) or a time (2026-11-22, "
    "2026-11-22T10:00:00Z; UTC)"
)
UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_EXAMPLES: Final = '(e.g. "5s", "100ms", "1m", "2h", "7d" or a number of seconds)'


def duration(value: object) -> float:
    """Seconds of ``"5s"``, ``"100ms"``, ``"1m"``, ``"2h"``, ``"7d"`` or of a number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError("not a duration: must be finite")
        return float(value)
    if isinstance(value, str):
        if match := _DURATION.fullmatch(value):
            # 100 ms is 0.1 s, not 0.1 plus what binary multiplication adds
            return round(float(match[1]) * UNITS[match[2]], 9)
        raise ValueError(f"not a duration: {shown(value)} {_EXAMPLES}")
    raise ValueError(f"not a duration {_EXAMPLES}")


def moment(text: str, now_ns: int) -> int:
    """Nanoseconds since the epoch; `ValueError` says what is understood."""
    if back := _DAYS.fullmatch(text):
        return now_ns - int(back[1]) * _SECONDS[back[2]] * SECOND
    if plain := _PLAIN.fullmatch(text):
        if len(text.partition(".")[0]) > _PLAIN_DIGITS:
            raise ValueError(f"{shown(text)} is not {FORMS}")
        return now_ns - round(float(plain[0]) * SECOND)
    try:
        return now_ns - round(duration(text) * SECOND)
    except ValueError:
        pass
    try:
        # fromisoformat keeps microseconds; the tables have nanoseconds
        fraction = _FRACTION.search(text)
        parsed = datetime.fromisoformat(_FRACTION.sub("", text))
        whole = round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(text)} is not {FORMS}") from None
    found = whole * SECOND + (int(fraction[1].ljust(9, "0")) if fraction else 0)
    if not 0 <= found < 2**63:
        raise ValueError(f"{shown(text)} is not a time that the tables can hold")
    return found


def iso(at_ns: int | None) -> str | None:
    """``2026-11-22T10:00:00.123456789Z``."""
    if at_ns is None:
        return None
    try:
        whole = datetime.fromtimestamp(at_ns // SECOND, UTC)
    except (OverflowError, ValueError, OSError):
        return str(at_ns)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at_ns % SECOND:09d}Z"


def short(at_ns: int | None) -> str:
    """For a table: to the millisecond; empty for none."""
    text = iso(at_ns)
    return "" if text is None else text[:23].replace("T", " ")


def span(nanoseconds: int) -> str:
    """``1.234 s``, ``3 m 05 s``, ``2 h 07 m``, ``3 d 04 h``."""
    seconds = nanoseconds / SECOND
    if seconds < 60:
        return f"{seconds:.3f} s"
    whole = round(seconds)
    for unit, below, size in (("m", "s", 60), ("h", "m", 3600), ("d", "h", 86_400)):
        if whole < size * (60 if size == 60 else 24) or unit == "d":
            smaller = {60: 1, 3600: 60, 86_400: 3600}[size]
            return f"{whole // size} {unit} {whole % size // smaller:02d} {below}"
    raise AssertionError
