"""Counters of a stats page that change together with something else, whatever is killed between.

A process that counts and then acts (moves a ring's head, gives up a file) leaves, when it is killed in between, a
count of what it did not do, or the reverse. So one entry is written down first, in cells of its own (`fields`): the new
values of the counters, which deed goes with them, and how far it goes (``targets``: a ring's epoch -> its head, a
spool -> its number). Then comes one store, `begin`'s last, of the entry's length: from it on the change has happened.
What remains is done by its author, who ends with `end`, or by the successor that finds it `pending`: it does the deed
again, which must bear that, and calls `end`.

The deed is a word of the entry: what a successor does never depends on what else is on the page. An entry with a deed
sets that word back itself, as the last of its cells. A page with other cells takes over what is pending (`carry`).

Like all of a page it has one writer. Nobody reads it beside that one: a successor comes after a kill, which strikes
between two stores and finds all before it made (`wsadapter.shm.ring`, the killed).
"""

import itertools
from collections.abc import Mapping
from typing import Final

from wsadapter.shm.stats_page import StatsPage

SIZE: Final = 48
"""Cells that can change together."""
FIELDS: Final = ("journal_length", *(f"journal_{part}_{n}" for n in range(SIZE) for part in ("cell", "value")))
"""Of a page whose counters change with one another only."""


def fields(targets: int) -> tuple[str, ...]:
    """Cells of a redo log whose entries have a deed with up to so many targets."""
    pairs = (f"journal_{part}_{n}" for n in range(targets) for part in ("target", "reach"))
    return (*FIELDS, "journal_deed", "journal_targets", *pairs)


class RedoLog:
    def __init__(self, page: StatsPage) -> None:
        self._cells = page.cells
        self._length = page.index("journal_length")
        self._first = page.index("journal_cell_0")
        self._deed = page.index("journal_deed") if "journal_deed" in page else -1
        self._target_count, self._first_target = self._deed + 1, self._deed + 2
        self._room = next(n for n in itertools.count() if f"journal_target_{n}" not in page)

    @property
    def pending(self) -> bool:
        """Our predecessor was killed between `begin` and `end`."""
        return self._cells[self._length] != 0

    @property
    def deed(self) -> int:
        """Of the entry that is pending; 0: none goes with it, or it is done."""
        return self._cells[self._deed]

    @property
    def targets(self) -> dict[int, int]:
        """How far the deed goes, as given to `begin`."""
        first = self._first_target
        words = list(self._cells[first : first + 2 * self._cells[self._target_count]])
        return dict(zip(words[::2], words[1::2], strict=True))

    def begin(
        self,
        added: Mapping[int, int],
        put: Mapping[int, int] | None = None,
        deed: int = 0,
        targets: Mapping[int, int] | None = None,
    ) -> None:
        """Decide: these cells grow by so much (``added``) and get these values (``put``), and the deed (not 0) is
        done."""
        cells, at = self._cells, self._first
        values = [(cell, cells[cell] + by) for cell, by in added.items()]
        values += (put or {}).items()
        if self._deed >= 0:
            cells[self._deed] = deed
        if deed:
            values.append((self._deed, 0))
            self._set_targets(targets or {})
        if len(values) > SIZE:
            raise ValueError(f"{len(values)} cells at once, the journal has room for {SIZE}")
        for cell, value in values:
            cells[at], cells[at + 1] = cell, value
            at += 2
        cells[self._length] = len(values)

    def _set_targets(self, targets: Mapping[int, int]) -> None:
        cells, at = self._cells, self._first_target
        if len(targets) > self._room:
            raise ValueError(f"{len(targets)} targets at once, the journal has room for {self._room}")
        cells[self._target_count] = len(targets)
        for target, reach in targets.items():
            cells[at], cells[at + 1] = target, reach
            at += 2

    def end(self) -> None:
        """Carry out what was decided for the cells, after the deed; harmless when repeated."""
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
