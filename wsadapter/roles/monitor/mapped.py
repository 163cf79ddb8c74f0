"""The stats pages and rings that the monitor has mapped: each as long as its name leads to it.

To map a page means to read the names of its cells, some thousands, which never change: ten pages that are mapped anew
every second are a third of what an idle monitor costs. One look at the name (a system call) tells whether it still
leads to what is mapped; what was unlinked or replaced is let go at the next look, so at most a beat later.

Owns the mappings, all read-only.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from wsadapter.errors import SegmentError
from wsadapter.shm.ring import RingReader
from wsadapter.shm.stats_page import StatsPage


class _Mapping(Protocol):
    @property
    def is_named(self) -> bool: ...

    def release(self) -> None: ...


M = TypeVar("M", bound=_Mapping)


class Mapped:
    def __init__(self) -> None:
        self._pages: dict[str, StatsPage] = {}
        self._rings: dict[str, RingReader] = {}

    def page(self, name: str) -> StatsPage | None:
        """What has this name now; None when that cannot be read."""
        return _current(self._pages, name, StatsPage.attach)

    def ring(self, name: str) -> RingReader | None:
        """The same, to be watched only."""
        return _current(self._rings, name, lambda name: RingReader.attach(name, writable=False))

    def release(self) -> None:
        for page in self._pages.values():
            page.release()
        for ring in self._rings.values():
            ring.release()
        self._pages.clear()
        self._rings.clear()


def _current(known: dict[str, M], name: str, attach: Callable[[str], M]) -> M | None:
    if name in known:
        if known[name].is_named:
            return known[name]
        known.pop(name).release()
    try:
        known[name] = attach(name)
    except SegmentError:
        return None
    return known[name]
