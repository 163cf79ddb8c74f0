"""Drives a repair's steps without a host: what it asks is answered by a function."""

from collections.abc import Callable
from typing import Any

from wsadapter.events import MarketEvent
from wsadapter.exchanges.rest_api import Fetch, Filled, Filling, Request, RestError

Answer = Callable[[Request], bytes | RestError]


def drive(filling: Filling | None, answer: Answer, received_ns: int) -> tuple[Filled, list[MarketEvent]]:
    """To its end; a `BadAnswer` comes out."""
    assert filling is not None
    events: list[MarketEvent] = []
    reply: Any = None
    while True:
        try:
            step = filling.throw(reply) if isinstance(reply, RestError) else filling.send(reply)
        except StopIteration as end:
            return end.value, events
        if isinstance(step, Fetch):
            body = answer(step.request)
            reply = body if isinstance(body, RestError) else step.parse(body, received_ns)
        else:
            events += step
            reply = None
