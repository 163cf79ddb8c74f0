"""What a REST host says to a question of several requests: for a command, which has nothing else to do meanwhile.

Within the budget that all processes at this address share. `ServiceUnavailable` where there is no answer in time.
"""

import threading
import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

from wsadapter.errors import ServiceUnavailable
from wsadapter.exchanges.rest_api import Fetch, RequestRefused, RestError
from wsadapter.rest.budget import Outcome
from wsadapter.rest.host import RestHost, Result

T = TypeVar("T")
ATTEMPTS: Final = 2
"""That were sent, and had no answer."""
LOOK_SECONDS: Final = 0.2
"""Between two looks whether others have left something of the budget."""


def ask(host: RestHost, steps: Generator[Fetch, Any, T], seconds: float) -> T:
    """What ``steps`` return, each of their requests answered. What the API refuses is thrown into them: they may go on
    without."""
    deadline, answer = time.monotonic() + seconds, None
    refused: RequestRefused | None = None
    while True:
        try:
            fetch = steps.send(answer) if refused is None else steps.throw(refused)
        except StopIteration as end:
            found: T = end.value
            return found
        except RequestRefused as error:
            raise ServiceUnavailable(f"{host.base} does not say what is traded: {error}") from None
        result = _sent(host, fetch, deadline)
        answer, refused = None, None
        if result.outcome is Outcome.REFUSED:
            refused = RequestRefused(result.reason)
            continue
        try:
            answer = fetch.parse(result.body, result.received_ns)
        except RestError as error:
            raise ServiceUnavailable(f"{host.base}: {error}") from None


def _sent(host: RestHost, fetch: Fetch, deadline: float) -> Result:
    pause, reason, before = threading.Event(), "its budget is used up", host.counts.requests
    while (now := time.monotonic()) < deadline:
        if (wait := host.wait(fetch.request)) > 0:
            pause.wait(min(max(wait, LOOK_SECONDS), deadline - now))
            continue
        try:
            result = host.send(fetch.request).result(deadline - now)
        except TimeoutError:
            break
        if result.outcome in (Outcome.OK, Outcome.REFUSED):
            return result
        reason = result.reason or result.outcome.value
        if result.outcome is Outcome.UNANSWERED or host.counts.requests - before >= ATTEMPTS:
            break
    raise ServiceUnavailable(f"{host.base} does not say what is traded: {reason}")
