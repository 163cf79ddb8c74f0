"""A command's question to a REST host: what is refused is for the steps to bear, what is not answered ends it."""

from collections.abc import Generator
from concurrent.futures import Future
from typing import Any, cast

import pytest

from wsadapter.errors import ServiceUnavailable
from wsadapter.exchanges.rest_api import Fetch, Request, RequestRefused
from wsadapter.rest.ask import ask
from wsadapter.rest.budget import Outcome
from wsadapter.rest.host import RequestCounts, RestHost, Result


class Host:
    """``/options`` is refused, others are answered with their path. ``held``: so often the budget is used up."""

    base = "https://venue"

    def __init__(self, held: int = 0) -> None:
        self.counts, self.held = RequestCounts(), held

    def wait(self, request: Request) -> float:
        return 0.0

    def send(self, request: Request) -> "Future[Result]":
        future: Future[Result] = Future()
        if self.held:
            self.held -= 1
            future.set_result(Result(Outcome.AGAIN, reason="used up"))
            return future
        self.counts.requests += 1
        refused = request.path == "/options"
        future.set_result(Result(Outcome.REFUSED if refused else Outcome.OK, request.path.encode(), 1, "51000 no"))
        return future


def fetch(path: str) -> Fetch:
    return Fetch(Request(path), lambda body, received_ns: body.decode())


def listing(bears: bool) -> Generator[Fetch, Any, list[str]]:
    found = [(yield fetch("/spot"))]
    try:
        found.append((yield fetch("/options")))
    except RequestRefused:
        if not bears:
            raise
    return [*found, (yield fetch("/swap"))]


@pytest.mark.parametrize("held", [0, 5])
def test_steps_go_on_without_what_is_refused(held: int) -> None:
    assert ask(cast(RestHost, Host(held)), listing(bears=True), 10.0) == ["/spot", "/swap"]


def test_steps_that_need_it_end_with_what_the_venue_says() -> None:
    with pytest.raises(ServiceUnavailable, match="51000 no"):
        ask(cast(RestHost, Host()), listing(bears=False), 10.0)
