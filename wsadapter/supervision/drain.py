"""Stop children in order, each group with a deadline, the whole bounded. No process and no clock of its own.

Groups are told one after the other, the next when the last child of the one before is gone: writers of rings before
their readers, readers before what reads behind them. A group may use what the later ones do not need: a tenth of the
whole time is kept for each of them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

RESERVE: Final = 0.1


class Stoppable(Protocol):
    """The part of a child that a drain needs."""

    @property
    def alive(self) -> bool: ...

    def order_stop(self, stop_by: float) -> None: ...


class Stage:
    """Something that is begun with a deadline and is over at some time."""

    def __init__(self, name: str, begin: Callable[[float], None], over: Callable[[], bool]) -> None:
        self.name = name
        self.begin = begin
        self.over = over
        self.deadline = float("inf")


class Drain:
    """Runs stages in order; `step` is called whenever something may have changed."""

    def __init__(self, stages: Iterable[Stage], now: float, seconds: float) -> None:
        self._remaining = list(stages)
        self._current: Stage | None = None
        self._reserve = seconds * RESERVE
        self.end = now + seconds

    @property
    def stage(self) -> Stage | None:
        """What is going on; None before the first step and at the end."""
        return self._current

    def step(self) -> bool:
        """Begin what can begin; True when all is over. Deadlines are for the stages to keep."""
        while self._current is None or self._current.over():
            if not self._remaining:
                self._current = None
                return True
            self._current = self._remaining.pop(0)
            self._current.deadline = self.end - self._reserve * len(self._remaining)
            self._current.begin(self._current.deadline)
        return False


def group(name: str, children: Sequence[Stoppable], prepare: Callable[[], None] = lambda: None) -> Stage:
    """The stage that stops these children; ``prepare`` comes first."""

    def begin(deadline: float) -> None:
        prepare()
        for child in children:
            child.order_stop(deadline)

    return Stage(name, begin, lambda: not any(child.alive for child in children))
