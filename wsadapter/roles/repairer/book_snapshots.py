"""Books that are recorded as changes, asked for whole again and again: a book of any moment then needs minutes of
changes, not all since the last gap.

A `wsadapter.roles.repairer.host_queue.Job` without an end, for venues whose answers have numbers of the changes' own
sequence (`wsadapter.exchanges.rest_api.BookRule`). Every symbol is due each ``every`` seconds, spread over them; many
symbols are asked for less often, so that all of them use `SHARE` of the host's weight at most. A round may take longer
than the process lives, so the first one begins at any of them. Repairs go first. What is refused or cannot be read is
counted, and asked for when it is due again: nothing is missing but a shorter way.
"""

import heapq
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from wsadapter.events import Event
from wsadapter.exchanges.rest_api import Fetch, Hole, Limit, RestError, RestExchange
from wsadapter.roles.repairer.host_queue import Job, Pause, Steps, changed

SHARE: Final = 1 / 4
"""Of the host's weight."""


def cadence(every: float, symbols: int, weights: Limit, weight: int) -> float:
    """Seconds between two questions for one symbol."""
    return max(every, symbols * weight * weights.seconds / (weights.units * SHARE))


def weight_of(rest: RestExchange) -> int:
    """What one book costs of the host's weight."""
    filling = rest.repair(Hole("depth", "", 0, 0))
    step = None if filling is None else next(filling)
    return step.request.weight if isinstance(step, Fetch) else 1


def from_anywhere(symbols: Sequence[str], dice: Callable[[], float]) -> Sequence[str]:
    """In their order, beginning at a random one."""
    first = int(dice() * len(symbols))
    return [*symbols[first:], *symbols[:first]]


class BookPoll(Job):
    """``taken``, ``failures``: since somebody took them from here."""

    urgent = False
    endless = True

    def __init__(
        self, exchange: str, symbols: Sequence[str], every: float, rest: RestExchange, now: float,
        dice: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        super().__init__()
        self.lane = f"books:{exchange}"
        self.taken = self.failures = 0
        self._rest, self._every, self._count, self._weight = rest, every, len(symbols), weight_of(rest)
        self.allow(rest.weights)
        # spread over the first round: they stay so. What begins with it was asked for by the gap of its connection
        step = self.cadence / max(1, len(symbols))
        self._due = [(now + (turn + 1) * step, symbol) for turn, symbol in enumerate(from_anywhere(symbols, dice))]
        self.not_before = self._due[0][0]

    def allow(self, weights: Limit) -> None:
        """So much the host allows: each symbol is asked for that often from its next turn on."""
        self.cadence = cadence(self._every, self._count, weights, self._weight)

    def run(self) -> Steps:
        while True:
            now = yield Pause(self._due[0][0])
            due, symbol = self._due[0]
            following = due + self.cadence
            # what was missed is not caught up
            heapq.heapreplace(self._due, (following if following > now else now + self.cadence, symbol))
            filling = self._rest.repair(Hole("depth", symbol, 0, 0))
            assert filling is not None, "the supervisor names only venues that give books"
            before = self.taken
            with suppress(RestError):  # counted and said by whoever asked
                yield from changed(filling, self._counted)
            self.failures += self.taken == before

    def _counted(self, events: list[Any]) -> list[Event]:
        self.taken += len(events)
        return events
