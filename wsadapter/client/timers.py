"""Named one-shot timers of one event loop: setting a name again moves its timer."""

import asyncio
from collections.abc import Callable


class Timers:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._handles

    def set(self, name: str, delay: float, action: Callable[[], object]) -> None:
        self.clear(name)
        self._handles[name] = self._loop.call_later(max(delay, 0.0), self._fire, name, action)

    def clear(self, name: str) -> None:
        if (handle := self._handles.pop(name, None)) is not None:
            handle.cancel()

    def clear_all(self) -> None:
        for name in tuple(self._handles):
            self.clear(name)

    def _fire(self, name: str, action: Callable[[], object]) -> None:
        del self._handles[name]
        action()
