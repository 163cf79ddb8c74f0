"""A job driven by hand: time, answers and errors as the test wants them; no host and no queue."""

from typing import Any

from wsadapter.events import Coverage, Event
from wsadapter.exchanges.rest_api import BadAnswer, Fetch, Request, RequestRefused, RestError
from wsadapter.roles.repairer.host_queue import Job, Pause


class Driven:
    """``not_before``: what the job waits for, ``events``: all that it gave, but for ``coverage``."""

    def __init__(self, job: Job) -> None:
        self.not_before = job.not_before
        self.events: list[Event] = []
        self.coverage: list[Coverage] = []
        self.is_done = False
        self._steps = job.run()
        self._fetch: Fetch | None = None
        self._advance(None)

    def at(self, now: float) -> Request | None:
        """What it asks at this time, None while it waits."""
        while self._fetch is None and not self.is_done and now >= self.not_before:
            self._advance(now)
        return None if self._fetch is None else self._fetch.request

    def answer(self, body: bytes, received_ns: int) -> list[Event]:
        """The events that the answer gives."""
        assert self._fetch is not None
        try:
            answer = self._fetch.parse(body, received_ns)
        except BadAnswer as error:
            answer = error
        return self._advance(answer)

    def refuse(self) -> list[Event]:
        return self._advance(RequestRefused("no"))

    def _advance(self, value: Any) -> list[Event]:
        """To the next pause or request."""
        self._fetch = None
        events: list[Event] = []
        while True:
            try:
                step = self._steps.throw(value) if isinstance(value, RestError) else self._steps.send(value)
            except StopIteration:
                self.is_done = True
                break
            value = None
            if isinstance(step, Fetch):
                self._fetch = step
                break
            if isinstance(step, Pause):
                self.not_before = step.until
                break
            self.coverage += [each for each in step if isinstance(each, Coverage)]
            events += [each for each in step if not isinstance(each, Coverage)]
        self.events += events
        return events
