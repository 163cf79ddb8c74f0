"""How an audit is shown: tables for a person, JSON for a program. No I/O but the console's."""

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from wsadapter.audit.conservation import BALANCED, UNEXPLAINED, Balance, Live
from wsadapter.audit.explanations import Explained
from wsadapter.audit.hops import HOPS
from wsadapter.audit.rows import Scope
from wsadapter.audit.sheet import add_row, plain_table, print_whole
from wsadapter.audit.tables import (
    COMPLETE,
    COUNTED,
    DEAD_LETTERS,
    EMPTY,
    EXPLAINED,
    FAILED,
    MISSING,
    QUIET,
    STUCK,
    AuditedSeries,
    Report,
)
from wsadapter.audit.tail import Tail
from wsadapter.times import SECOND, iso, short, span

MAX_SHOWN: Final = 200
"""Lines of a table; the JSON has all of them."""
MAX_HOLES_SHOWN: Final = 50
CLAIMED: Final = "repaired, but missing"
"""Of a hole in a gap that is said to be repaired."""

_WORDS: Final = ("exchange", "stream", "symbol", "of", "from", "to", "explained by", "gap", "hop", "verdict")
_COLORS: Final = {
    COMPLETE: "green", BALANCED: "green", COUNTED: "", EXPLAINED: "yellow", UNEXPLAINED: "bold red",
    DEAD_LETTERS: "bold red", STUCK: "bold red", EMPTY: "bold red",
    MISSING: "bold red", QUIET: "green",
}  # fmt: skip


def show(console: Console, scope: Scope, report: Report, live: Live | None) -> None:
    if report.series:
        _print_series(console, report.series)
    if report.holes:
        _print_holes(console, report.holes)
    if live is not None:
        _print_live(console, live)
    console.print(Text(_conclusion(scope, report, live)), soft_wrap=True)


def _print_series(console: Console, series: Sequence[AuditedSeries]) -> None:
    table = plain_table(
        "exchange", "stream", "symbol", "of", "rows", "FINAL", "repeats", "from", "to", "missing", "holes",
        "unexplained", "silence", "verdict", words=_WORDS,
    )  # fmt: skip
    rank = {UNEXPLAINED: 0, MISSING: 0, DEAD_LETTERS: 1, STUCK: 1, EXPLAINED: 2}
    ordered = sorted(series, key=lambda one: rank.get(one.verdict, 3))
    for one in ordered[:MAX_SHOWN]:
        missing = "" if not one.check else "?" if one.missing is None else f"{one.missing:,}"
        add_row(
            table, one.exchange, one.stream, one.symbol, one.kind, one.rows, one.rows_final, one.duplicates,
            short(one.first_ns or None), short(one.last_ns or None), missing,
            one.holes if one.check or one.holes else "", one.unexplained if one.check or one.holes else "",
            "" if one.silence_ns is None else span(one.silence_ns),
            _word(one.verdict),
        )  # fmt: skip
    print_whole(console, table)
    if len(ordered) > MAX_SHOWN:
        console.print(f"... and {len(ordered) - MAX_SHOWN:,} more series")
    console.print()


def _print_holes(console: Console, holes: Sequence[Explained]) -> None:
    table = plain_table(
        "exchange", "stream", "symbol", "of", "from", "to", "first", "last", "missing", "explained by", "gap",
        words=_WORDS,
    )  # fmt: skip
    for one in holes[:MAX_HOLES_SHOWN]:
        hole = one.hole
        first, last = _bounds(one)
        add_row(
            table, hole.exchange, hole.stream, hole.symbol, hole.kind, short(hole.started_ns), short(hole.ended_ns),
            first, last, "?" if hole.missing is None else hole.missing,
            _word(one.by) if one.by else _word(UNEXPLAINED, CLAIMED if one.claimed else ""), one.gap_id,
        )  # fmt: skip
    print_whole(console, table)
    if len(holes) > MAX_HOLES_SHOWN:
        console.print(f"... and {len(holes) - MAX_HOLES_SHOWN:,} more holes")
    console.print()


def _bounds(one: Explained) -> tuple[str, str]:
    hole = one.hole
    if hole.is_silence:
        return "", ""
    if hole.stream == "kline":
        return short(hole.first_missing), short(hole.last_missing)
    return str(hole.first_missing), str(hole.last_missing)


def _print_live(console: Console, live: Live) -> None:
    table = plain_table("hop", "stream", "in", "out", "set aside", "between", "verdict", words=_WORDS)
    for hop in HOPS:
        balances = [one for one in live.balances if one.hop == hop.name]
        if not balances:
            continue
        odd = [one for one in balances if one.verdict != BALANCED]
        for one in (*odd, _rest_of(hop.name, [one for one in balances if one.verdict == BALANCED])):
            if one is not None:
                shown = one.verdict if one.verdict == BALANCED else f"{one.verdict} {abs(one.rest):,}"
                add_row(
                    table, one.hop, one.stream, one.entered, one.exited, one.aside, one.rest, _word(one.verdict, shown)
                )  # fmt: skip
    print_whole(console, table)
    parts = [f"frames {live.frames:,}", f"events {live.events:,}"]
    parts += ["lag unknown" if live.lag is None else f"lag {live.lag:,}"]
    parts += [f"spooled {live.spooled:,}", f"sent again {live.repeated:,}", f"redelivered {live.redelivered:,}"]
    parts += [f"dead letters {sum(live.dead_letters.values()):,}"]
    for name, counts in (("decode errors", live.decode_errors), ("dropped", live.dropped), ("gaps", live.gaps),
                         ("restarts", live.restarts)):  # fmt: skip
        parts.append(f"{name} {' '.join(f'{word}={count:,}' for word, count in counts.items()) or 'none'}")
    console.print(Text("  ".join(parts)), soft_wrap=True)
    console.print()


def _rest_of(hop: str, balanced: Sequence[Balance]) -> Balance | None:
    """The streams of a hop that need no line of their own, as one."""
    if not balanced:
        return None
    if len(balanced) == 1:
        return balanced[0]
    entered, exited, aside = (sum(getattr(one, name) for one in balanced) for name in ("entered", "exited", "aside"))
    return Balance(hop, f"{len(balanced)} streams", entered, exited, aside, 0, BALANCED)


def _conclusion(scope: Scope, report: Report, live: Live | None) -> str:
    missing = [one for one in report.series if one.verdict == MISSING]
    if not any(one.rows for one in report.series):
        text = "no rows in this range" + (f" of {len(missing):,} series that are configured" if missing else "")
    else:
        checked = [one for one in report.series if one.check]
        text = f"{len(report.series):,} series ({len(checked):,} checked), {len(report.holes):,} holes, "
        text += f"{report.unexplained:,} unexplained"
        text += f", {len(missing):,} that are configured have no rows" if missing else ""
    tail = report.tail or Tail({}, {})
    for words, counts in (("in the dead letter topic", tail.dead_letters), ("stuck before the tables", tail.stuck)):
        if counts:
            text += f"; {words}: {', '.join(f'{stream} {count:,}' for stream, count in counts.items())}"
    for stream in report.truncated:
        text += f"; {stream} has more holes than were looked at, narrow the range"
    text += f"; since {iso(scope.since_ns)}" if scope.since_ns is not None else ""
    text += f"; until {iso(scope.until_ns)}" if scope.until_ns is not None else ""
    text += "; live: no monitor answers" if live is None else f"; live: {live.verdict} ({live.samples} samples)"
    if report.tail is None:
        text += "; Kafka does not answer: dead letters and what waits there are not counted"
    return f"tables: {report.verdict}: {text}"


def to_json(scope: Scope, report: Report, live: Live | None, failed: bool) -> dict[str, Any]:
    return {
        "verdict": report.verdict if not failed or report.verdict in FAILED else UNEXPLAINED,
        "range": {"since": iso(scope.since_ns), "until": iso(scope.until_ns)},
        "filters": {"exchange": scope.exchange, "symbol": scope.symbol, "stream": scope.stream},
        "unexplained": report.unexplained,
        "truncated": list(report.truncated),
        "dead_letters": None if report.tail is None else dict(report.tail.dead_letters),
        "stuck": None if report.tail is None else dict(report.tail.stuck),
        "series": [_series_json(one) for one in report.series],
        "holes": [_hole_json(one) for one in report.holes],
        "live": None if live is None else _live_json(live),
    }


def _series_json(one: AuditedSeries) -> dict[str, Any]:
    kline = one.stream == "kline"
    return {
        "exchange": one.exchange, "stream": one.stream, "symbol": one.symbol,
        "interval": one.kind if kline else "", "kind": "" if kline else one.kind,
        "rows": one.rows, "rows_final": one.rows_final, "duplicates": one.duplicates,
        "first": iso(one.first_ns or None), "last": iso(one.last_ns or None), "check": one.check or None,
        "missing": one.missing, "holes": one.holes, "unexplained": one.unexplained,
        "largest_silence_seconds": None if one.silence_ns is None else one.silence_ns / SECOND,
        "dead_letters": one.dead_letters, "stuck": one.stuck, "verdict": one.verdict,
    }  # fmt: skip


def _hole_json(one: Explained) -> dict[str, Any]:
    hole = one.hole
    kline = hole.stream == "kline"
    ids = (iso(hole.first_missing), iso(hole.last_missing)) if kline else (hole.first_missing, hole.last_missing)
    if hole.is_silence:
        ids = (None, None)
    return {
        "exchange": hole.exchange, "stream": hole.stream, "symbol": hole.symbol,
        "interval": hole.kind if kline else "", "kind": "" if kline else hole.kind,
        "first_missing": ids[0], "last_missing": ids[1], "missing": hole.missing,
        "started": iso(hole.started_ns), "ended": iso(hole.ended_ns),
        "explained_by": {"cause": one.by, "gap_id": one.gap_id} if one.by else None,
        "repaired_but_missing": one.gap_id if one.claimed else None,
    }  # fmt: skip


def _live_json(live: Live) -> dict[str, Any]:
    return {
        "verdict": live.verdict, "unexplained": live.unexplained, "samples": live.samples,
        "hops": [
            {"hop": one.hop, "stream": one.stream, "in": one.entered, "out": one.exited, "aside": one.aside,
             "between": one.rest, "verdict": one.verdict}
            for one in live.balances
        ],
        "frames": live.frames, "events": live.events, "decode_errors": dict(live.decode_errors),
        "dropped": dict(live.dropped), "gaps": dict(live.gaps), "spooled": live.spooled, "sent_again": live.repeated,
        "redelivered": live.redelivered, "dead_letters": sum(live.dead_letters.values()), "lag": live.lag,
        "restarts": dict(live.restarts),
    }  # fmt: skip


def _word(word: str, shown: str = "") -> Text:
    return Text(shown or word, _COLORS.get(word, "yellow"))
