"""A queue between jobs and a host: turns, order, refusals, answers that cannot be; no Kafka and no socket."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import cast

import pytest

from wsadapter.exchanges.rest_api import BadAnswer, Fetch, Limit, Request, RequestRefused, TooOld
from wsadapter.rest.budget import Budget, Outcome
from wsadapter.rest.host import RestHost, Result
from wsadapter.roles.repairer.gap_repair import TURN_SECONDS
from wsadapter.roles.repairer.host_queue import BACKOFF, MOST_TRIES, HostQueue, Job, Pause, Steps


class Host:
    """Answers when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.paused = self.now = 0.0
        self.budget = Budget(Limit(2400, 60.0), {}, frozenset(), lambda: 1.0)
        self.next: Callable[[], Result] = lambda: Result(Outcome.OK, b"fine")

    def wait(self, request: Request, reserve: float = 0.0) -> float:
        return max(self.paused, self.budget.wait(request, self.now, reserve))

    def send(self, request: Request) -> "Future[Result]":
        self.asked.append(request.path)
        self.budget.sent(request, self.now)
        future: Future[Result] = Future()
        future.set_result(self.next())
        return future


class Requests(Job):
    """``count`` requests, one after the other."""

    def __init__(self, name: str, count: int, lane: str = "", not_before: float = 0.0) -> None:
        super().__init__()
        self.name, self.remaining, self.lane = name, count, lane or name
        self.not_before = not_before
        self.refusals = 0
        self.was_too_old = False
        self.closed = False

    def run(self) -> Steps:
        try:
            while self.remaining:
                try:
                    yield Fetch(Request(self.name), parse)
                except RequestRefused as error:
                    self.refusals += 1
                    self.was_too_old = isinstance(error, TooOld)
                    self.remaining = 0
                else:
                    self.remaining -= 1
        finally:
            self.closed = True


class Heavy(Job):
    """A gap of days: as much as the budget allows, and more."""

    lane = "heavy"

    def run(self) -> Steps:
        while True:
            yield Fetch(Request("heavy", weight=20), parse)


class Poll(Job):
    """One request each ten seconds."""

    lane, punctual = "poll", True

    def run(self) -> Steps:
        due = 0.0
        while True:
            yield Pause(due)
            yield Fetch(Request("poll"), parse)
            due += 10.0


class LongSearch(Job):
    """Looks into a log for a long time before it asks."""

    def __init__(self, lane: str, steps: int, clock: "Clock") -> None:
        super().__init__()
        self.lane, self._count, self._clock = lane, steps, clock

    def run(self) -> Steps:
        now = yield Pause(0.0)
        for _ in range(self._count):
            self._clock.now += 0.2
            now = yield Pause(now + TURN_SECONDS)
        yield Fetch(Request(self.lane), parse)


class Clock:
    now = 0.0


def parse(body: bytes, received_ns: int) -> bytes:
    if body == b"bad":
        raise BadAnswer("no")
    return body


def queue(*jobs: Job) -> tuple[HostQueue, Host]:
    host = Host()
    made = HostQueue(cast(RestHost, host))
    for job in jobs:
        made.add(job)
    return made, host


def turns(made: HostQueue, count: int, now: float = 1.0) -> None:
    for _ in range(count):
        made.step(now)


def test_jobs_take_turns() -> None:
    made, host = queue(Requests("long", 4), Requests("short", 1))
    turns(made, 30)
    assert host.asked == ["long", "short", "long", "long", "long"]
    assert len(made.finished) == 2
    assert len(made) == 0


def test_jobs_of_one_lane_follow_one_another() -> None:
    made, host = queue(Requests("first", 2, "lane"), Requests("second", 2, "lane"), Requests("other", 1))
    turns(made, 30)
    assert host.asked == ["first", "other", "first", "second", "second"]


def test_nothing_is_sent_before_the_budget_allows() -> None:
    made, host = queue(Requests("one", 1))
    host.paused = 60.0
    turns(made, 5)
    assert host.asked == []
    assert made.wait(1.0) == 60.0
    host.paused = 0.0
    turns(made, 5)
    assert host.asked == ["one"]


def test_a_refusal_is_told_and_another_try_is_not_noticed() -> None:
    job = Requests("one", 2)
    made, host = queue(job)
    host.next = lambda: Result(Outcome.AGAIN)
    turns(made, 6)
    assert (len(host.asked), job.remaining) == (3, 2)
    host.next = lambda: Result(Outcome.REFUSED, b"{}")
    turns(made, 4)
    assert (job.refusals, job.was_too_old) == (1, False)
    assert len(made.finished) == 1


def test_a_refusal_of_what_is_too_old_is_told_as_that() -> None:
    job = Requests("one", 2)
    made, host = queue(job)
    host.next = lambda: Result(Outcome.REFUSED, b"{}", is_too_old=True)
    turns(made, 4)
    assert (job.refusals, job.was_too_old) == (1, True)


@pytest.mark.parametrize("result", [Result(Outcome.OK, b"bad"), Result(Outcome.UNANSWERED)])
def test_what_has_no_answer_is_asked_again_later_and_holds_up_nobody(result: Result) -> None:
    made, host = queue(Requests("one", 1, "lane"), Requests("behind", 1, "lane"), Requests("other", 1))
    host.next = lambda: result
    turns(made, 2)
    host.next = lambda: Result(Outcome.OK, b"fine")
    turns(made, 12)
    assert host.asked == ["one", "behind", "other"]
    assert made.bad_answers == (result.outcome is Outcome.OK)
    assert made.wait(1.0) == 2.0
    turns(made, 5, now=3.0)
    assert host.asked == ["one", "behind", "other", "one"]
    assert len(made.finished) == 3


def test_what_has_no_answer_for_days_is_asked_again_and_again() -> None:
    job = Requests("one", 1)
    made, host = queue(job)
    host.next = lambda: Result(Outcome.UNANSWERED)
    for minute in range(2_500):
        turns(made, 2, now=60.0 * minute)
    assert len(host.asked) > 1_100
    assert job.remaining == 1


def test_a_request_that_a_host_never_answers_lets_its_job_go_on() -> None:
    """It may be this request only: five tries more are not noticed, then it is told."""
    job, other = Requests("one", 1), Requests("other", 1)
    made, host = queue(job, other)
    host.next = lambda: Result(Outcome.ABSENT) if host.asked[-1] == "one" else Result(Outcome.OK, b"fine")
    turns(made, 30)
    assert host.asked.count("one") == MOST_TRIES
    assert made.finished == [other]
    host.next = lambda: Result(Outcome.OK, b"fine")
    turns(made, 5, now=1.0 + BACKOFF.minimum)
    assert made.finished == [other, job]


def test_a_long_look_into_the_log_holds_up_no_poll() -> None:
    clock = Clock()
    made, host = queue(Poll(), LongSearch("a", 500, clock), LongSearch("b", 500, clock))
    asked_at: list[float] = []

    def answer() -> Result:
        if host.asked[-1] == "poll":
            asked_at.append(clock.now)
        return Result(Outcome.OK, b"fine")

    host.next = answer
    while not {"a", "b"} <= {*host.asked}:
        made.step(clock.now)
        clock.now += 0.001
    assert len(asked_at) >= 19
    assert max(abs(at - 10.0 * index) for index, at in enumerate(asked_at)) < 1.0


def test_a_gap_of_days_leaves_weight_and_time_to_a_poll() -> None:
    made, host = queue(Heavy(), Poll())
    asked_at: list[float] = []
    for tick in range(12_000):
        host.now = tick * 0.01
        polls = host.asked.count("poll")
        made.step(host.now)
        if host.asked.count("poll") > polls:
            asked_at.append(host.now)
    assert [round(at / 10.0) for at in asked_at] == [*range(12)]
    assert max(abs(at - 10.0 * index) for index, at in enumerate(asked_at)) < 0.5
    assert host.asked.count("heavy") > 120


def test_a_job_that_waits_lets_others_pass() -> None:
    waiting, other = Requests("one", 1, not_before=9.0), Requests("two", 1)
    made, host = queue(waiting, other)
    turns(made, 6)
    assert host.asked == ["two"]
    turns(made, 6, now=9.0)
    assert host.asked == ["two", "one"]


def test_what_is_left_is_let_go() -> None:
    jobs = Requests("one", 9), Requests("two", 1)
    made, _ = queue(*jobs)
    turns(made, 4)
    made.close()
    assert all(job.closed for job in jobs)
