"""What became of each stream of a gap that is about all of them: rows of their own beside the gap's. Pure.

A connection that carries tickers is at best `partial`, however whole its trades are. So each of its streams gets a row
with the gap's ``gap_id`` that names it: of all symbols where they are alike, else of each symbol, or even interval. No
two of them are about the same series. A gap that names its stream, or is whole, needs none. Where it is known which ids
the venue did not give, a symbol's row says so.
"""

from collections.abc import Collection, Sequence
from typing import Final

from wsadapter.events import Gap
from wsadapter.events.gaps import RepairState, with_state
from wsadapter.events.streams import SPECS
from wsadapter.exchanges.rest_api import Filled, Series

RECEIVED: Final = tuple(spec.name for spec in SPECS if not (spec.ours or spec.name == "open_interest"))
"""What a connection may carry."""

Outcomes = Sequence[tuple[Series, Filled]]


def summed(states: Collection[RepairState]) -> RepairState:
    """Of several series as one."""
    different = set(states)
    return different.pop() if len(different) == 1 else RepairState.PARTIAL if different else RepairState.UNREPAIRABLE


def with_outcome(gap: Gap, outcomes: Outcomes) -> Gap:
    """The gap's next record."""
    row = with_state(gap, summed([filled.state for _, filled in outcomes]))
    if gap.stream and len(outcomes) == 1:
        _name_missing(row, outcomes[0][1])
    return row


def streams_of(gap: Gap, outcomes: Outcomes) -> list[Gap]:
    """The rows beside the gap's own; see the module docstring."""
    by_stream: dict[str, list[tuple[Series, Filled]]] = {}
    for series, filled in outcomes:
        word = "trade" if series.stream == "raw_trade" else series.stream
        by_stream.setdefault(word, []).append((series, filled))
    if gap.stream or summed([filled.state for _, filled in outcomes]) is RepairState.REPAIRED:
        return []
    return [row for word, of in by_stream.items() for row in _rows(gap, word, of)]


def streams_of_unknown(gap: Gap) -> list[Gap]:
    """Of a connection of which nobody knows what it carried: all that it may have."""
    return streams_of(gap, [(Series(word, gap.symbol), Filled(RepairState.UNREPAIRABLE)) for word in RECEIVED])


def _rows(gap: Gap, word: str, outcomes: Outcomes) -> list[Gap]:
    names_missing = any(filled.state is RepairState.PARTIAL and filled.missing for _, filled in outcomes)
    if len({filled.state for _, filled in outcomes}) == 1 and not names_missing:
        return [_row(gap, word, gap.symbol, "", [outcomes[0][1]])]
    by_symbol: dict[str, dict[str, list[Filled]]] = {}
    for series, filled in outcomes:
        by_symbol.setdefault(series.symbol, {}).setdefault(series.interval, []).append(filled)
    rows = []
    for symbol, by_interval in by_symbol.items():
        all_of_them = [filled for of in by_interval.values() for filled in of]
        if len({filled.state for filled in all_of_them}) == 1 and len(by_interval) > 1 and not names_missing:
            by_interval = {"": all_of_them}
        rows += [_row(gap, word, symbol, interval, of) for interval, of in by_interval.items()]
    return rows


def _row(gap: Gap, word: str, symbol: str, interval: str, outcomes: list[Filled]) -> Gap:
    row = with_state(gap, summed([filled.state for filled in outcomes]))
    row.stream, row.symbol, row.interval = word, symbol, interval
    # those of the gap are about all of it
    row.first_missing = row.last_missing = row.missing_count = None
    if len(outcomes) == 1:
        _name_missing(row, outcomes[0])
    return row


def _name_missing(row: Gap, filled: Filled) -> None:
    """The ids that remain missing. How many candles that is their numbers do not say."""
    if filled.state is RepairState.PARTIAL and filled.missing:
        row.first_missing, row.last_missing = filled.missing[0][0], filled.missing[-1][1]
        is_counted = row.stream == "trade"
        row.missing_count = sum(last - first + 1 for first, last in filled.missing) if is_counted else None
