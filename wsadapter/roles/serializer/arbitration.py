"""Which records of redundant connections are published: the first copy of each event, and nothing is lost by it.

Several rings carry the same lines (`wsadapter.events.sequence`). For every record of a ring, in the ring's order, a
verdict:

    PASS   publish it
    COPY   it has been published: drop it
    HOLD   too early to say: this ring waits here, the others go on

A line remembers ``high``, the highest number published. One above is the next event where the line is chained and it
names ``high`` as its predecessor (trades, diffs of books), so depth changes its source only where the chain goes on.
Where numbers just grow, a ring may move a line on only while it is **linked** to it: since the ring's last hole it has
shown an event that was published, so it missed nothing in between. Else the ring is held: the others bring what it
missed, its event becomes a copy, and the link is there. So a ring that comes back from a hole does not outrun one that
has what is in the hole, and reading one ring before the other loses nothing.

A hold ends when nothing is to be waited for (`wsadapter.roles.serializer.ring_history`). Then the event passes; on a
chained line that is a jump, and a `Gap` is due unless the ring has published one. What lies between is remembered as
not published: a ring that brings it late, in the order of its numbers, still passes, and so do the older events that
another ring has from before the first one of a line. An event that names ``high`` as its predecessor and has a lower
number is the next one, too: the venue has begun to count anew and says so. Any other number up to ``high`` is a copy,
except of an event that happened seconds after the last new one (minutes, where its time is not told): then the venue
counts anew without a word, and the line begins again. Told again so late, as at a subscription, an event is a copy
still: by its own time, and ``high`` always. A book with a number takes its changes along: they begin anew with it. What
happened before that, and another ring brings later, is a copy.

Events that have only an id are in no order: the first ring that brings an id publishes it, and it is a copy when
another one brings it. Nothing is held for them, and of a stream the last `REMEMBERED` ids, or an eighth more, are
known.

A book without a number that begins on one connection while another has brought later changes is a copy, too: these
have taken all that is in it. Its parts (`wsadapter.exchanges.books.parted`) are copies by their numbers, and without
them it would be a part of a book.

Pure: no ring, no clock, no shared memory. `State` is what must survive a restart.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from wsadapter.events import StreamType, UpdateType
from wsadapter.events.sequence import NUMBERINGS, Sequenced, SequenceKey
from wsadapter.oldest import forget_oldest, most_kept

RENEWED_NS: Final = 600_000_000_000
"""Copies come within seconds; the number of an event that came so long after the newest one is none of the old."""
RENEWED_TIMED_NS: Final = 10_000_000_000
"""Nor is that of an event that happened so long after it: more than two connections and two clocks are apart."""
COUNTED: Final = frozenset(word for word, numbering in NUMBERINGS.items() if numbering.is_counted)
NOT_AWAITED: Final = frozenset(word for word, numbering in NUMBERINGS.items() if not numbering.awaited)
REMEMBERED: Final = 1 << 16
"""So many events of a stream without numbers are known by their ids, at least."""


class Precedence(Enum):
    PASS = auto()
    COPY = auto()
    HOLD = auto()


class State(NamedTuple):
    """``hole_from``, ``hole_to``: numbers between them were not published; ``older_from``, ``older_to``: nor those of
    the hole before. ``moved_ns``: receive time of the event that moved ``high``; ``linked``: a bit for each ring. All
    0: no event yet. ``high`` is the last word: it is stored last. Of a line that has begun anew ``older_from`` is
    when it did, by the venue's clock, and ``older_to`` 0, until there were two holes."""

    older_from: int = 0
    older_to: int = 0
    hole_from: int = 0
    hole_to: int = 0
    moved_ns: int = 0
    linked: int = 0
    high: int = 0

    @property
    def anew_ns(self) -> int:
        return 0 if self.older_to else self.older_from


NEW: Final = State()


class Jump(NamedTuple):
    """A chained line went on behind a hole that no ring filled. Numbers are the venue's."""

    before: int
    since_ns: int


class Arbitration:
    """The lines of one group of rings. ``kept``: their states from before."""

    def __init__(self, kept: Mapping[SequenceKey, State]) -> None:
        self.states = dict(kept)
        self._published: dict[str, dict[tuple[SequenceKey, tuple[Any, ...]], int]] = {}
        """Stream -> series and identity of its events that have no number -> the ring that brought each first."""
        self.begun_anew: list[SequenceKey] = []
        """Lines of changes that a book took along; whoever stores their states takes them out."""

    def judge(
        self, ring: int, place: Sequenced, received_ns: int, over: bool, happened_ns: int = 0
    ) -> tuple[Precedence, Jump | None]:
        """``over``: nothing is to be waited for any more; ``happened_ns``: by the venue's clock, 0: it does not say."""
        key, number, previous, identity = place
        if identity is not None:
            return (Precedence.COPY if self._is_published(ring, key, identity) else Precedence.PASS), None
        if (changes := _unnumbered_changes(key)) is not None and self.covered(changes, number, number):
            return Precedence.COPY, None
        state, bit = self.states.get(key, NEW), 1 << ring
        before = state.high
        if number > before:
            goes_on = previous == before if previous is not None else state.linked & bit or key[0] in NOT_AWAITED
            if not goes_on and 0 < happened_ns <= state.anew_ns:
                return Precedence.COPY, None
            if not (goes_on or over or not before):
                return Precedence.HOLD, None
            holes = state[:4] if goes_on else (*state[2:4], before, number)
            self.states[key] = State(*holes, received_ns, state.linked | bit, number)
            jumped = before and not goes_on and previous is not None
            return Precedence.PASS, Jump(before, state.moved_ns) if jumped else None
        if previous == before > number:
            self.states[key] = State(0, 0, 0, 0, received_ns, bit, number)
            return Precedence.PASS, None
        quiet_ns = min(received_ns, happened_ns or received_ns) - state.moved_ns
        if quiet_ns > RENEWED_TIMED_NS:
            is_timed = happened_ns and key[0] in COUNTED
            anew = State(older_from=happened_ns, hole_to=number, moved_ns=received_ns, linked=bit, high=number)
            if self._takes_changes_along(key, anew):
                return Precedence.PASS, None
            if number != before and (is_timed or quiet_ns > RENEWED_NS):
                self.states[key] = anew
                return Precedence.PASS, None
        if state.hole_from < number < state.hole_to:
            self.states[key] = state._replace(hole_from=number, linked=state.linked | bit)
            return Precedence.PASS, None
        if state.older_from < number < state.older_to:
            self.states[key] = state._replace(older_from=number, linked=state.linked | bit)
            return Precedence.PASS, None
        if not state.linked & bit:
            self.states[key] = state._replace(linked=state.linked | bit)
        return Precedence.COPY, None

    def _takes_changes_along(self, key: SequenceKey, anew: State) -> bool:
        """Whether this is a book whose changes are beyond its number."""
        book = _book_changes(key)
        if book is None or self.states.get(book, NEW).high <= anew.high:
            return False
        self.states[key] = self.states[book] = anew
        self.begun_anew.append(book)
        return True

    def _is_published(self, ring: int, key: SequenceKey, identity: tuple[Any, ...]) -> bool:
        """Whether another ring has brought this event. After a restart none is known: then a copy may be published, and
        the table, whose key has the identity, makes one row of the two."""
        published = self._published.setdefault(key[0], {})
        first = published.setdefault((key, identity), ring)
        if len(published) > most_kept(REMEMBERED):
            forget_oldest(published, REMEMBERED)
        return first != ring

    def unlink(self, ring: int, stream: str, symbol: str) -> list[SequenceKey]:
        """A hole of this ring; an empty word or symbol means all. The lines that it was linked to."""
        bit, changed = 1 << ring, []
        for key, state in self.states.items():
            if state.linked & bit and stream in ("", key[0]) and symbol in ("", key[1]):
                self.states[key] = state._replace(linked=state.linked & ~bit)
                changed.append(key)
        return changed

    def covered(self, key: SequenceKey, first: int, last: int) -> bool:
        """Whether these numbers have been published, by whatever ring."""
        state = self.states.get(key, NEW)
        holes = (state.hole_from, state.hole_to), (state.older_from, state.older_to)
        return last <= state.high and not any(begin < last and first < end for begin, end in holes)


def _book_changes(key: SequenceKey) -> SequenceKey | None:
    """The line of the changes of a book that has a number; None for any other line."""
    return (*key[:2], 0) if key[0] == StreamType.DEPTH and len(key) == 3 and key[2] else None


def _unnumbered_changes(key: SequenceKey) -> SequenceKey | None:
    """The line of the changes of a book that has no number; None for any other line."""
    is_whole = key[0] == StreamType.DEPTH and key[3:] == (UpdateType.SNAPSHOT,)
    return (*key[:3], int(UpdateType.DELTA)) if is_whole else None
