"""The queue of one REST host: jobs that wait, and the one that is being done. Its events are published in order.

Punctual jobs (polls) come first when they are due, then urgent ones (gaps), then others (checks of candles), the oldest
first; a job that has to wait lets others pass, and after each answer the next one has its turn: a gap of days does not
hold up one of seconds. Jobs of one lane follow one another. One request is under way at a time, and none is sent before
the host's budget allows it. Bounded: polls by the configuration, gaps by their source, others by `MOST_OTHERS`, beyond
which they are dropped and counted (the next break of a chain asks again).
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Protocol

from wsadapter.errors import ServiceUnavailable
from wsadapter.events import Event, MarketEvent
from wsadapter.exchanges.rest_api import BadAnswer, Repair, Request
from wsadapter.log import Repeated, get_logger
from wsadapter.rest.budget import Outcome
from wsadapter.rest.host import RestHost, Result
from wsadapter.shm.stats_page import StatsPage

MOST_OTHERS: Final = 1_000
BAD_ANSWERS: Final = 6
"""In a row; then what cannot be read counts as refused."""

log = get_logger()


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

    def handle(self, body: bytes, received_ns: int) -> Sequence[Event]:
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

    def _events(self, body: bytes, received_ns: int) -> list[MarketEvent]:
        repair, is_present = self._repairs[0]
        events = [event for event in repair.take(body, received_ns) if not is_present(event)]
        self._bad = 0
        return events

    def bad(self, now: float) -> None:
        self._bad += 1
        self.not_before = now + min(2.0**self._bad, 60.0)
        if self._bad >= BAD_ANSWERS:
            self.refused()

    def refused(self) -> None:
        self._bad = 0
        self._repairs[0][0].refused()


class HostQueue:
    """``finished``: jobs that are done since they were last taken from here."""

    def __init__(self, host: RestHost) -> None:
        self.host = host
        self.finished: list[Job] = []
        self.bad_answers = 0
        self.dropped = 0
        self._punctual: deque[Job] = deque()
        self._urgent: deque[Job] = deque()
        self._others: deque[Job] = deque()
        self._job: Job | None = None
        self._sent: Future[Result] | None = None
        self._lanes: dict[str, Job] = {}
        """Lane -> the job of it that is under way."""
        self._repeated = Repeated()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._others) + (self._job is not None)

    @property
    def requesting(self) -> bool:
        """A request is under way; its end rings."""
        return self._sent is not None

    def add(self, job: Job) -> None:
        if not job.urgent and len(self._others) >= MOST_OTHERS:
            self.dropped += 1
            return
        self._queue(job)

    def step(self, now: float) -> Sequence[Event]:
        """One step; the events that it brought. Called when all earlier ones are acknowledged."""
        if self._sent is not None:
            return self._answered(now) if self._sent.done() else ()
        job = self._job = self._job or self._next(now)
        if job is None:
            return ()
        try:
            ready = job.prepare(now)
        except ServiceUnavailable as error:
            self._log("Kafka cannot be read", str(error))
            job.close()
            job.not_before = now + 1.0
            ready = False
        if not ready:
            if job.not_before > now:
                self._put_back(job)
            return ()
        request = job.request()
        if request is None:
            return self._finish(job)
        self._send(request)
        return ()

    def wait(self, now: float) -> float:
        """Seconds until `step` has something to do, if nothing comes in before."""
        if self._sent is not None:
            return float("inf")  # the answer rings
        if self._job is not None:
            request = self._job.request()
            return 0.0 if request is None else self.host.wait(request)
        jobs = (*self._punctual, *self._urgent, *self._others)
        times = [job.not_before for job in jobs if self._lanes.get(job.lane, job) is job]
        return max(0.0, min(times, default=float("inf")) - now)

    def publish_stats(self, page: StatsPage, label: str) -> None:
        """Write the host's figures into the cells with this ``label``."""
        host = self.host
        page["rest_weight_used" + label] = host.used
        page["rest_weight_limit" + label] = host.budget.limit
        page["rest_paused_seconds" + label] = round(host.paused)
        page["rest_queue" + label] = len(self)
        for name, count in host.counts.increments().items():
            page[f"rest_{name}_total{label}"] += count
        page["rest_bad_answers_total" + label] += self.bad_answers
        page["candle_checks_dropped_total"] += self.dropped
        self.bad_answers = self.dropped = 0

    def close(self) -> None:
        for job in (*self._punctual, *self._urgent, *self._others, *([] if self._job is None else [self._job])):
            job.close()

    def _next(self, now: float) -> Job | None:
        for waiting in (self._punctual, self._urgent, self._others):
            for _ in range(len(waiting)):
                job = waiting[0]
                if job.not_before <= now and self._lanes.setdefault(job.lane, job) is job:
                    waiting.popleft()
                    return job
                waiting.rotate(-1)
        return None

    def _put_back(self, job: Job) -> None:
        self._job = None
        self._queue(job)

    def _queue(self, job: Job) -> None:
        (self._punctual if job.punctual else self._urgent if job.urgent else self._others).append(job)

    def _send(self, request: Request) -> None:
        if self.host.wait(request) <= 0:
            self._sent = self.host.send(request)

    def _answered(self, now: float) -> Sequence[Event]:
        sent, self._sent = self._sent, None
        assert sent is not None
        assert self._job is not None
        job, result = self._job, sent.result()
        if result.outcome is Outcome.REFUSED:
            job.refused()
        elif result.outcome is Outcome.OK:
            try:
                events = job.handle(result.body, result.received_ns)
            except BadAnswer as error:
                self.bad_answers += 1
                self._log("a REST answer cannot be parsed", str(error))
                job.bad(now)
            else:
                self._put_back(job)
                return events
        self._put_back(job)
        return ()

    def _finish(self, job: Job) -> Sequence[Event]:
        self._job = None
        del self._lanes[job.lane]
        self.finished.append(job)
        return job.closing()

    def _log(self, what: str, detail: str) -> None:
        if (kept_back := self._repeated(what)) is not None:
            log.warning(what, detail=detail, repeated=kept_back)
