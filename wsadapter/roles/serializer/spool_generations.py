"""The spools of one serializer: its own, and those of earlier runs.

Within a run a ring has one serializer, so its records are on one spool, in order. From run to run the configuration
may give it to another, or to none. So each run has directories of its own, ``<path>/<generation>/<serializer>``
(generations grow), and nothing of a run is produced before all that earlier runs left: the first serializer replays
that, generation after generation; the others are `held_back` until those spools are gone. Which records of a
ring are on an earlier spool each serializer must know when it begins, for head may not have moved over them: the first
one writes that to ``<path>/<generation>/stored`` before it deletes anything.

A file system that has no room for a directory ends nothing: there is no spool of our own then, an append is refused as
on a full one, and it is tried again. A spool that exists and cannot be opened may hold records older than the rings'
and is an error.

All spools of all serializers and runs together, with what was set aside, take no more than ``max_bytes``: what earlier
runs left comes off it, and of the rest each serializer has an equal share. What is left only becomes less, so an old
count of it is never too small.

Owns its own directory and, in the first serializer, those of earlier generations.
"""

import contextlib
import math
import os
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from wsadapter import files
from wsadapter.log import get_logger
from wsadapter.roles.serializer.spool import Spool
from wsadapter.roles.serializer.spool_directory import SpoolError, load_numbers
from wsadapter.roles.serializer.spool_segment import SUFFIX, Record, last_positions

log = get_logger()

_DIGITS: Final = 20
STORED: Final = "stored"
"""File in a run's directory: epoch -> last position that earlier runs left on a spool, as JSON."""
OPEN_SECONDS: Final = 5.0
"""Until a spool for which there was no room is tried again."""
COUNT_SECONDS: Final = 1.0
"""How old the count of what earlier runs left may be."""


class SpoolGenerations:
    """Like one `Spool`: appends go to our own, polls begin with the oldest."""

    def __init__(
        self, path: str, generation: int, name: str, max_bytes: int, first: bool, serializers: int = 1
    ) -> None:
        self._path, self._max_bytes, self._is_first, self._serializers = path, max_bytes, first, serializers
        self._generation = f"{generation:0{_DIGITS}d}"
        self._directory = os.path.join(path, self._generation, name)
        self._own: Spool | None = None
        self._open_at = 0.0
        self._open_own()
        self._earlier_spools: list[tuple[str, Spool]] = []
        """Of earlier generations, the oldest first, with their directories."""
        for earlier in self._earlier() if first else ():
            directory = os.path.join(path, earlier)
            spools = _spools_in(directory)
            self._earlier_spools += [(one, Spool(one, max_bytes)) for one in spools]
            if not spools:  # its last spool went, or its first was to come, when a run was killed
                _remove_generation(directory)
        self._stored = self._store_positions() if first else self._read_positions()
        self._elsewhere, self._count_at = 0, 0.0
        self._count_elsewhere()
        self._lost = 0
        self._drop_empty()
        if records := self.records:
            log.info("records are on the spool", records=records, bytes=self.size)

    @property
    def held_back(self) -> bool:
        """An earlier run left records that the first serializer has to replay before we produce."""
        return bool(self.awaited)

    @property
    def awaited(self) -> str:
        """The oldest generation that we are `held_back` for; empty: none."""
        earlier = [] if self._is_first else self._earlier()
        return next((one for one in earlier if _spools_in(os.path.join(self._path, one))), "")

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

    def append(self, records: Sequence[Record], partitions: Mapping[int, int] | None = None) -> int:
        """How many of them, from the first on, are durable now; ``partitions``: as for `Spool.append`."""
        if self._own is None:
            self._open_own()
        if self._own is None:
            return 0
        self._count_elsewhere()
        self._own.max_bytes = (self._max_bytes - self._elsewhere) // self._serializers
        return self._own.append(records, partitions)

    def poll(self, limit: int) -> list[Record]:
        spool = self._first()
        return [] if spool is None else spool.poll(limit)

    @property
    def partitions(self) -> dict[int, int]:
        """`Spool.partitions` of what is polled."""
        spool = self._first()
        return {} if spool is None else spool.partitions

    def keep_partitions(self, counts: Mapping[int, int]) -> None:
        """Before what was polled is sent under these counts."""
        if (spool := self._first()) is not None:
            with contextlib.suppress(OSError):  # a full disk: only a reboot and added partitions together would miss it
                spool.keep_partitions(counts)

    def rewind(self) -> None:
        """Poll again from the last commit."""
        for spool in self._all():
            spool.rewind()

    @property
    def polled_to(self) -> tuple[int, int]:
        """What `commit` is to be given when all that was polled is done with: the spool's identity, and a number."""
        spool = self._first()
        return (0, 0) if spool is None else (spool.identity, spool.polled_to)

    def commit(self, identity: int, number: int) -> None:
        """Records below ``number`` of this spool are done with. Harmless when repeated, also by another life, to which
        the spool may be gone already."""
        for spool in self._all():
            if spool.identity == identity:
                spool.commit(number)
        if self._earlier_spools:
            self._count_at = 0.0
        self._drop_empty()

    @property
    def appended(self) -> int:
        """Records that ever went to our own spool."""
        return 0 if self._own is None else self._own.next_number

    def last_position(self, epoch: int) -> int:
        """Up to where the ring of this epoch was on a spool when we began, as far as the last writes say; -1: not."""
        own = {} if self._own is None else self._own.last_positions
        return max(own.get(epoch, -1), self._stored.get(epoch, -1))

    def close(self) -> None:
        for _, spool in self._earlier_spools:
            spool.close()
        if self._own is None:
            return
        if self._own.records:
            self._own.close()
        else:
            self._own.remove()
            _remove_generation(os.path.join(self._path, self._generation))

    def _store_positions(self) -> dict[int, int]:
        """Of what earlier runs left, per ring the last position; written down for the other serializers."""
        path = os.path.join(self._path, self._generation, STORED)
        stored = load_numbers(path)  # an earlier life of this run may have deleted some of it
        for _, spool in self._earlier_spools:
            _keep_highest(stored, spool.last_positions)
        if stored:
            with contextlib.suppress(OSError):  # a full disk: a kill in an append may then count its records twice
                files.replace(path, msgspec.json.encode({str(epoch): last for epoch, last in stored.items()}))
        return stored

    def _read_positions(self) -> dict[int, int]:
        """The same, without the right to touch those spools: what is gone while we read is in the file by then."""
        stored: dict[int, int] = {}
        for generation in self._earlier():
            directory = os.path.join(self._path, generation)
            with contextlib.suppress(OSError):
                for name in os.listdir(directory):
                    with contextlib.suppress(OSError):
                        _keep_highest(stored, last_positions(os.path.join(directory, name)))
        _keep_highest(stored, load_numbers(os.path.join(self._path, self._generation, STORED)))
        return stored

    def _count_elsewhere(self) -> None:
        """Bytes that earlier runs left, and of what was set aside."""
        now = time.monotonic()
        if now < self._count_at:
            return
        self._elsewhere = 0
        for directory, directories, names in os.walk(self._path):
            if directory == self._path and self._generation in directories:
                directories.remove(self._generation)
            for name in names:
                with contextlib.suppress(OSError):
                    self._elsewhere += os.lstat(os.path.join(directory, name)).st_size
        self._count_at = now + COUNT_SECONDS if self._elsewhere else math.inf

    def _all(self) -> list[Spool]:
        return [*(spool for _, spool in self._earlier_spools), *([] if self._own is None else [self._own])]

    def _first(self) -> Spool | None:
        """The one that is polled."""
        return next(iter(self._all()), None)

    def _open_own(self) -> None:
        """Left alone when there is no room for its directory, unless records may be in it."""
        now = time.monotonic()
        if now < self._open_at:
            return
        try:
            self._own = Spool(self._directory, self._max_bytes // self._serializers)
        except SpoolError as error:
            if not error.is_full or _has_segments(self._directory):
                raise
            if not self._open_at:
                log.error("no room for a spool, rings fill while the broker is away", reason=str(error))
            self._open_at = now + OPEN_SECONDS
        else:
            if self._open_at:
                log.info("there is room for the spool again", spool=self._directory)

    def _earlier(self) -> list[str]:
        try:
            names = os.listdir(self._path)
        except FileNotFoundError:  # there was no room for it
            return []
        return sorted(name for name in names if name.isdigit() and name < self._generation)

    def _drop_empty(self) -> None:
        while self._earlier_spools and not self._earlier_spools[0][1].records:
            directory, spool = self._earlier_spools.pop(0)
            self._lost += spool.lost_records
            spool.remove()
            _remove_generation(os.path.dirname(directory))


def _spools_in(directory: str) -> list[str]:
    """Of a generation; what is no directory in it is not ours, or a file of ours that says nothing any more."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):  # removed meanwhile; of an operator
        return []


def _has_segments(directory: str) -> bool:
    try:
        return any(name.endswith(SUFFIX) for name in os.listdir(directory))
    except FileNotFoundError:
        return False


def _keep_highest(into: dict[int, int], positions: dict[int, int]) -> None:
    for epoch, last in positions.items():
        into[epoch] = max(last, into.get(epoch, -1))


def _remove_generation(directory: str) -> None:
    """Its directory, if nothing but `STORED` is in it, or what a kill has left of writing it."""
    with contextlib.suppress(OSError):
        if {STORED, f"{STORED}.new"}.issuperset(names := os.listdir(directory)):
            for name in names:
                os.unlink(os.path.join(directory, name))
            os.rmdir(directory)
