"""Which records of redundant connections are published: the first copy of each event, and nothing is lost by it.

Several rings carry the same lines (`wsadapter.places`). For every record of a ring, in the ring's order, a verdict:

    PASS   publish it
    COPY   it has been published: drop it
    HOLD   too early to say: this ring waits here, the others go on

A line remembers the numbers from ``low`` to ``high`` as published. A number between them is a copy. One above is the
next event where the line is chained and it names ``high`` as its predecessor (trades, diffs of books), so depth changes
its source only where the chain goes on. Where numbers just grow, a ring may move a line on only while it is **linked**
to it: since the ring's last hole it has shown an event that was published, so it left nothing out in between. Else the
ring is held: the others bring what it missed, its event becomes a copy, and the link is there. So a ring that comes
back from a hole never outruns one that has what is in the hole, and reading one ring before the other loses nothing.

A hold ends when nothing is to be waited for (`Holds`). Then the event passes; on a chained line that is a jump, and a
`Gap` is due unless the ring has told one. The first event of a line passes; older ones that another ring brings after
it pass too (``begin`` to ``below``). A number that is not new and comes minutes after the last new one is no copy: the
venue counts anew, and the line begins again.

Pure: no ring, no clock, no shared memory. `State` is what must survive a restart.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, NamedTuple

from wsadapter.events import StreamType
from wsadapter.places import Key, Place

RENEWED_NS: Final = 600_000_000_000
"""Copies come within seconds; a number that is not new after so long is none."""
UNHELD: Final = frozenset({StreamType.FUNDING_RATE})
"""Told once after each connect, at a time of its own: nothing is to be waited for."""


class Verdict(Enum):
    PASS = auto()
    COPY = auto()
    HOLD = auto()


class State(NamedTuple):
    """``moved_ns``: receive time of the event that moved ``high``; ``linked``: a bit for each ring. All 0: no event
    yet. ``high`` is the last word: it is stored last."""

    low: int = 0
    begin: int = 0
    below: int = 0
    moved_ns: int = 0
    linked: int = 0
    high: int = 0


NEW: Final = State()


class Jump(NamedTuple):
    """A chained line went on behind a hole that no ring filled. Numbers are the venue's."""

    before: int
    since_ns: int


class Lines:
    """The lines of one group of rings. ``kept``: their states from before."""

    def __init__(self, kept: Mapping[Key, State]) -> None:
        self.states = dict(kept)
        self.jumps: dict[Key, tuple[int, int]] = {}
        """Line -> its last jump: the numbers before and behind it."""

    def judge(self, ring: int, place: Place, received_ns: int, over: bool) -> tuple[Verdict, Jump | None]:
        """``over``: nothing is to be waited for any more."""
        key, number, previous = place
        state, bit = self.states.get(key, NEW), 1 << ring
        if number > state.high:
            if not state.high:
                self.states[key] = State(low=number, moved_ns=received_ns, linked=bit, high=number)
                return Verdict.PASS, None
            goes_on = previous == state.high if previous is not None else state.linked & bit or key[0] in UNHELD
            if not goes_on and not over:
                return Verdict.HOLD, None
            self.states[key] = state._replace(moved_ns=received_ns, linked=state.linked | bit, high=number)
            if goes_on or previous is None:
                return Verdict.PASS, None
            self.jumps[key] = state.high, number
            return Verdict.PASS, Jump(state.high, state.moved_ns)
        if received_ns - state.moved_ns > RENEWED_NS:
            self.states[key] = State(low=number, moved_ns=received_ns, linked=bit, high=number)
            return Verdict.PASS, None
        if number >= state.low:
            if not state.linked & bit:
                self.states[key] = state._replace(linked=state.linked | bit)
            return Verdict.COPY, None
        return self._older(key, state, number), None

    def unlink(self, ring: int, stream: str, symbol: str) -> list[Key]:
        """A hole of this ring; an empty word or symbol means all. The lines that it was linked to."""
        bit, changed = 1 << ring, []
        for key, state in self.states.items():
            if state.linked & bit and stream in ("", key[0]) and symbol in ("", key[1]):
                self.states[key] = state._replace(linked=state.linked & ~bit)
                changed.append(key)
        return changed

    def covered(self, key: Key, first: int, last: int) -> bool:
        """Whether these numbers have been published, by whatever ring."""
        state = self.states.get(key, NEW)
        before, behind = self.jumps.get(key, (0, 0))
        return state.low <= first and last <= state.high and not (before < last and first < behind)

    def _older(self, key: Key, state: State, number: int) -> Verdict:
        """Older than the first event that was published of this line."""
        if state.begin <= number < state.below:
            return Verdict.COPY
        if number >= state.below:
            self.states[key] = state._replace(begin=state.begin or number, below=number + 1)
        return Verdict.PASS
