"""What became of each stream of a gap that is about all of them: rows of their own beside the gap's. Pure.

A connection that carries tickers is at best `partial`, however whole its trades are. So each of its streams gets a row
with the gap's ``gap_id`` that names it: of all symbols where they are alike, else of each symbol, or even interval. No
two of them are about the same series. A gap that names its stream, or is whole, needs none.
"""

from collections.abc import Collection, Iterable
from typing import Final

from wsadapter.events import Gap
from wsadapter.events.gaps import RepairState, with_state
from wsadapter.events.streams import SPECS
from wsadapter.exchanges.rest_api import Series

RECEIVED: Final = tuple(spec.name for spec in SPECS if spec.name not in ("gap", "open_interest"))
"""What a connection may carry."""

Outcomes = Iterable[tuple[Series, str]]


def summed(states: Collection[str]) -> str:
    """Of several series as one."""
    found = set(states)
    return found.pop() if len(found) == 1 else RepairState.PARTIAL if found else RepairState.UNREPAIRABLE


def streams_of(gap: Gap, outcomes: Outcomes) -> list[Gap]:
    """The rows beside the gap's own; see the module docstring."""
    by_stream: dict[str, list[tuple[Series, str]]] = {}
    for series, state in outcomes:
        word = "trade" if series.stream == "raw_trade" else series.stream
        by_stream.setdefault(word, []).append((series, state))
    if gap.stream or summed([state for of in by_stream.values() for _, state in of]) == RepairState.REPAIRED:
        return []
    return [row for word, of in by_stream.items() for row in _rows(gap, word, of)]


def streams_of_unknown(gap: Gap) -> list[Gap]:
    """Of a connection of which nobody knows what it carried: all that it may have."""
    return streams_of(gap, [(Series(word, gap.symbol), RepairState.UNREPAIRABLE) for word in RECEIVED])


def _rows(gap: Gap, word: str, outcomes: list[tuple[Series, str]]) -> list[Gap]:
    if len({state for _, state in outcomes}) == 1:
        return [_row(gap, word, gap.symbol, "", [outcomes[0][1]])]
    by_symbol: dict[str, dict[str, list[str]]] = {}
    for series, state in outcomes:
        by_symbol.setdefault(series.symbol, {}).setdefault(series.interval, []).append(state)
    found = []
    for symbol, by_interval in by_symbol.items():
        all_of_them = [state for states in by_interval.values() for state in states]
        if len(set(all_of_them)) == 1:
            by_interval = {"": all_of_them}
        found += [_row(gap, word, symbol, interval, states) for interval, states in by_interval.items()]
    return found


def _row(gap: Gap, word: str, symbol: str, interval: str, states: list[str]) -> Gap:
    row = with_state(gap, summed(states))
    row.stream, row.symbol, row.interval = word, symbol, interval
    # those of the gap are about all of it
    row.first_missing = row.last_missing = row.missing_count = None
    return row
