"""A desk between jobs and a host: turns, order, refusals, answers that cannot be; no Kafka and no socket."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import cast

from wsadapter.events import Event
from wsadapter.exchanges.rest_api import BadAnswer, Request
from wsadapter.rest.budget import Outcome
from wsadapter.rest.host import RestHost, Result
from wsadapter.roles.repairer.host_queue import HostQueue


class Host:
    """Answers when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.paused = 0.0
        self.next: Callable[[], Result] = lambda: Result(Outcome.OK, b"fine")

    def wait(self, request: Request) -> float:
        return self.paused

    def send(self, request: Request) -> "Future[Result]":
        self.asked.append(request.path)
        future: Future[Result] = Future()
        future.set_result(self.next())
        return future


class Job:
    """``count`` requests."""

    def __init__(self, name: str, count: int, lane: str = "") -> None:
        self.name, self.left, self.lane = name, count, lane or name
        self.not_before = 0.0
        self.urgent, self.punctual = True, False
        self.is_prepared = True
        self.refusals = self.bads = 0
        self.closed = False

    def prepare(self, now: float) -> bool:
        return self.is_prepared

    def request(self) -> Request | None:
        return Request(self.name) if self.left else None

    def handle(self, body: bytes, received_ns: int) -> Sequence[Event]:
        if body == b"bad":
            raise BadAnswer("no")
        self.left -= 1
        return ()

    def bad(self, now: float) -> None:
        self.bads += 1
        self.not_before = now + 5

    def refused(self) -> None:
        self.refusals += 1
        self.left = 0

    def closing(self) -> Sequence[Event]:
        return ()

    def close(self) -> None:
        self.closed = True


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
    made, host = queue(Job("long", 4), Job("short", 1))
    turns(made, 30)
    assert host.asked == ["long", "short", "long", "long", "long"]
    assert len(made.finished) == 2
    assert len(made) == 0


def test_jobs_of_one_lane_follow_one_another() -> None:
    made, host = queue(Job("first", 2, "lane"), Job("second", 2, "lane"), Job("other", 1))
    turns(made, 30)
    assert host.asked == ["first", "other", "first", "second", "second"]


def test_nothing_is_sent_before_the_budget_allows() -> None:
    made, host = queue(Job("one", 1))
    host.paused = 60.0
    turns(made, 5)
    assert host.asked == []
    assert made.wait(1.0) == 60.0
    host.paused = 0.0
    turns(made, 5)
    assert host.asked == ["one"]


def test_a_refusal_is_told_and_another_try_is_not_noticed() -> None:
    job = Job("one", 2)
    made, host = queue(job)
    host.next = lambda: Result(Outcome.AGAIN)
    turns(made, 6)
    assert (len(host.asked), job.left) == (3, 2)
    host.next = lambda: Result(Outcome.REFUSED, b"{}")
    turns(made, 4)
    assert job.refusals == 1
    assert len(made.finished) == 1


def test_a_bad_answer_is_asked_again_later() -> None:
    job, other = Job("one", 1), Job("two", 1)
    made, host = queue(job, other)
    host.next = lambda: Result(Outcome.OK, b"bad")
    turns(made, 2)
    host.next = lambda: Result(Outcome.OK, b"fine")
    turns(made, 10)
    assert host.asked == ["one", "two"]
    assert made.bad_answers == job.bads == 1
    assert made.wait(1.0) == 5.0
    turns(made, 5, now=6.0)
    assert host.asked == ["one", "two", "one"]


def test_a_job_that_waits_lets_others_pass() -> None:
    waiting, other = Job("one", 1), Job("two", 1)
    waiting.not_before = 9.0
    made, host = queue(waiting, other)
    turns(made, 6)
    assert host.asked == ["two"]
    turns(made, 6, now=9.0)
    assert host.asked == ["two", "one"]


def test_what_is_left_is_let_go() -> None:
    jobs = Job("one", 9), Job("two", 1)
    made, _ = queue(*jobs)
    turns(made, 1)
    made.close()
    assert all(job.closed for job in jobs)
