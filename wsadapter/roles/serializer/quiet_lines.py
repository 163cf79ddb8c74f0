"""Room on a full page of watermarks: of symbols that are no more, and of rings that are no more, the lines go.

Symbols by rule come and go for months, each with a line of its own, and a page cannot grow while a serializer writes to
it. A line that has not moved for `QUIET_NS` may go: rings hold no copy of so old an event, except where Kafka was away
for as long. Gone is it from the page alone: this process judges by all that it has seen, and only a later one takes the
line's next event for its first. A line of a ring goes when no reader has the ring.

Owns nothing; the page has one writer, who calls.
"""

from collections.abc import Mapping, Set
from typing import Final

from wsadapter.events.sequence import SequenceKey
from wsadapter.roles.serializer.arbitration import NEW, State
from wsadapter.shm.watermarks import Watermarks

JUDGED: Final = "judged"
"""First word of the page's line about a ring; the second is its epoch."""
QUIET_NS: Final = 86_400_000_000_000
LOOK_AGAIN_NS: Final = 60_000_000_000
"""Least time between two looks at all lines: on a page whose lines all move each look is in vain."""


class QuietLines:
    """Lines of a page that may go, longest quiet last."""

    def __init__(self, page: Watermarks) -> None:
        self._page = page
        self._found: list[SequenceKey] = []
        self._look_at_ns = 0

    def forget_one(self, states: Mapping[SequenceKey, State], epochs: Set[int], now_ns: int) -> bool:
        """Whether there was one. ``states``: of the lines, as they are judged now; ``epochs``: of the rings."""
        if not self._found and now_ns >= self._look_at_ns:
            self._look_at_ns = now_ns + LOOK_AGAIN_NS
            since = {key: states.get(key, NEW).moved_ns for key in self._page.lines}
            quiet = (key for key in since if _may_go(key, since[key], epochs, now_ns))
            self._found = sorted(quiet, key=lambda key: since[key], reverse=True)
        while self._found:
            key = self._found.pop()
            if key in self._page.lines and _may_go(key, states.get(key, NEW).moved_ns, epochs, now_ns):
                self._page.forget(key)
                return True
        return False


def _may_go(key: SequenceKey, moved_ns: int, epochs: Set[int], now_ns: int) -> bool:
    return key[1] not in epochs if key[0] == JUDGED else now_ns - moved_ns > QUIET_NS
