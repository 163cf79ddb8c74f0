"""Which partition a record goes to: its key's, as the Kafka clients have it, by a count that does not change meanwhile.

A consumer drops what is not above the last position that it saw of an epoch in a partition. That loses nothing as long
as a record that is sent again goes to the partition to which it went first. When partitions are added keys move: so the
counts under which this serializer produces stand on its page (``partitions``), outlive it, and change only when nothing
that was sent under the old ones can be sent again: all that was in the rings when the new count was learned, or when a
client was given up, is acknowledged, and the spool is empty. A topic with fewer partitions is another one: its count
counts at once. The page does not outlive a reboot and the spool does: so each spool has the counts of its records with
it, and they are replayed `under` these, whatever counts by now.

Owns the cells ``partitions``.
"""

import contextlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from wsadapter.events.streams import SPECS
from wsadapter.log import get_logger
from wsadapter.shm.stats_page import StatsPage

MOST_KEYS: Final = 65_536
BY_CLIENT: Final = -1
"""Instead of a partition: the client chooses."""
Messages = list[dict[str, Any]]
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF
_SEED: Final = 0x9747B28C

log = get_logger()


class Reader(Protocol):
    @property
    def epoch(self) -> int: ...
    @property
    def head(self) -> int: ...
    @property
    def tail(self) -> int: ...


class Partitioning:
    """``page``: the serializer's; ``readers``: all its rings. A kind whose count is not known is the client's to place,
    which does it alike."""

    def __init__(self, page: StatsPage, readers: Sequence[Reader]) -> None:
        self._cells, self._readers = page.cells, readers
        self._counts = {spec.kind: page.index(f'partitions{{topic="{spec.name}"}}') for spec in SPECS}
        self.counts = array(
            "q", [self._cells[self._counts[kind]] if kind in self._counts else 0 for kind in range(256)]
        )
        """Kind -> partitions of its topic; 0: not known."""
        self._names = {spec.kind: spec.name for spec in SPECS}
        self._parts: dict[int, list[Messages]] = {spec.kind: [] for spec in SPECS}
        """Kind -> messages of each partition."""
        self._appends: dict[int, dict[bytes, Callable[[dict[str, Any]], None]]] = {spec.kind: {} for spec in SPECS}
        """Kind -> key -> what appends to its partition's messages."""
        self._learned: dict[int, int] = {}
        """Kind -> count that is not used yet."""
        self._until: dict[int, int] = {}
        """Epoch -> head at which it may be used."""

    def learn(self, counts: Mapping[int, int]) -> None:
        """How many partitions each kind's topic has now."""
        for kind, count in counts.items():
            used = self._cells[self._counts[kind]]
            if count == used:
                self._learned.pop(kind, None)
            elif not used or count < used:
                self._use(kind, count)
            else:
                self._learned[kind] = count
        self.wait()

    def wait(self) -> None:
        """What is in the rings now may be sent again: no other count before it is acknowledged."""
        if self._learned:
            self._until = {reader.epoch: reader.tail for reader in self._readers}

    def use_learned(self) -> bool:
        """For when nothing is outstanding and the spool is empty: whether counts have changed."""
        if not self._learned or any(reader.head < self._until[reader.epoch] for reader in self._readers):
            return False
        for kind, count in self._learned.items():
            self._use(kind, count)
        self._learned.clear()
        return True

    def used(self) -> dict[int, int]:
        """The counts under which records of the rings are sent, as far as they are known."""
        return {kind: count for kind, cell in self._counts.items() if (count := self._cells[cell])}

    def for_spooled(self, kept: Mapping[int, int]) -> dict[int, int]:
        """The counts for records that may have been sent under the ``kept`` ones; as `used` where none is kept."""
        counts = self.used()
        for kind in self._counts.keys() & kept.keys():
            if kept[kind] <= self._learned.get(kind, counts.get(kind, kept[kind])):
                counts[kind] = kept[kind]
        return counts

    @contextlib.contextmanager
    def under(self, counts: Mapping[int, int]) -> Iterator[None]:
        """What is built and queued meanwhile goes to partitions by these counts."""
        for kind, count in counts.items():
            self.counts[kind] = count
        try:
            yield
        finally:
            for kind in counts:
                self.counts[kind] = self._cells[self._counts[kind]]

    def split(self, kind: int, messages: Messages) -> Iterator[tuple[int, Messages]]:
        """(partition, its messages in order) of each partition that has some, one after the other; `BY_CLIENT` where
        the count is not known."""
        count = self.counts[kind]
        if count < 2:
            yield count - 1, messages
            return
        parts, appends = self._parts[kind], self._appends[kind]
        if len(parts) != count or len(appends) > MOST_KEYS:
            parts[:] = ([] for _ in range(count))
            appends.clear()
        for part in parts:  # those that a failure left
            part.clear()
        for message in messages:
            key = message["key"]
            append = appends.get(key)
            if append is None:
                append = appends[key] = parts[partition_of(key, count)].append
            append(message)
        for number, part in enumerate(parts):
            if part:
                yield number, part
                part.clear()

    def partition(self, kind: int, key: bytes) -> int:
        """Of one message."""
        count = self.counts[kind]
        return count - 1 if count < 2 else partition_of(key, count)

    def _use(self, kind: int, count: int) -> None:
        if used := self._cells[self._counts[kind]]:
            log.info("number of partitions has changed", topic=self._names[kind], before=used, now=count)
        self._cells[self._counts[kind]] = self.counts[kind] = count


def partition_of(key: bytes, count: int) -> int:
    """As Java's client and librdkafka's ``murmur2_random`` have it."""
    return (murmur2(key) & 0x7FFFFFFF) % count


def murmur2(key: bytes) -> int:
    """Kafka's hash of a key, unsigned."""
    length, whole = len(key), len(key) & ~3
    hashed = _SEED ^ length
    for at in range(0, whole, 4):
        mixed = int.from_bytes(key[at : at + 4], "little") * _M & _MASK
        mixed ^= mixed >> 24
        hashed = (hashed * _M & _MASK) ^ (mixed * _M & _MASK)
    if rest := key[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * _M & _MASK
    hashed ^= hashed >> 13
    hashed = hashed * _M & _MASK
    return hashed ^ (hashed >> 15)
