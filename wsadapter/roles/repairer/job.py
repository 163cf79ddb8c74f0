"""What a desk works on: jobs that have requests to send, one after the other, and take the answers.

A `Job` knows no socket and no clock of its own: its desk (`wsadapter.roles.repairer.host_queue`) prepares it, sends
its requests within the host's budget and hands it the answers. When it is done, `Job.closing` says what is to be
published last.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from wsadapter.events import Event, MarketEvent
from wsadapter.exchanges.rest_api import Repair, Request

BAD_ANSWERS: Final = 6
"""In a row; then what cannot be read counts as refused."""


class Job(Protocol):
    """``not_before``: monotonic time before which there is nothing to do. ``lane``: of the jobs of one lane one is
    under way at a time, as they may be about the same events."""

    not_before: float
    lane: str
    urgent: bool
    """Goes before those that are not."""
    punctual: bool
    """Goes before all others when it is time: never for long, and seldom."""

    def prepare(self, now: float) -> bool:
        """Whether it is known what to ask; called again until it says so."""

    def request(self) -> Request | None:
        """What to ask next; None when the job is done."""

    def take(self, body: bytes, received_ns: int) -> Sequence[Event]:
        """Raises `BadAnswer`; then `bad` is called."""

    def bad(self, now: float) -> None: ...

    def refused(self) -> None: ...

    def closing(self) -> Sequence[Event]: ...

    def close(self) -> None: ...


class RepairJob:
    """Repairs one after the other, and the events of each that are not there already."""

    punctual = False

    def __init__(self) -> None:
        self.not_before = 0.0
        self._repairs: list[tuple[Repair, Callable[[MarketEvent], bool]]] = []
        """With the test whether an event is there already."""
        self._outcomes: list[str] = []
        self._bad = 0

    def request(self) -> Request | None:
        while self._repairs:
            if (request := self._repairs[0][0].request()) is not None:
                return request
            self._outcomes.append(self._repairs.pop(0)[0].outcome)
        return None

    def _taken(self, body: bytes, received_ns: int) -> list[MarketEvent]:
        repair, is_there = self._repairs[0]
        found = [event for event in repair.take(body, received_ns) if not is_there(event)]
        self._bad = 0
        return found

    def bad(self, now: float) -> None:
        self._bad += 1
        self.not_before = now + min(2.0**self._bad, 60.0)
        if self._bad >= BAD_ANSWERS:
            self.refused()

    def refused(self) -> None:
        self._bad = 0
        self._repairs[0][0].refused()
