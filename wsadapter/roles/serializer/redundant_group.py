"""Rings of redundant connections, read as one: each `RedundantReader` gives only what is to be published of its ring.

It stands where a `RingReader` stands, in a serializer and its spool, and keeps their promise: nothing is lost, and
what comes twice after a kill has the same epoch and position. Verdicts are those of
`wsadapter.roles.serializer.arbitration`.

* **Verdicts stand.** A record that is polled again (a rewind, a spool that was full) gets the verdict that it had; new
  ones are judged when all that were judged before are committed, ring by ring in one order (a round).
* **Watermarks move after the acknowledgement and before head.** `commit` stores the states that the committed records
  have led to, then moves the ring's head. Killed in between, the records are read again and are copies: they are
  dropped, and that is right, for they were acknowledged.
* **A restart judges alike.** Before a record leaves `poll` the page says up to where its ring has been judged. The next
  process begins with the states of the last commit and reads each ring up to there first, in the same order: it comes
  to the same verdicts (what was held then waits no more), so what was produced and not committed is produced again
  under the same identity, never a twin's copy in its place.

A gap of one connection is published with its state: ``repaired`` when another ring covered it, so that nothing is
missing; its first record, while it lasts, is published as it is. Where no ring has what a numbered line misses and the
ring that goes on has told no gap of it, one is put before the event, with the event's position.

Owns the page of watermarks and the rings' heads. One process, one thread.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

from wsadapter.events.sequence import SequenceKey
from wsadapter.log import get_logger
from wsadapter.metrics import STREAM_WORDS
from wsadapter.roles.serializer.arbitration import Arbitration, State
from wsadapter.roles.serializer.redundant_reader import JUDGED, RedundantReader
from wsadapter.shm.ring import RingReader
from wsadapter.shm.stats_page import StatsPage
from wsadapter.shm.watermarks import Watermarks
from wsadapter.supervision.child import RingRef

LIQUIDATIONS: Final = 4096

log = get_logger()


class RedundantGroup:
    """One group of rings and their page."""

    def __init__(
        self, page: Watermarks, counts: StatsPage, now_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:  # fmt: skip
        self.page, self.cells = page, counts.cells
        self.now_ns, self.monotonic_ns = now_ns, monotonic_ns
        self._open_candles = counts.index("open_candle_copies_total")
        self._copies = {word: counts.index(f'copies_total{{stream="{word}"}}') for word in STREAM_WORDS}
        self.lines = Arbitration({key: State(*state) for key, state in page.kept.items() if key[0] != JUDGED})
        self.readers: list[RedundantReader] = []
        self._liquidations: dict[SequenceKey, int] = {}
        """What it was -> the ring that brought it."""
        self._last = -1
        """The ring that was judged last in this round."""
        self._said = False

    def may_judge(self, number: int) -> bool:
        if not any(reader.pending for reader in self.readers):
            self._last = -1
        if number <= self._last:
            return False
        self._last = number
        return True

    def replaying(self, before: int) -> bool:
        """Whether a ring of those before this one has not come to where an earlier life judged it."""
        return any(reader.judged < reader.resume for reader in self.readers[:before])

    def liquidated(self, key: SequenceKey, ring: int) -> bool:
        """Whether another ring has brought this one. They have no order, so the last `LIQUIDATIONS` are known by what
        they say; after a restart none are, and copies are one row by their natural key only."""
        first = self._liquidations.setdefault(key, ring)
        if len(self._liquidations) > LIQUIDATIONS:
            del self._liquidations[next(iter(self._liquidations))]
        return first != ring

    def counting(self, word: str, is_open_candle: bool = False) -> tuple[int, ...]:
        """Cells for a copy; of open candles also one of their own, for the tables do not have them."""
        return (self._copies[word], self._open_candles) if is_open_candle else (self._copies[word],)

    def store(self, key: SequenceKey, state: State) -> None:
        self.page.store(key, state)
        if self.page.full and not self._said:
            self._said = True
            log.error("the page of watermarks is full: after a kill some lines may come twice", line=str(key))


def attach(rings: Iterable[RingRef], counts: StatsPage) -> list[RingReader | RedundantReader]:
    """The readers of a serializer's rings, those of redundant connections together. ``counts``: its stats page."""
    merges: dict[str, RedundantGroup] = {}
    found: list[RingReader | RedundantReader] = []
    for ref in rings:
        reader = RingReader.attach(ref.name)
        if not ref.marks:
            found.append(reader)
            continue
        merge = merges.get(ref.marks)
        if merge is None:
            merge = merges[ref.marks] = RedundantGroup(Watermarks(ref.marks), counts)
        found.append(RedundantReader(merge, ref.twin, reader))
    return found
