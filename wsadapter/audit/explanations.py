"""Holes in a series, and what explains them. Pure.

A `gap` row explains a hole when it is about the same exchange, symbol, stream, interval, connection (empty: all), and

* names ids: together with others like it, it covers all the ids that are missing (``filler``: the venue gave them to no
  event); or
* names none: its time and the hole's, from the last event before to the first after, overlap.

A gap that has not ended explains only what was missed from its beginning on: once its connection delivered again, it
was over, whether its end was recorded or not. A `kafka_retention` that does not know when the lost messages came (it
ends where it begins, when it was found) explains of each series the last hole before that. Rows kept as text in table
``rejected`` explain what they are.

One that is ``repaired`` says that nothing is missing: it explains nothing, and a hole in it is a claim that is wrong.
Of a gap of all streams, the rows about single ones say what it is of them; while it is open, it is of all others what
its own row says.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from wsadapter.audit.rows import GapRow, Neighbours, Rejected
from wsadapter.events.gaps import GapCause, RepairState, may_concern
from wsadapter.times import SECOND

TOLERANCE_NS: Final = SECOND
CANDLE_TOLERANCE_NS: Final = 10 * SECOND
"""A candle's last word comes seconds after its close."""
REJECTED: Final = "rejected"
MONTH_NS: Final = 27 * 86_400 * SECOND
"""A longer candle is a month's: it has no fixed length."""


class SeriesHole(Struct, frozen=True):
    """``before``/``after`` as in `Neighbours`. ``started_ns``/``ended_ns``: when, by our clock, what is missing would
    have come in. ``first_missing``/``last_missing``: ids (of candles: open times in ns). ``missing``: how many events,
    None where the venue's ids do not say."""

    exchange: str
    stream: str
    symbol: str
    kind: str
    before: int
    after: int
    before_ns: int
    after_ns: int
    started_ns: int
    ended_ns: int
    first_missing: int
    last_missing: int
    missing: int | None
    connections: frozenset[str]
    """That delivered its neighbours; empty: not known."""
    is_silence: bool = False
    """No numbers show it: nothing was recorded (`wsadapter.audit.presence`)."""


class Explained(Struct, frozen=True):
    """``by``: a gap's cause or ``rejected``; empty: by nothing. ``gap_id`` of one of the gaps. ``claimed``: by nothing,
    and that gap's state says ``repaired``."""

    hole: SeriesHole
    by: str = ""
    gap_id: str = ""
    claimed: bool = False


def hole(stream: str, n: Neighbours) -> SeriesHole:
    started_ns, ended_ns = n.before_at_ns, n.after_at_ns
    first, last = n.before + 1, n.after
    count: int | None = n.after - n.before
    if stream == "depth":
        # ids are the venue's engine's, and each diff takes many
        first, last, count = min(n.before + 1, n.after), max(n.before + 1, n.after), None
    elif stream == "kline":
        first, last, count = n.before, n.after - 1, _candles(n)
        started_ns, ended_ns = _candle_times(n)
    named = frozenset(filter(None, (n.before_from, n.after_from)))
    return SeriesHole(
        n.exchange, stream, n.symbol, n.kind, n.before, n.after, n.before_ns, n.after_ns,
        min(started_ns, ended_ns), max(started_ns, ended_ns), first, last, count, named,
    )  # fmt: skip


def _candles(n: Neighbours) -> int:
    if n.length_ns > MONTH_NS:
        first, following = (datetime.fromtimestamp(at // SECOND, UTC) for at in (n.before, n.after))
        return max(1, (following.year - first.year) * 12 + following.month - first.month)
    return max(1, round((n.after - n.before) / n.length_ns)) if n.length_ns > 0 else 1


def _candle_times(n: Neighbours) -> tuple[int, int]:
    """Each missing candle would have come when it closed; how the venue's clock and ours differ, its neighbours say."""
    lag_before, lag_after = n.before_at_ns - n.before_ns, n.after_at_ns - n.after_ns
    first_close, last_close = n.before + min(n.length_ns, n.after - n.before), n.after
    started = first_close + min(lag_before, lag_after) - CANDLE_TOLERANCE_NS
    ended = last_close + max(lag_before, lag_after) + CANDLE_TOLERANCE_NS
    return max(started, n.before_at_ns), min(ended, n.after_at_ns)


class Explanations:
    """What is known of losses, looked up hole by hole."""

    def __init__(self, gaps: Iterable[GapRow], retention_ns: int) -> None:
        self._retention_ns = retention_ns
        all_of_them, self._streams = _apart(gaps)
        self._retention = [gap for gap in all_of_them if _is_found_late(gap)]
        by_ids = [gap for gap in all_of_them if _names_ids(gap)]
        self._ids = _Ids(gap for gap in by_ids if not _claims(gap))
        self._claimed_ids = _Ids(gap for gap in by_ids if _claims(gap))
        # trades say by their numbers what is missing: being near in time is not enough then
        timed = [g for g in all_of_them if not _is_found_late(g) and not (_names_ids(g) and g.stream == "trade")]
        self._timed = sorted(timed, key=lambda gap: gap.started_ns)
        self._starts = [gap.started_ns for gap in self._timed]
        self._longest_ns = max((gap.ended_ns - gap.started_ns for gap in timed if gap.ended_ns is not None), default=0)

    def explain(self, holes: Sequence[SeriesHole], rejected: Sequence[Rejected] = ()) -> list[Explained]:
        """The holes of one stream, each with what explains it."""
        kept = _RejectedRows(rejected)
        late = self._last_before_discovery(holes)
        return [self._explain(one, late.get(number), kept) for number, one in enumerate(holes)]

    def _explain(self, one: SeriesHole, late: GapRow | None, kept: "_RejectedRows") -> Explained:
        met = self._meeting(one)
        gap = self._ids.covering(one) or next((gap for gap in met if gap.repair_state != RepairState.REPAIRED), late)
        if gap is not None:
            return Explained(one, gap.cause, gap.gap_id)
        if kept.covers(one):
            return Explained(one, REJECTED)
        claim = self._claimed_ids.touching(one) or next(iter(met), None)
        return Explained(one) if claim is None else Explained(one, "", claim.gap_id, True)

    def _meeting(self, one: SeriesHole) -> list[GapRow]:
        """Gaps of the same time, whatever became of them."""
        met = []
        first_ns, last_ns = one.started_ns - TOLERANCE_NS, one.ended_ns + TOLERANCE_NS
        low = bisect_left(self._starts, first_ns - max(0, self._longest_ns))
        for gap in self._timed[low : bisect_right(self._starts, last_ns)]:
            # one that did not end explains only what began with it
            end_ns = gap.started_ns if gap.ended_ns is None else gap.ended_ns
            if end_ns >= first_ns and about(gap, one):
                met += self._rows_about(gap, one)
        return met

    def _rows_about(self, gap: GapRow, one: SeriesHole) -> list[GapRow]:
        """The gap, or where it has rows about single streams, those about the hole's series. Beside one that is open
        they are of files (`wsadapter.archives.filled_gaps`), and say nothing of other series."""
        streams = self._streams.get(gap.gap_id)
        named = [row for row in streams or () if about(row, one)]
        whole = streams is None or gap.repair_state == RepairState.OPEN
        return named or ([gap] if whole else [])

    def _last_before_discovery(self, holes: Sequence[SeriesHole]) -> dict[int, GapRow]:
        """Number of a hole -> the `kafka_retention` that took its events: in each series the last one before it."""
        explained: dict[int, GapRow] = {}
        for gap in self._retention:
            latest: dict[tuple[str, str, str], int] = {}
            for number, one in enumerate(holes):
                before = gap.started_ns - self._retention_ns <= one.started_ns <= gap.started_ns + TOLERANCE_NS
                if before and about(gap, one):
                    key = (one.exchange, one.symbol, one.kind)
                    if key not in latest or holes[latest[key]].started_ns <= one.started_ns:
                        latest[key] = number
            explained |= dict.fromkeys(latest.values(), gap)
        return explained


def about(gap: GapRow, one: SeriesHole) -> bool:
    """Whether the gap is about the hole's series at all; a word that is empty means every one."""
    return (
        gap.exchange in ("", one.exchange)
        and gap.symbol in ("", one.symbol)
        and gap.stream in ("", one.stream)
        and (one.stream != "kline" or gap.interval in ("", one.kind))
        and may_concern(gap, one.connections)
    )


def _apart(gaps: Iterable[GapRow]) -> tuple[list[GapRow], dict[str, list[GapRow]]]:
    """The gaps, and of those about all streams the rows of single ones (`wsadapter.roles.repairer.gap_outcomes`) by
    ``gap_id``."""
    rows = list(gaps)
    whole = {row.gap_id for row in rows if not row.stream}
    streams: dict[str, list[GapRow]] = {}
    for row in rows:
        if row.stream and row.gap_id in whole:
            streams.setdefault(row.gap_id, []).append(row)
    return [row for row in rows if not (row.stream and row.gap_id in whole)], streams


def _is_found_late(gap: GapRow) -> bool:
    """Its times are those of its discovery, long after the loss."""
    return gap.cause == GapCause.KAFKA_RETENTION and gap.ended_ns in (None, gap.started_ns)


def _claims(gap: GapRow) -> bool:
    """Whether it says that events are there which were missing."""
    return gap.repair_state == RepairState.REPAIRED and gap.cause != GapCause.FILLER


def _names_ids(gap: GapRow) -> bool:
    return bool(
        gap.symbol and gap.stream and gap.first_missing is not None and gap.last_missing is not None
        and gap.first_missing <= gap.last_missing
    )  # fmt: skip


class _Ids:
    """The ids that gaps name, per series, as runs that do not touch."""

    def __init__(self, gaps: Iterable[GapRow]) -> None:
        self._runs: dict[tuple[str, str, str], list[tuple[int, int, GapRow]]] = {}
        for gap in sorted(gaps, key=lambda gap: gap.first_missing or 0):
            runs = self._runs.setdefault((gap.exchange, gap.symbol, gap.stream), [])
            first, last = gap.first_missing or 0, gap.last_missing or 0
            if runs and first <= runs[-1][1] + 1:
                begin, end, known = runs[-1]
                runs[-1] = begin, max(end, last), known
            else:
                runs.append((first, last, gap))

    def covering(self, one: SeriesHole) -> GapRow | None:
        """All that is missing is named."""
        runs = self._runs.get((one.exchange, one.symbol, one.stream), [])
        place = bisect_right(runs, one.first_missing, key=lambda run: run[0]) - 1
        return runs[place][2] if place >= 0 and runs[place][1] >= one.last_missing else None

    def touching(self, one: SeriesHole) -> GapRow | None:
        """Some of what is missing is named."""
        runs = self._runs.get((one.exchange, one.symbol, one.stream), [])
        place = bisect_right(runs, one.last_missing, key=lambda run: run[0]) - 1
        return runs[place][2] if place >= 0 and runs[place][1] >= one.first_missing else None


class _RejectedRows:
    """Rejected rows by series, in order of time."""

    def __init__(self, rows: Iterable[Rejected]) -> None:
        self._times: dict[tuple[str, str], list[int]] = {}
        for row in rows:
            self._times.setdefault((row.exchange, row.symbol), []).append(row.at_ns)

    def covers(self, one: SeriesHole) -> bool:
        """As many as are missing came in meanwhile."""
        times = self._times.get((one.exchange, one.symbol), [])
        between = bisect_right(times, one.ended_ns) - bisect_left(times, one.started_ns)
        return between >= (one.missing or 1)
