"""The queue of one REST host: jobs that wait, and the one that is being done. Its events are published in order.

A job is a generator of steps (`Job.run`); here is its driver, which sends, parses and throws in what went wrong.
Punctual jobs (polls) come first when they are due, and a share of the host's weight is theirs; then urgent ones (gaps),
then others (checks of candles), the oldest first. A job that has to wait lets others pass, and after each answer the
next one has its turn: a gap of days does not hold up one of seconds. Jobs of one lane follow one another, but none
waits behind one that has to be begun anew. One request is under way at a time, and none is sent before the host's
budget allows it. Bounded: polls by the configuration, gaps by their source, others by `MOST_OTHERS`, beyond which they
are dropped and counted (the next break of a chain asks again, an open candle is due again).
"""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from typing import Any, Final

from msgspec import Struct

from wsadapter.backoff import Backoff
from wsadapter.errors import ServiceUnavailable
from wsadapter.events import Event
from wsadapter.events.gaps import RepairState
from wsadapter.exchanges.rest_api import (
    BadAnswer,
    Fetch,
    Filled,
    Filling,
    RequestRefused,
    RestError,
    Rows,
    TooOld,
    Unanswered,
)
from wsadapter.log import Repeated, get_logger
from wsadapter.rest.budget import Outcome
from wsadapter.rest.host import RestHost, Result
from wsadapter.shm.stats_page import StatsPage

MOST_OTHERS: Final = 1_000
BAD_ANSWERS: Final = 6
"""Of one series; then what cannot be read is given up."""
MOST_TRIES: Final = 6
"""Of a request to a host that does not answer, or with 5xx; then its job goes on without, and comes back later."""
KAFKA_SECONDS: Final = 1.0
POLLS_SHARE: Final = 1 / 8
"""Of the host's weight, that nothing else uses up where there are polls."""
BACKOFF: Final = Backoff(2.0, 60.0)

log = get_logger()


class Pause(Struct, frozen=True):
    """Nothing to do before ``until`` (monotonic seconds): others have their turn. The time is sent back."""

    until: float


Step = Fetch | Pause | Sequence[Event]
Steps = Generator[Step, Any, None]
"""What a job does: is sent what the answer to a `Fetch` says, and the time after a `Pause` or events, which are
acknowledged then. A `RestError` is thrown in where a `Fetch` has no answer; one that is not caught has the job begun
anew later, and so has a Kafka that cannot be read."""


class Job(ABC):
    """``lane``: of the jobs of one lane one is under way at a time, as they may be about the same events."""

    lane: str
    urgent: bool = True
    """Goes before those that are not."""
    punctual: bool = False
    """Goes before all others when it is time: never for long, and seldom."""

    endless: bool = False
    """Most of the time it has nothing to ask: it is no job that waits for the host."""
    polls: bool = False
    """What it brings was not missed: it comes by REST only."""

    def __init__(self) -> None:
        self.not_before = 0.0
        self.fetch: Fetch | None = None
        """Yielded, and not answered yet."""
        self.tries = 0
        """Of it, in which the host was absent."""
        self.steps: Steps | None = None
        self.restarts = 0

    @abstractmethod
    def run(self) -> Steps:
        """All of it, from the beginning."""

    def close(self) -> None:
        """Let go of what is under way."""
        if self.steps is not None:
            self.steps.close()
        self.steps = self.fetch = None


class RepairJob(Job):
    """A job that fills holes. What it knows of a hole outlives a new beginning."""

    def __init__(self) -> None:
        super().__init__()
        self._bad: Counter[object] = Counter()
        self._published: Counter[object] = Counter()

    def fill(self, key: object, filling: Filling, change: Callable[[list[Any]], list[Any]]) -> Filling:
        """Fill the hole ``key``, publish what ``change`` makes of its events. An answer that cannot be read is asked
        for again with the whole job, but not for ever."""
        try:
            filled = yield from changed(filling, lambda events: self._counted(key, change(events)))
        except BadAnswer as error:
            self._bad[key] += 1
            if self._bad[key] < BAD_ANSWERS:
                raise
            state = RepairState.PARTIAL if self._published[key] else RepairState.UNREPAIRABLE
            return Filled(state, self._published[key], reason=str(error))
        if filled.state == RepairState.UNREPAIRABLE and self._published[key]:
            filled.state = RepairState.PARTIAL
        return filled

    def _counted(self, key: object, events: list[Any]) -> list[Any]:
        self._published[key] += len(events)
        return events


def changed(
    filling: Filling, change: Callable[[list[Any]], list[Any]], look: Callable[[Rows], object] = lambda rows: None
) -> Filling:
    """The same steps, the events of each as ``change`` makes them; ``look`` sees each answer."""
    answer: Any = None
    error: RestError | None = None
    while True:
        try:
            step = filling.send(answer) if error is None else filling.throw(error)
        except StopIteration as end:
            filled: Filled = end.value
            return filled
        answer = error = None
        if isinstance(step, Fetch):
            try:
                answer = yield step
            except RestError as thrown:
                error = thrown
            else:
                look(answer)
        else:
            yield change([*step])


class HostQueue:
    """``finished``: jobs that are done since they were last taken from here."""

    def __init__(self, host: RestHost) -> None:
        self.host = host
        self.finished: list[Job] = []
        self.bad_answers = self.bad_rows = self.dropped = 0
        self.is_polled = False
        """What the last step brought is what a job ``polls``."""
        self._punctual: deque[Job] = deque()
        self._urgent: deque[Job] = deque()
        self._others: deque[Job] = deque()
        self._job: Job | None = None
        """Whose request waits for the budget, or is under way."""
        self._sent: Future[Result] | None = None
        self._lanes: dict[str, Job] = {}
        """Lane -> the job of it that is under way."""
        self._has_polls = False
        self._repeated = Repeated()

    def __len__(self) -> int:
        waiting = sum(not job.endless for job in self._others)
        return len(self._urgent) + waiting + (self._job is not None)

    @property
    def requesting(self) -> bool:
        """A request is under way; its end rings."""
        return self._sent is not None

    def add(self, job: Job) -> bool:
        """False: too many wait, it is dropped."""
        if not job.urgent and len(self._others) >= MOST_OTHERS:
            self.dropped += 1
            return False
        self._has_polls = self._has_polls or job.punctual
        self._queue(job)
        return True

    def step(self, now: float) -> Sequence[Event]:
        """One step; the events that it brought. Called when all earlier ones are acknowledged."""
        if self._sent is not None:
            return self._answered(now) if self._sent.done() else ()
        job = self._job or self._next(now)
        if job is None:
            return ()
        self._job = job
        if job.fetch is None:
            is_begun = job.steps is not None
            job.steps = job.steps or job.run()
            events = self._advance(job, now if is_begun else None, now)
            if job.fetch is None:
                return events
        if self._budget_wait(job) <= 0:
            self._sent = self.host.send(job.fetch.request)
        elif self._punctual and not job.punctual and self._punctual_wait(now) <= 0:
            self._job = None
            (self._urgent if job.urgent else self._others).appendleft(job)
        return ()

    def wait(self, now: float) -> float:
        """Seconds until `step` has something to do, if nothing comes in before."""
        if self._sent is not None:
            return float("inf")  # the answer rings
        if self._job is not None:
            budget_wait = 0.0 if self._job.fetch is None else self._budget_wait(self._job)
            return budget_wait if self._job.punctual else min(budget_wait, self._punctual_wait(now))
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
        page["rest_bad_rows_total" + label] += self.bad_rows
        page["candle_checks_dropped_total"] += self.dropped
        self.bad_answers = self.bad_rows = self.dropped = 0

    def close(self) -> None:
        for job in (*self._punctual, *self._urgent, *self._others, *([] if self._job is None else [self._job])):
            job.close()

    def _budget_wait(self, job: Job) -> float:
        assert job.fetch is not None
        reserve = POLLS_SHARE if self._has_polls and not job.punctual else 0.0
        return self.host.wait(job.fetch.request, reserve)

    def _punctual_wait(self, now: float) -> float:
        return max(0.0, min((job.not_before for job in self._punctual), default=float("inf")) - now)

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

    def _advance(self, job: Job, value: Any, now: float) -> Sequence[Event]:
        """The job's next step; ``value`` is sent to it, or thrown in. The events of the step."""
        assert job.steps is not None
        self.is_polled = job.polls
        try:
            step = job.steps.throw(value) if isinstance(value, RestError) else job.steps.send(value)
        except StopIteration:
            self._finish(job)
            return ()
        except RestError:
            self._begin_anew(job, now + BACKOFF.bound(job.restarts))
            return ()
        except ServiceUnavailable as error:
            self._log("Kafka cannot be read", str(error))
            self._begin_anew(job, now + KAFKA_SECONDS)
            return ()
        if isinstance(step, Fetch):
            job.fetch = step
            return ()
        if isinstance(step, Pause):
            job.not_before = step.until
            self._put_back(job)
            return ()
        self._put_back(job)
        return step

    def _answered(self, now: float) -> Sequence[Event]:
        sent, self._sent = self._sent, None
        job = self._job
        assert sent is not None
        assert job is not None
        assert job.fetch is not None
        result = sent.result()
        job.tries += result.outcome is Outcome.ABSENT
        if result.outcome is Outcome.AGAIN or (result.outcome is Outcome.ABSENT and job.tries < MOST_TRIES):
            self._put_back(job)
            return ()
        fetch, job.fetch, job.tries = job.fetch, None, 0
        events = self._advance(job, self._answer(fetch, result), now)
        if self._job is job:
            self._put_back(job)  # with its next request: now it is another's turn
        return events

    def _answer(self, fetch: Fetch, result: Result) -> Any:
        """What the answer says, or why there is none."""
        if result.outcome is Outcome.REFUSED:
            return (TooOld if result.is_too_old else RequestRefused)(result.reason)
        if result.outcome in (Outcome.UNANSWERED, Outcome.ABSENT):
            return Unanswered(result.reason)
        try:
            answer = fetch.parse(result.body, result.received_ns)
        except BadAnswer as error:
            self.bad_answers += 1
            self._log("a REST answer cannot be parsed", f"{fetch.request.path}: {error}")
            return error
        if isinstance(answer, Rows):
            answer.date(result.dated_ns)
        if isinstance(answer, Rows) and answer.bad:
            self.bad_rows += len(answer.bad)
            self._log(
                "rows of a REST answer cannot be read", f"{fetch.request.path}: {answer.reason}: {answer.bad[:9]}"
            )
        return answer

    def _begin_anew(self, job: Job, not_before: float) -> None:
        """Later, from the beginning: what was published is in the log then. Those behind it in its lane go first."""
        job.close()
        job.restarts += 1
        job.not_before = not_before
        del self._lanes[job.lane]
        self._put_back(job)

    def _finish(self, job: Job) -> None:
        self._job = None
        del self._lanes[job.lane]
        self.finished.append(job)

    def _log(self, what: str, detail: str) -> None:
        if (kept_back := self._repeated(what)) is not None:
            log.warning(what, detail=detail, repeated=kept_back)
