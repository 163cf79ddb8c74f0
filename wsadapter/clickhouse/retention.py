"""How long tables keep rows (``clickhouse.ttl_days``): their TTL. Text only.

A row of ``coverage`` goes on the day on which the rows go that it is about, by the UTC day on which both begin: what
was removed is not called complete. A row of coverage is of one day; the seconds of the next one that it ends with are
time without coverage then.
"""

from collections.abc import Mapping
from typing import Final

from wsadapter.clickhouse.conversion import literal, quoted
from wsadapter.events.streams import RAW_TRADE, SPECS, stream_of

COVERAGE: Final = "coverage"
DAY_NS: Final = 86_400 * 10**9
WORDS: Final = (*(spec.name for spec in SPECS if not spec.ours), RAW_TRADE)
"""What rows of coverage are about."""


def ttl(column: str, days: int | None) -> str:
    # Date lasts until 2149; DateTime ends in 2106, and a sum beyond it would expire at once
    return f"toDate({quoted(column)}) + INTERVAL {days} DAY" if days else ""


def kept_from(days: int | None, now_ns: int) -> int:
    """Where the first UTC day begins whose rows are kept."""
    return (now_ns // DAY_NS - days + 1) * DAY_NS if days else 0


def coverage_days(ttl_days: Mapping[str, int], word: str) -> int | None:
    """Of the rows of coverage of this word."""
    return min((ttl_days[table] for table in (COVERAGE, stream_of(word)) if table in ttl_days), default=None)


def coverage_ttl(ttl_days: Mapping[str, int]) -> str:
    """One rule for the words that are kept as long: ClickHouse tells rules apart by their times alone."""
    own = ttl_days.get(COVERAGE)
    words: dict[int, list[str]] = {}
    for word in WORDS:
        days = coverage_days(ttl_days, word)
        if days and days != own:
            words.setdefault(days, []).append(literal(word))
    rules = [ttl("from", own)] if own else []
    rules += [f"{ttl('from', days)} DELETE WHERE stream IN ({', '.join(words[days])})" for days in sorted(words)]
    return ", ".join(rules)
