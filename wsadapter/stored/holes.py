"""Of which times something of a series is missing, from what tables ``coverage``, ``gap`` and ``rejected`` say of it.

Pure. The view ``complete`` (`wsadapter.clickhouse.completeness`) says whether, this says where, by the same rules: a
test holds the two together. Times are ours, of receiving, in ns.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from msgspec import Struct

from wsadapter.clickhouse.completeness import ALIVE_SECONDS, COMPLETE
from wsadapter.events.gaps import accounts_since, may_concern
from wsadapter.events.streams import RAW_TRADE

SECOND: Final = 10**9
UNRECORDED: Final = "unrecorded"
"""The cause of a span in which nobody was there, and of which no gap is known."""
REJECTED: Final = "rejected"
"""The cause of a span with rows that the series' table cannot keep: they are in table ``rejected``."""
REPAIRED: Final = "repaired"


class Covered(Struct, frozen=True):
    """A row of table ``coverage``, cut to nothing."""

    connection: str
    interval: str
    from_ns: int
    to_ns: int


class GapRow(Struct, frozen=True):
    """A row of table ``gap`` that may be about the series; empty fields mean all."""

    gap_id: str
    symbol: str
    stream: str
    interval: str
    connection: str
    cause: str
    repair_state: str
    started_ns: int
    ended_ns: int | None

    @property
    def named(self) -> int:
        """How narrow it is."""
        return sum((self.symbol != "", self.stream != "", self.stream == RAW_TRADE, self.interval != ""))


class RejectedRows(Struct, frozen=True):
    """Rows of table ``rejected`` that follow each other closely, from the first to the last."""

    interval: str
    first_ns: int
    last_ns: int


class Span(Struct, frozen=True, order=True):
    """From ``start_ns`` to ``end_ns`` something is missing, or was until it was fetched again (``state`` repaired).
    ``cause``: of the gap, or ``unrecorded``: nobody was there, and no gap says so, or ``rejected``: the table cannot
    keep it. ``lasts``: it has no end yet."""

    start_ns: int
    end_ns: int
    cause: str
    state: str
    gap_id: str = ""
    lasts: bool = False

    @property
    def missing(self) -> bool:
        return self.state != REPAIRED

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / SECOND


class Completeness(Struct, frozen=True):
    """Of a series in a range of time. ``gaps``: in order of their begin, repaired ones too, not cut to the range."""

    gaps: tuple[Span, ...]
    recorded: bool
    """Whether any of it was."""

    @property
    def missing(self) -> tuple[Span, ...]:
        return tuple(span for span in self.gaps if span.missing)

    @property
    def verdict(self) -> str:
        """``complete``, ``incomplete``, or ``missing``: nothing of it was recorded."""
        if not self.recorded:
            return "missing"
        return "incomplete" if self.missing else COMPLETE


def together(parts: Sequence[Completeness]) -> Completeness:
    """Of rows of several series: what is missing of those that were recorded."""
    recorded = [each for each in parts if each.recorded] or parts[:1]
    return Completeness(tuple(sorted({span for each in recorded for span in each.gaps})), recorded[0].recorded)


def completeness(
    covered: Sequence[Covered], gaps: Sequence[GapRow], rejected: Sequence[RejectedRows], begin_ns: int, end_ns: int,
    now_ns: int, interval: str = "",
) -> Completeness:  # fmt: skip
    """``interval``: of candles; else all of them together."""
    gaps = [gap for gap in gaps if gap.started_ns < end_ns and (gap.ended_ns is None or gap.ended_ns > begin_ns)]
    rejected = [each for each in rejected if each.first_ns < end_ns and each.last_ns >= begin_ns]
    end_ns = min(end_ns, now_ns)
    if interval:
        covered = [each for each in covered if each.interval == interval]
        gaps = [each for each in gaps if each.interval in ("", interval)]
        rejected = [each for each in rejected if each.interval == interval]
    connections = {each.connection for each in covered}
    found = [Span(each.first_ns, each.last_ns + 1, REJECTED, "unrepairable") for each in rejected]
    known, recorded = [], False
    for each in covered:
        lasts = now_ns if each.to_ns > now_ns - ALIVE_SECONDS * SECOND else each.to_ns
        known.append((each.from_ns, lasts))
        recorded |= each.from_ns < end_ns and lasts > begin_ns
    for gap in _narrowest([gap for gap in gaps if may_concern(gap, connections)], interval):
        ended = now_ns if gap.ended_ns is None else gap.ended_ns
        known.append((accounts_since(gap.cause, gap.started_ns), ended))
        found.append(Span(gap.started_ns, ended, gap.cause, gap.repair_state, gap.gap_id, lasts=gap.ended_ns is None))
    at = begin_ns
    for start, stop in sorted(known):
        if stop <= at or start >= end_ns:
            continue
        if start > at:
            found.append(Span(at, start, UNRECORDED, "unrepairable"))
        at = stop
    if at < end_ns:
        found.append(Span(at, end_ns, UNRECORDED, "unrepairable"))
    return Completeness(tuple(sorted(found)), recorded)


def _narrowest(gaps: Sequence[GapRow], interval: str) -> list[GapRow]:
    """Of several rows of one gap the one that says most about the series. One about a single interval says nothing of
    the others where all are asked about."""
    named: dict[str, int] = {}
    for gap in gaps:
        if gap.interval in ("", interval):
            named[gap.gap_id] = max(gap.named, named.get(gap.gap_id, 0))
    return [gap for gap in gaps if gap.interval not in ("", interval) or gap.named == named[gap.gap_id]]


def marked(moments: Sequence[int], missing: Iterable[Span], begin_ns: int) -> list[bool]:
    """For each row, by its moment, in the rows' order: whether something is missing between the row before it and it;
    of the first one, since ``begin_ns``."""
    flags = [False] * len(moments)
    reached = list(accumulate(moments, max))
    for span in missing:
        first, last = bisect_right(reached, span.start_ns), bisect_left(reached, span.end_ns)
        for index in range(first, min(last + 1, len(flags))):
            before = max(begin_ns, reached[index - 1]) if index else begin_ns
            flags[index] |= moments[index] > span.start_ns and span.end_ns > before
    return flags
