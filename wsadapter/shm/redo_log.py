"""Counters of a stats page that change together with something else, whatever is killed between.

A process that counts and then does (moves a ring's head, gives up a file) leaves, when it is killed in between, a count
of what it did not do, or the reverse. So the new values are written down first, in cells of their own (`FIELDS`), then
comes one store, `begin`'s last: from it on the change has happened. What remains is done by `end`, or by the successor
that finds it `pending`: it does the deed again, which must bear that, and calls `end`. A page with other cells takes
over what is pending, too (`carry`).

Like all of a page it has one writer; x86-64 makes its stores visible in their order.
"""

from collections.abc import Mapping
from typing import Final

from wsadapter.shm.stats_page import StatsPage

SIZE: Final = 48
"""Cells that can change together."""
FIELDS: Final = ("journal_length", *(f"journal_{part}_{n}" for n in range(SIZE) for part in ("cell", "value")))


class RedoLog:
    def __init__(self, page: StatsPage) -> None:
        self._cells = page.cells
        self._length = page.index("journal_length")
        self._first = page.index("journal_cell_0")

    @property
    def pending(self) -> bool:
        """Our predecessor was killed between `begin` and `end`."""
        return self._cells[self._length] != 0

    def begin(self, added: Mapping[int, int], put: Mapping[int, int] | None = None) -> None:
        """Decide: these cells grow by so much (``added``) and get these values (``put``)."""
        cells, at = self._cells, self._first
        values = [(cell, cells[cell] + count) for cell, count in added.items()]
        values += (put or {}).items()
        if len(values) > SIZE:
            raise ValueError(f"{len(values)} cells at once, the journal has room for {SIZE}")
        for cell, value in values:
            cells[at], cells[at + 1] = cell, value
            at += 2
        cells[self._length] = len(values)

    def end(self) -> None:
        """Carry out what was decided; harmless when repeated."""
        cells, first = self._cells, self._first
        for at in range(first, first + 2 * cells[self._length], 2):
            cells[cells[at]] = cells[at + 1]
        cells[self._length] = 0

    def record(self, added: Mapping[int, int], put: Mapping[int, int] | None = None) -> None:
        """Change these cells as one: all of them or none, whatever is killed."""
        self.begin(added, put)
        self.end()


def carry(before: StatsPage, after: StatsPage) -> None:
    """Give ``after``, a new page, every cell that ``before`` has under the same name. A redo log that is pending stays
    so; its entries name cells by their place, and find them at their new one. Nobody may be writing to either."""
    for field in after.fields:
        if field in before:
            after[field] = before[field]
    if FIELDS[0] not in before or FIELDS[0] not in after:
        return
    count = 0
    for n in range(before[FIELDS[0]]):
        field = before.fields[before[f"journal_cell_{n}"]]
        if field in after:
            after[f"journal_cell_{count}"], after[f"journal_value_{count}"] = (
                after.index(field),
                before[f"journal_value_{n}"],
            )
            count += 1
    after[FIELDS[0]] = count
