"""How long tables keep rows (``clickhouse.ttl_days``): their TTL. Text only.

A row of ``coverage`` goes on the day on which the rows go that it is about, by the UTC day on which both begin: what
was removed is not called complete. A row of coverage is of one day; the seconds of the next one that it ends with are
time without coverage then.
"""

from collections.abc import Mapping
from typing import Final

from wsadapter.clickhouse.conversion import literal, quoted
from wsadapter.events.streams import SPECS

COVERAGE: Final = "coverage"


def ttl(column: str, days: int | None) -> str:
    # Date lasts until 2149; DateTime ends in 2106, and a sum beyond it would expire at once
    return f"toDate({quoted(column)}) + INTERVAL {days} DAY" if days else ""


def coverage_days(ttl_days: Mapping[str, int], stream: str) -> int | None:
    """Of the rows of coverage about a stream."""
    return min((ttl_days[table] for table in (COVERAGE, stream) if table in ttl_days), default=None)


def coverage_ttl(ttl_days: Mapping[str, int]) -> str:
    """One rule for the streams that are kept as long: ClickHouse tells rules apart by their times alone."""
    own = ttl_days.get(COVERAGE)
    streams: dict[int, list[str]] = {}
    for spec in SPECS:
        days = coverage_days(ttl_days, spec.name)
        if days and days != own and not spec.ours:
            streams.setdefault(days, []).append(literal(spec.name))
    rules = [ttl("from", own)] if own else []
    rules += [f"{ttl('from', days)} DELETE WHERE stream IN ({', '.join(streams[days])})" for days in sorted(streams)]
    return ", ".join(rules)
