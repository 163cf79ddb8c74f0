"""Which commit is due, what it carries, and whose intents the broker has confirmed. Pure: sends nothing, no clock.

One commit is in flight at a time, and it carries the state of every partition that changed. An intent counts when the
commit that carried it came back without an error and its partition is still the same one; after a failure the same
intent is sent again.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from wsadapter.roles.consumer.batches import Batch, BatchState, Partition

IDLE_SECONDS: Final = 1.0
"""Progress is committed this often when no intent waits for it."""
RETRY_SECONDS: Final = 0.2

Key = tuple[str, int]


class _Pending(Struct):
    partition: Partition
    done: int
    cut: Batch | None


class Commits:
    def __init__(self) -> None:
        self._confirmed: dict[Key, tuple[int, Batch | None]] = {}
        self._in_flight: dict[Key, _Pending] = {}
        self._next = 0.0

    @property
    def in_flight(self) -> bool:
        return bool(self._in_flight)

    def due(self, partitions: Mapping[Key, Partition], now: float) -> dict[Key, Partition]:
        """What a commit must carry now: all that changed, if an intent waits for it or the last one is a while ago."""
        if self._in_flight or now < self._next:
            return {}
        changed = {key: p for key, p in partitions.items() if self._confirmed.get(key) != (p.done, p.cut)}
        waiting = any(p.cut is not None and p.cut.rows for p in changed.values())
        if not changed or not (waiting or now >= self._next + IDLE_SECONDS):
            return {}
        self._in_flight = {key: _Pending(p, p.done, p.cut) for key, p in changed.items()}
        self._next = now
        return changed

    def failed(self, now: float) -> None:
        self._in_flight = {}
        self._next = now + RETRY_SECONDS

    def confirmed(self, keys: Iterable[Key], partitions: Mapping[Key, Partition]) -> None:
        """The commit came back, without an error for ``keys``: the batches that it carried are intended."""
        in_flight, self._in_flight = self._in_flight, {}
        for key in keys:
            entry = in_flight.get(key)
            if entry is None or partitions.get(key) is not entry.partition:
                continue  # the commit of a revocation, or of a partition that is gone
            self._confirmed[key] = entry.done, entry.cut
            cut = entry.partition.cut
            if cut is not None and cut is entry.cut and cut.rows and cut.state is BatchState.CUT:
                cut.advance(BatchState.INTENDED)

    def all_committed(self, partitions: Mapping[Key, Partition]) -> bool:
        """Everything is done, and the broker knows it."""
        return not self._in_flight and all(self._confirmed.get(key) == (p.done, None) for key, p in partitions.items())

    def uncommitted(self, partitions: Mapping[Key, Partition]) -> bool:
        return any(self._confirmed.get(key) != (p.done, p.cut) for key, p in partitions.items())

    def expedite(self, now: float) -> None:
        """Do not wait for a reason to commit."""
        self._next = min(self._next, now - IDLE_SECONDS)

    def forget(self, key: Key) -> None:
        """It was taken away: an intent that was confirmed is its next owner's to carry out."""
        self._confirmed.pop(key, None)
