"""The audit of the tables: is every series complete in a range of time, and what explains each hole in it?

Asks for aggregates only (`wsadapter.audit.queries`), so it costs the server one pass over the range, and this process
next to nothing. Owns nothing; ``ask`` runs a query and returns its rows as JSON lines.

Each series is checked by the numbers of its stream (column ``sequence`` of `wsadapter.events.streams.StreamSpec`):
trades are numbered without a break; a diff of a book names the one before it; a candle opens when the one before it
closed. Other streams, and series without numbers, are counted, and their longest silence is shown.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct, structs

from wsadapter.audit import queries
from wsadapter.audit.configured import Configured, SeriesKey
from wsadapter.audit.explanations import Explained, Explanations, SeriesHole, hole
from wsadapter.audit.presence import Presence, Range, presence
from wsadapter.audit.queries import CHECKS, MAX_HOLES, MAX_SERIES
from wsadapter.audit.rows import (
    STREAMS,
    CoverageRow,
    GapRow,
    Neighbours,
    Rejected,
    Scope,
    SeriesCount,
    Silence,
    Venue,
)
from wsadapter.audit.tail import Tail
from wsadapter.clickhouse.client import Ask, decode_rows
from wsadapter.errors import WsadapterError
from wsadapter.events.streams import BY_STREAM, RAW_TRADE
from wsadapter.exchanges import REGISTRY, load_archive
from wsadapter.exchanges.archives import Archive

COMPLETE: Final = "complete"
EXPLAINED: Final = "explained"
UNEXPLAINED: Final = "unexplained"
COUNTED: Final = "counted"
"""No sequence to check."""
DEAD_LETTERS: Final = "dead letters"
STUCK: Final = "stuck"
EMPTY: Final = "empty"
"""Nothing was recorded."""
MISSING: Final = "missing"
"""It is configured, and nothing of it was recorded."""
QUIET: Final = "quiet"
"""It was recorded all the time, and the venue sent nothing."""
FAILED: Final = (UNEXPLAINED, DEAD_LETTERS, STUCK, EMPTY, MISSING)
"""Verdicts of what nobody can call complete."""


class AuditedSeries(Struct, frozen=True):
    """One stream of one symbol (of one interval, of raw or aggregated trades, of diffs or books of a depth).

    ``rows`` as stored, ``rows_final`` without repeats of the same key. ``missing``: events in its holes, None where ids
    do not say. ``silence_ns``: the longest time between two events, of streams without a sequence. ``dead_letters`` and
    ``stuck``: messages of its stream that are in no table; of which symbol, nobody counts."""

    exchange: str
    stream: str
    symbol: str
    kind: str
    rows: int
    rows_final: int
    first_ns: int
    last_ns: int
    check: str
    missing: int | None
    holes: int
    unexplained: int
    silence_ns: int | None
    dead_letters: int = 0
    stuck: int = 0
    without_rows: str = ""
    """`MISSING` or `QUIET`."""

    @property
    def duplicates(self) -> int:
        return max(0, self.rows - self.rows_final)

    @property
    def verdict(self) -> str:
        if self.unexplained or self.without_rows == MISSING:
            return self.without_rows or UNEXPLAINED
        if self.dead_letters or self.stuck:
            return DEAD_LETTERS if self.dead_letters else STUCK
        if not self.check:
            return self.without_rows or (EXPLAINED if self.holes else COUNTED)
        return EXPLAINED if self.holes else COMPLETE


class Report(Struct, frozen=True):
    """``truncated``: streams with more holes than were looked at; those count as unexplained. ``tail``: what is in no
    table, None when that is not known."""

    series: tuple[AuditedSeries, ...]
    holes: tuple[Explained, ...]
    truncated: tuple[str, ...]
    tail: Tail | None = None

    @property
    def unexplained(self) -> int:
        return sum(not one.by for one in self.holes)

    def is_fresh(self, at_ns: int) -> bool:
        """Whether what is unexplained may explain itself: a hole that ended since then, whose gap row may still be on
        its way; or one that is said to be repaired, whose rows may be."""
        shown = [one for one in self.holes if not one.hole.is_silence]
        return any(one.claimed or (not one.by and one.hole.ended_ns >= at_ns) for one in shown)

    @property
    def verdict(self) -> str:
        if self.unexplained or self.truncated:
            return UNEXPLAINED
        if self.tail is not None and (self.tail.dead_letters or self.tail.stuck):
            return DEAD_LETTERS if self.tail.dead_letters else STUCK
        if any(one.verdict == MISSING for one in self.series):
            return MISSING
        if not any(one.rows for one in self.series):
            return EMPTY
        return EXPLAINED if self.holes else COMPLETE

    def with_tail(self, tail: Tail | None) -> "Report":
        """The same, with what was recorded and is in no table."""
        if tail is None:
            return self
        series = (
            structs.replace(one, dead_letters=tail.dead_letters.get(one.stream, 0), stuck=tail.stuck.get(one.stream, 0))
            for one in self.series
        )
        return structs.replace(self, series=tuple(series), tail=tail)


class TooMuch(WsadapterError):
    """More series than one audit looks at."""


def audit(ask: Ask, database: str, scope: Scope, retention_ns: int, wanted: Sequence[Configured] = ()) -> Report:
    """``wanted``: the series that the configuration asks for; without rows they are no less audited."""
    end_ns = scope.now_ns if scope.until_ns is None else min(scope.until_ns, scope.now_ns)
    # before the rows: they are inserted before what says that they are there
    covered = decode_rows(ask(queries.coverage(database, scope, end_ns)), CoverageRow) if wanted else []
    by_stream = {stream: _holes(ask, database, stream, scope) for stream in scope.streams if stream in CHECKS}
    explained = _explain(ask, database, scope, by_stream, retention_ns)
    series = [one for stream in scope.streams for one in _series(ask, database, stream, scope, explained)]
    if wanted:
        found = _presence(ask, database, scope, wanted, series, covered, end_ns)
        explained = [*explained, *found.holes]
        series = _with_presence(series, found)
    return Report(
        tuple(series),
        tuple(sorted(explained, key=lambda one: (bool(one.by), one.hole.started_ns))),
        tuple(stream for stream, holes in by_stream.items() if len(holes) > MAX_HOLES),
    )


def _holes(ask: Ask, database: str, stream: str, scope: Scope) -> list[SeriesHole]:
    burning = _burning(ask, database) if stream == "trade" else ()
    rows = decode_rows(ask(queries.holes(database, BY_STREAM[stream], scope, burning)), Neighbours)
    return [hole(stream, row) for row in rows]


def _burning(ask: Ask, database: str) -> list[str]:
    """Venues whose files of single trades skip numbers that no trade has."""
    words = [row.exchange for row in decode_rows(ask(queries.imported(database)), Venue)]
    forms = {word: archive.format(stream=RAW_TRADE) for word in words if (archive := _archive(word))}
    return [word for word, form in forms.items() if form is not None and form.number is None]


def _archive(word: str) -> Archive | None:
    return load_archive(word) if word in REGISTRY else None


def _explain(
    ask: Ask, database: str, scope: Scope, by_stream: dict[str, list[SeriesHole]], retention_ns: int
) -> list[Explained]:
    every = [one for holes in by_stream.values() for one in holes]
    if not every:
        return []
    first_ns, last_ns = min(one.started_ns for one in every), max(one.ended_ns for one in every)
    gaps = decode_rows(ask(queries.gaps(database, scope, first_ns, last_ns)), GapRow)
    explanations = Explanations(gaps, retention_ns)
    explained = []
    for stream, holes in by_stream.items():
        answer = explanations.explain(holes)
        if any(not one.by for one in answer):
            query = queries.rejected(database, stream, scope, first_ns, last_ns)
            answer = explanations.explain(holes, decode_rows(ask(query), Rejected))
        explained += answer
    return explained


def _presence(
    ask: Ask, database: str, scope: Scope, wanted: Sequence[Configured], series: Sequence[AuditedSeries],
    covered: Sequence[CoverageRow], end_ns: int,
) -> Presence:  # fmt: skip
    rows: dict[SeriesKey, tuple[int, int]] = {}
    for one in series:
        first_ns, last_ns = rows.get(_place(one), (one.first_ns, one.last_ns))
        rows[_place(one)] = min(first_ns, one.first_ns), max(last_ns, one.last_ns)
    since_ns = scope.since_ns
    first_ns = min((*(row.from_ns for row in covered), *(first for first, _ in rows.values())), default=end_ns)
    if not (rows or covered):
        return Presence(missing=tuple(one.key for one in wanted))
    gaps = decode_rows(ask(queries.gaps_within(database, scope, since_ns or first_ns, end_ns)), GapRow)
    return presence(wanted, rows, covered, gaps, Range(since_ns, end_ns, scope.now_ns))


def _place(one: AuditedSeries) -> SeriesKey:
    return one.exchange, one.stream, one.symbol, one.kind if one.stream == "kline" else ""


def _with_presence(series: Sequence[AuditedSeries], found: Presence) -> list[AuditedSeries]:
    """Of several kinds of one stream (books of a depth, diffs) the newest one has the holes of all."""
    newest = {_place(one): one for one in sorted(series, key=lambda one: one.last_ns)}
    holes: dict[SeriesKey, list[Explained]] = {}
    for each in found.holes:
        hole = each.hole
        holes.setdefault((hole.exchange, hole.stream, hole.symbol, hole.kind), []).append(each)
    result = []
    for one in series:
        own = holes.get(_place(one), []) if newest[_place(one)] is one else []
        result.append(
            structs.replace(
                one, holes=one.holes + len(own), unexplained=one.unexplained + sum(not each.by for each in own)
            )
        )
    for keys, word in ((found.missing, MISSING), (found.quiet, QUIET)):
        for exchange, stream, symbol, interval in keys:
            result.append(
                AuditedSeries(exchange, stream, symbol, interval, 0, 0, 0, 0, "", None, 0, 0, None, without_rows=word)
            )
    order = {stream: number for number, stream in enumerate(STREAMS)}
    return sorted(result, key=lambda one: (order[one.stream], one.exchange, one.symbol, one.kind))


def _series(ask: Ask, database: str, stream: str, scope: Scope, explained: Sequence[Explained]) -> list[AuditedSeries]:
    spec, check = BY_STREAM[stream], CHECKS.get(stream, "")
    rows = decode_rows(ask(queries.counts(database, spec, scope)), SeriesCount)
    if len(rows) >= MAX_SERIES:
        raise TooMuch(f"{stream}: more than {MAX_SERIES} series; name an --exchange or a --symbol")
    silent = {}
    if any(row.rows_numbered < row.rows_final for row in rows):
        silent = {
            _key(one): one.silence_ns for one in decode_rows(ask(queries.silences(database, spec, scope)), Silence)
        }
    holes: dict[tuple[str, str, str], list[Explained]] = {}
    for one in explained:
        if one.hole.stream == stream:
            holes.setdefault(_key(one.hole), []).append(one)
    return [_one(stream, check, row, silent, holes.get(_key(row), [])) for row in rows]


def _one(
    stream: str, check: str, row: SeriesCount, silent: dict[tuple[str, str, str], int], holes: Sequence[Explained]
) -> AuditedSeries:
    if not row.rows_numbered:
        check = ""
    counts = [one.hole.missing for one in holes]
    return AuditedSeries(
        row.exchange, stream, row.symbol, row.kind,
        row.rows, row.rows_final, row.first_ns, row.last_ns, check,
        None if not check or None in counts else sum(filter(None, counts)),
        len(holes), sum(not one.by for one in holes), silent.get(_key(row)),
    )  # fmt: skip


def _key(row: SeriesCount | Silence | SeriesHole) -> tuple[str, str, str]:
    return row.exchange, row.symbol, row.kind
