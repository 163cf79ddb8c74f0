"""The spools of one serializer: its own, and what earlier runs left.

Within a run a ring has one serializer, so its records are on one spool, in order. From run to run the configuration
may give it to another, or to none. So each run has directories of its own, ``<path>/<generation>/<serializer>``
(generations grow), and nothing of a run is produced before all that earlier runs left: the first serializer replays
that, generation after generation; the others are `held_back` until those directories are gone.

Owns its own directory and, in the first serializer, those of earlier generations.
"""

import contextlib
import os
from collections.abc import Sequence
from typing import Final

from wsadapter.log import get_logger
from wsadapter.roles.serializer.spool import Spool
from wsadapter.roles.serializer.spool_segment import Record

log = get_logger()

_DIGITS: Final = 20


class SpoolGenerations:
    """Like one `Spool`: appends go to our own, polls begin with the oldest."""

    def __init__(self, path: str, generation: int, name: str, max_bytes: int, first: bool) -> None:
        self._path, self._max_bytes, self._is_first = path, max_bytes, first
        self._generation = f"{generation:0{_DIGITS}d}"
        self._own = Spool(os.path.join(path, self._generation, name), max_bytes)
        self._left: list[tuple[str, Spool]] = []
        """Of earlier generations, the oldest first, with their directories."""
        for earlier in self._earlier() if first else ():
            directory = os.path.join(path, earlier)
            with os.scandir(directory) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            self._left += [
                (found, Spool(found, max_bytes)) for name in names if (found := os.path.join(directory, name))
            ]
            if not names:  # its last spool went, or its first was to come, when a run was killed
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
        self._lost = 0
        self._drop_empty()
        if records := self.records:
            log.info("records are on the spool", records=records, bytes=self.size)

    @property
    def held_back(self) -> bool:
        """An earlier run left records that the first serializer has to replay before we produce."""
        return not self._is_first and bool(self._earlier())

    @property
    def awaited(self) -> str:
        """The oldest generation that we are `held_back` for."""
        return next(iter(self._earlier()), "")

    @property
    def records(self) -> int:
        return sum(spool.records for spool in self._all())

    @property
    def size(self) -> int:
        return sum(spool.size for spool in self._all())

    @property
    def lost_records(self) -> int:
        """Damaged records that were passed since we began."""
        return self._lost + sum(spool.lost_records for spool in self._all())

    def append(self, records: Sequence[Record]) -> int:
        self._own.max_bytes = self._max_bytes - sum(spool.size for _, spool in self._left)
        return self._own.append(records)

    def poll(self, limit: int) -> list[Record]:
        spool = self._left[0][1] if self._left else self._own
        return spool.poll(limit)

    def rewind(self) -> None:
        """Poll again from the last commit."""
        for spool in self._all():
            spool.rewind()

    @property
    def polled_to(self) -> tuple[int, int]:
        """What `commit` is to be given when all that was polled is done with: the spool's identity, and a number."""
        spool = self._left[0][1] if self._left else self._own
        return spool.identity, spool.polled_to

    def commit(self, identity: int, number: int) -> None:
        """Records below ``number`` of this spool are done with. Harmless when repeated, also by another life, to which
        the spool may be gone already."""
        for spool in self._all():
            if spool.identity == identity:
                spool.commit(number)
        self._drop_empty()

    @property
    def appended(self) -> int:
        """Records that ever went to our own spool."""
        return self._own.next_number

    def last_position(self, epoch: int) -> int:
        """Up to where the ring of this epoch was on a spool when we began, as far as the last writes say; -1: not."""
        return max(spool.last_position(epoch) for spool in self._all())

    def close(self) -> None:
        for _, spool in self._left:
            spool.close()
        if self._own.records:
            self._own.close()
        else:
            _remove(os.path.join(self._path, self._generation), self._own)

    def _all(self) -> list[Spool]:
        return [*(spool for _, spool in self._left), self._own]

    def _earlier(self) -> list[str]:
        return sorted(name for name in os.listdir(self._path) if name.isdigit() and name < self._generation)

    def _drop_empty(self) -> None:
        while self._left and not self._left[0][1].records:
            directory, spool = self._left.pop(0)
            self._lost += spool.lost_records
            _remove(os.path.dirname(directory), spool)


def _remove(directory: str, spool: Spool) -> None:
    """An empty spool, and its generation's directory with the last one in it."""
    spool.remove()
    with contextlib.suppress(OSError):  # another spool is still in it
        os.rmdir(directory)
