"""Rows of table ``gap``, put together to the holes that they are about. Pure.

A hole is one ``gap_id``. A connection's has, once it is worked off, beside its own row one for each stream, or for each
series, that fares otherwise (`wsadapter.roles.repairer.gap_outcomes`), and any one for each series that a file filled
(`wsadapter.archives.filled_gaps`): one hole all the same.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from wsadapter.audit.rows import GapRow
from wsadapter.events.gaps import RepairState
from wsadapter.events.streams import RAW_TRADE


class RecordedHole(Struct, frozen=True):
    """``row`` says when, where and why, and what became of all of it; ``parts``: the rows about single streams."""

    row: GapRow
    parts: tuple[GapRow, ...] = ()

    def state(self, narrowed: bool) -> str:
        """What became of it. ``narrowed``: rows of other streams or symbols were left out, so its parts know better;
        of all of a connection that was worked off they say everything."""
        if not (narrowed and self.parts):
            return self.row.repair_state
        states = {part.repair_state for part in self.parts}
        if self.row.stream or self.row.repair_state == RepairState.OPEN:
            states.add(self.row.repair_state)
        return states.pop() if len(states) == 1 else RepairState.PARTIAL.value


def holes(rows: Iterable[GapRow]) -> list[RecordedHole]:
    """In the order in which each is met first."""
    by_hole: dict[tuple[str, str], list[GapRow]] = {}
    for row in rows:
        by_hole.setdefault((row.exchange, row.gap_id), []).append(row)
    return [_hole(each) for each in by_hole.values()]


def _hole(rows: Sequence[GapRow]) -> RecordedHole:
    whole = min(rows, key=lambda row: (bool(row.stream), row.stream == RAW_TRADE, bool(row.symbol), bool(row.interval)))
    return RecordedHole(whole, tuple(row for row in rows if row is not whole))
