"""Counters of what a ring's writer published: they and the ring's tail move as one, whatever is killed between.

The writer counts in memory of its own. Before it publishes it copies all counts into one of two banks of its stats
page, with the tail that they belong to, the banks taking turns; then it stores the tail; then it shows the counts in
their own cells. A successor finds the tail where a publish left it, and takes the counts of the bank that names this
tail: of records that were written and never published nothing is counted, and none that was published is missing.
"""

from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final

from wsadapter import native
from wsadapter.shm import doorbell
from wsadapter.shm.ring import RingWriter
from wsadapter.shm.stats_page import StatsPage

BANKS: Final = (0, 1)


def fields(names: Sequence[str]) -> tuple[str, ...]:
    """Cells for these counters: shown, then the banks. The names stand together, in this order. A bank's cells have the
    counters' names, so that a page with other counters can take it over."""
    hidden = [(_tag(bank), *(f"bank_{bank}_{name}" for name in names)) for bank in BANKS]
    return (*names, *hidden[0], *hidden[1])


def cells_of(name: str) -> tuple[str, ...]:
    """Where a counter stands, shown and in the banks: for whoever sets it between two writers."""
    return (name, *(f"bank_{bank}_{name}" for bank in BANKS))


def _tag(bank: int) -> str:
    """The tail, + 1, that the bank's counts belong to."""
    return f"bank_{bank}_published"


class RingCounters:
    """``cells``: for hot paths, by the place that `index` gives, as on a `StatsPage`. Where no bank has the tail (a new
    page, another ring) it counts on from what is shown."""

    def __init__(self, page: StatsPage, names: Sequence[str], tail: int) -> None:
        self._names = list(names)
        self._map(page)
        kept = [bank for tag, bank in zip(self._tags, self._banks, strict=True) if self._page[tag] == tail + 1]
        if kept:  # both, when the last read brought no record: then the one that counted on
            self._shown[:] = max(kept, key=memoryview.tolist)
        self.cells = array("q", self._shown.tolist())
        self._view = memoryview(self.cells)
        self._next = 0
        self._in_c: list[Any] = []

    def _map(self, page: StatsPage) -> None:
        size, self._shown_at = len(self._names), page.index(self._names[0])
        self._shown = page.cells[self._shown_at : self._shown_at + size]
        self._tags = [page.index(_tag(bank)) for bank in BANKS]
        self._banks = [page.cells[tag + 1 : tag + 1 + size] for tag in self._tags]
        self._page = page.cells

    def move(self, page: StatsPage) -> None:
        """Go on in another page, which has taken over the cells of the one before (`wsadapter.shm.redo_log.carry`).
        What is counted and not published yet is so still."""
        for view in (self._shown, *self._banks):
            view.release()
        self._map(page)
        for publication in self._in_c:
            publication.move(self._page, self._shown_at, *self._tags)

    def publication(self, writer: RingWriter, doorbell_fd: int) -> Callable[[], None]:
        """What ends a socket read: counts kept, the ring published, counts shown, the doorbell rung; in C where it is
        built. One for each `RingCounters`."""
        if _native is None:

            def publish() -> None:
                self.keep(writer.tail)
                writer.publish()
                self.show()
                doorbell.ring(doorbell_fd)

            return publish
        at_once: Callable[[], None] = _native.Publication(
            writer.appender, self._page, self.cells, self._shown_at, *self._tags, doorbell_fd
        )  # fmt: skip
        self._in_c.append(at_once)
        return at_once

    def index(self, name: str) -> int:
        return self._names.index(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def keep(self, tail: int) -> None:
        """To be called with the tail that is published next; then `show`."""
        bank = self._next
        # a tail that no ring has: nobody takes a bank for whole while it is being written
        self._page[self._tags[bank]] = 0
        self._banks[bank][:] = self._view
        self._page[self._tags[bank]] = tail + 1
        self._next = 1 - bank

    def show(self) -> None:
        self._shown[:] = self._view

    def release(self) -> None:
        for view in (*self._in_c, self._shown, *self._banks):
            view.release()


_native: Final = native.extension
