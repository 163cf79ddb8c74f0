"""What is asked in a body, over real HTTP on loopback."""

import asyncio
import json
import queue
import threading
from collections.abc import Iterator

import msgspec
import pytest

from wsadapter.embedded.exchange.rest_server import MAX_BODY_BYTES, RestServer
from wsadapter.embedded.market.rest import Query, RestReply
from wsadapter.events import OpenInterest
from wsadapter.exchanges.mapping import decimal
from wsadapter.exchanges.pages import Page, row
from wsadapter.exchanges.rest_api import Hole, Request
from wsadapter.rest.client import RestClient, Unreachable


class Row(msgspec.Struct):
    coin: str
    at: int
    sum: str


PAGE = Page(
    "stub", "/info", {}, Row,
    row(OpenInterest, open_interest=decimal("sum"), event_time_ns="at",
        absent=("transaction_time_ns", "open_interest_value")),
    lambda body: ([msgspec.Raw(body)], None), key="event_time_ns", wire_key="at", most=5,
    post={"type": "sum", "req": {"coin": "{symbol}", "from": "{first_ms}", "name": "{symbol}-{limit}", "deep": True}},
)  # fmt: skip


def test_a_body_is_filled_like_a_query_and_numbers_stay_numbers() -> None:
    request = PAGE.fetch(Hole("open_interest", "xyz:{A}", 0, 0), 3, first_ms=17).request

    assert json.loads(request.body) == {
        "type": "sum", "req": {"coin": "xyz:{A}", "from": 17, "name": "xyz:{A}-3", "deep": True},
    }  # fmt: skip
    assert (request.path, request.query) == ("/info", ())


@pytest.fixture
def url() -> Iterator[str]:
    """A server that tells what it was asked."""

    def answer(path: str, query: Query) -> RestReply:
        return RestReply(200, json.dumps({"path": path, **query}).encode())

    started: queue.Queue[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        server, over = RestServer(answer), asyncio.Event()
        started.put((await server.start("127.0.0.1", 0), asyncio.get_running_loop(), over))
        await over.wait()
        server.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    port, loop, over = started.get(timeout=30)
    yield f"http://127.0.0.1:{port}/v"
    loop.call_soon_threadsafe(over.set)
    thread.join()


def test_posts_and_gets_take_turns_on_one_connection(url: str) -> None:
    client = RestClient(url, "")
    post = PAGE.fetch(Hole("open_interest", "B", 0, 0), first_ms=1).request
    for _ in range(2):
        asked = json.loads(client.ask(post).body)
        assert (asked["path"], asked["type"], asked["coin"], asked["from"]) == ("/v/info", "sum", "B", "1")
        assert json.loads(client.ask(Request("/time", (("a", "b c"),))).body) == {"path": "/v/time", "a": "b c"}
    client.close()


@pytest.mark.parametrize("body", [b"[]", b"x", b"5", b'{"a":'])
def test_a_body_that_is_no_object_is_refused(url: str, body: bytes) -> None:
    assert RestClient(url, "").ask(Request("/info", body=body)).status == 400


def test_a_body_that_is_too_long_is_not_read(url: str) -> None:
    with pytest.raises(Unreachable):
        RestClient(url, "").ask(Request("/info", body=b" " * (MAX_BODY_BYTES + 1)))
