"""By how much a venue's clock is ahead of ours, asked as NTP does: the time that it says, less ours in the middle of
the round trip. True to half of that trip, so of the newest answers the one with the shortest counts.

A venue whose API says no time, or whole seconds only, is not asked: then the offset is not known, and neither is it
after `FORGET_SECONDS` without an answer. Owns its exchange's two cells.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from wsadapter.exchanges.rest_api import Fetch, RequestRefused, RestError, ServerTime
from wsadapter.log import get_logger
from wsadapter.roles.repairer.host_queue import Job, Pause, Steps
from wsadapter.shm.stats_page import StatsPage

FIRST_SECONDS: Final = 10.0
"""After the start, whose repairs go first."""
EVERY_SECONDS: Final = 60.0
BURST: Final = 3
"""Questions behind each other: the first one may have to connect."""
KEPT: Final = 5 * BURST
FORGET_SECONDS: Final = 600.0

log = get_logger()


class Answer(Struct, frozen=True, order=True):
    """``trip_ns``: from the question to the answer. ``offset_ns``: the venue's clock less ours."""

    trip_ns: int
    offset_ns: int


class ClockPoll(Job):
    """``trip_ns`` says how long the last request took."""

    punctual = True

    def __init__(self, exchange: str, asks: ServerTime, trip_ns: Callable[[], int], now: float) -> None:
        super().__init__()
        self.lane = f"clock:{exchange}"
        self.not_before = now + FIRST_SECONDS
        self._exchange, self._asks, self._trip_ns = exchange, asks, trip_ns
        self._answers: deque[Answer] = deque(maxlen=KEPT)
        self._answered_at = now

    def run(self) -> Steps:
        until = self.not_before
        while True:
            now = yield Pause(until)
            until = now + EVERY_SECONDS
            try:
                for _ in range(BURST):
                    self._answers.append((yield Fetch(self._asks.request, self._parse)))
                    self._answered_at = time.monotonic()
            except RequestRefused as error:
                log.warning("the venue does not say its time", exchange=self._exchange, reason=str(error))
                return
            except RestError:
                continue  # counted and said by whoever asked; the next time will do

    def _parse(self, body: bytes, received_ns: int) -> Answer:
        trip_ns = max(1, self._trip_ns())
        return Answer(trip_ns, self._asks.read(body) - (received_ns - trip_ns // 2))

    def publish(self, page: StatsPage, now: float) -> None:
        """An error of 0 means that nothing is known."""
        if now - self._answered_at > FORGET_SECONDS:
            self._answers.clear()
        best = min(self._answers, default=Answer(0, 0))
        page[f'venue_clock_offset_ns{{exchange="{self._exchange}"}}'] = best.offset_ns
        page[f'venue_clock_error_ns{{exchange="{self._exchange}"}}'] = -(-best.trip_ns // 2)
