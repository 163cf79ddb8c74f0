"""A venue in a thread of its own, for synchronous tests and scripts."""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from wsadapter.embedded.exchange.server import Venue

T = TypeVar("T")


class VenueThread:
    """``with VenueThread(lambda: Venue(Options(...))) as venue: ...``. Read plain attributes of ``venue.venue`` from
    anywhere; change things through `call`, which runs on the venue's loop."""

    def __init__(self, make: Callable[[], Venue] = Venue) -> None:
        self._make = make
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="venue", daemon=True)
        self._failed: BaseException | None = None
        self.venue: Venue

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def call(self, ask: Callable[[Venue], T]) -> T:
        """``ask(venue)`` on the venue's loop; its result."""

        async def asked() -> T:
            return ask(self.venue)

        return asyncio.run_coroutine_threadsafe(asked(), self._loop).result(10)

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            self.venue = self._make()
            await self.venue.start()
        except BaseException as error:
            self._failed = error
            raise
        finally:
            self._ready.set()
        await self._over.wait()
        await self.venue.stop()
