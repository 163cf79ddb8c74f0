"""Was a series that is configured recorded at all, from the begin of the range to its end? Pure.

Two things say so. **Coverage** (`wsadapter.events.Coverage`): subscribed, acknowledged, not stale; then a series may be
as quiet as it likes. Where there is none (recorded before there was such a table), its **rows**: it was recorded from
the first to the last, and no longer than it is ever silent behind that (`Configured.patience_ns`).

What neither says, and no gap that is known, was not recorded: a hole that nothing explains. A recorder that is dead now
has one at the end of the range. Where a series was recorded for the first time within the range, its `START` explains
what is before; a gap that lasts explains the end. A series without rows is `missing`, unless it was covered all the
time: then it was quiet.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from wsadapter.audit.configured import Configured, SeriesKey
from wsadapter.audit.explanations import Explained, SeriesHole
from wsadapter.audit.rows import CoverageRow, GapRow
from wsadapter.events.gaps import accounts_since, may_concern
from wsadapter.times import SECOND

ALIVE_NS: Final = 45 * SECOND
"""A connection whose coverage was said so lately lives: a heartbeat, and the time that a row takes to the table."""
TOLERANCE_NS: Final = 5 * SECOND
"""Between clocks, and between rows by the venue's time and coverage by ours."""
START: Final = "start"
"""Explains what is before the first recording of a series."""

Span = tuple[int, int]


class Presence(Struct, frozen=True):
    """``missing`` and ``quiet``: series without rows, not recorded and covered all the time."""

    holes: tuple[Explained, ...] = ()
    missing: tuple[SeriesKey, ...] = ()
    quiet: tuple[SeriesKey, ...] = ()


class Range(Struct, frozen=True):
    """``since_ns`` None: from the first recording on. ``end_ns`` is no later than ``now_ns``."""

    since_ns: int | None
    end_ns: int
    now_ns: int


def presence(
    wanted: Iterable[Configured], rows: Mapping[SeriesKey, Span], coverage: Iterable[CoverageRow],
    gaps: Sequence[GapRow], within: Range,
) -> Presence:  # fmt: skip
    """``rows``: first and last time of each series that has some in the range."""
    covered: dict[SeriesKey, list[CoverageRow]] = {}
    for row in coverage:
        covered.setdefault((row.exchange, row.stream, row.symbol, row.interval), []).append(row)
    holes: list[Explained] = []
    missing, quiet = [], []
    for one in wanted:
        series = _Series(one, rows.get(one.key), covered.get(one.key, []), gaps, within)
        found = series.holes()
        if one.key in rows:
            holes += found
        elif series.is_quiet(found) if covered else series.may_be_quiet():
            quiet.append(one.key)
        else:
            missing.append(one.key)
    return Presence(tuple(holes), tuple(missing), tuple(quiet))


class _Series:
    def __init__(
        self, one: Configured, rows: Span | None, coverage: Sequence[CoverageRow], gaps: Sequence[GapRow], within: Range
    ) -> None:
        self._key, self._patience_ns, self._rows, self._within = one.key, one.patience_ns, rows, within
        self._coverage = coverage
        connections = {row.connection for row in coverage}
        self._gaps = [gap for gap in gaps if self._is_about(gap, connections)]
        self._recorded = _merged(self._spans())

    def _is_about(self, gap: GapRow, connections: set[str]) -> bool:
        exchange, stream, symbol, interval = self._key
        return (
            gap.exchange in ("", exchange) and gap.symbol in ("", symbol) and gap.stream in ("", stream)
            and gap.interval in ("", interval) and may_concern(gap, connections)
        )  # fmt: skip

    def _spans(self) -> list[Span]:
        within = self._within
        spans = [
            (row.from_ns, max(row.to_ns, within.now_ns) if row.to_ns > within.now_ns - ALIVE_NS else row.to_ns)
            for row in self._coverage
        ]
        if self._rows is not None:
            first_ns, last_ns = self._rows
            begun_ns = min((row.from_ns for row in self._coverage), default=None)
            if begun_ns is None:
                silent_ns = within.end_ns if self._patience_ns is None else last_ns + self._patience_ns + ALIVE_NS
                spans.append((first_ns, max(last_ns, silent_ns)))
            elif first_ns < begun_ns:
                spans.append((first_ns, max(first_ns, begun_ns)))
        return spans

    def is_quiet(self, holes: Sequence[Explained]) -> bool:
        """Of a series without rows: whether it was recorded all the time since its start."""
        return bool(self._recorded) and all(hole.by == START for hole in holes)

    def may_be_quiet(self) -> bool:
        """The same where there is no coverage of anything: as far as it may be silent for longer than the range is."""
        within, patience_ns = self._within, self._patience_ns
        if patience_ns is None:
            return True
        return within.since_ns is not None and within.end_ns - within.since_ns < patience_ns

    def holes(self) -> list[Explained]:
        """The parts of the range in which it was not recorded, as far as they are in no gap; those in one at the end of
        the range, and those before its first recording."""
        within, found = self._within, []
        if not self._recorded:
            return []
        first_ns = self._recorded[0][0]
        begin_ns = first_ns if within.since_ns is None else within.since_ns
        is_first = not self._coverage or self._coverage[0].first_ns >= begin_ns
        at_ns = begin_ns
        for start_ns, end_ns in (*self._recorded, (within.end_ns, within.end_ns)):
            hole = at_ns, min(start_ns, within.end_ns)
            if hole[1] - hole[0] > TOLERANCE_NS:
                if start_ns == first_ns and is_first:
                    # rows alone do not say whether there were others before
                    found += [self._hole(hole, START)] if self._coverage else []
                else:
                    found += self._explained(hole, is_last=hole[1] == within.end_ns)
            at_ns = max(at_ns, end_ns)
        return found

    def _explained(self, hole: Span, is_last: bool) -> list[Explained]:
        known = _merged(
            (
                accounts_since(gap.cause, gap.started_ns),
                self._within.now_ns if gap.ended_ns is None else gap.ended_ns,
            )
            for gap in self._gaps
        )
        rest = [each for each in _without(hole, known) if each[1] - each[0] > TOLERANCE_NS]
        if rest or not is_last:
            return [self._hole(each) for each in rest]
        last = max((gap for gap in self._gaps if gap.started_ns < hole[1]), key=lambda gap: gap.started_ns)
        return [self._hole(hole, last.cause, last.gap_id)]

    def _hole(self, span: Span, by: str = "", gap_id: str = "") -> Explained:
        exchange, stream, symbol, interval = self._key
        return Explained(
            SeriesHole(
                exchange, stream, symbol, interval, 0, 0, *span, *span, 0, 0, None, frozenset(), is_silence=True
            ),
            by, gap_id,
        )  # fmt: skip


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _without(hole: Span, known: Iterable[Span]) -> list[Span]:
    """What of the hole is in none of the spans, which do not touch each other."""
    rest, at = [], hole[0]
    for first, last in known:
        if last > at and first < hole[1]:
            rest.append((at, max(at, first)))
            at = max(at, last)
    return [*rest, (at, max(at, hole[1]))]
