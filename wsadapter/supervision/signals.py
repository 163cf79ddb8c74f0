"""Signals as something to select on: the handlers do nothing, the numbers arrive through a descriptor. Until there is
who selects, one is noted.

Any number of one signal between two calls of `poll` counts as one, which is what a storm of them deserves.
"""

import os
import signal
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any


class Signals:
    """While entered, these signals do nothing but make `fileno` readable. Main thread only."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup_before = -1
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> "Signals":
        self._wakeup_before = signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        for number in self._numbers:
            self._before[number] = signal.signal(number, _nothing)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._in)
        os.close(self._out)

    def fileno(self) -> int:
        return self._out

    def poll(self) -> set[int]:
        """The numbers that came since the last time."""
        try:
            return set(os.read(self._out, 65536)) & set(self._numbers)
        except BlockingIOError:
            return set()


class NotedSignal:
    """From now on this signal does nothing but set ``came``. Main thread only."""

    def __init__(self, number: signal.Signals) -> None:
        self.came = False
        signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True


def _nothing(number: int, frame: FrameType | None) -> None:
    """Exists so that the signal reaches the wake-up descriptor instead of its default action."""
