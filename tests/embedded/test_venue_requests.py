"""What a client sends never breaks a connection's subscriptions."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.embedded.exchange.binance_requests import SocketSubscriptions, target
from wsadapter.embedded.market.binance_streams import MARKET, PUBLIC, offered


def test_names_come_and_go() -> None:
    connection = SocketSubscriptions(["a@trade"], True, 3)
    answer = connection.answer(b'{"method":"SUBSCRIBE","params":["b@trade","a@trade","b@trade"],"id":0}')
    assert (answer.acked, answer.added, answer.removed) == (True, ("b@trade",), ())
    answer = connection.answer(b'{"method":"UNSUBSCRIBE","params":["a@trade","never"],"id":7}')
    assert (answer.acked, answer.added, answer.removed) == (True, (), ("a@trade",))
    assert list(connection.names) == ["b@trade"]


def test_too_many_names_change_nothing() -> None:
    connection = SocketSubscriptions(["a"], True, 2)
    answer = connection.answer(b'{"method":"SUBSCRIBE","params":["b","c"],"id":1}')
    assert msgspec.json.decode(answer.replies[0]) == {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 1}
    assert (list(connection.names), answer.added, answer.acked) == (["a"], (), False)


@settings(max_examples=50)
@given(
    st.binary() | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(msgspec.json.encode)
)
def test_any_bytes_get_an_answer(request_bytes: bytes) -> None:
    reply = msgspec.json.decode(SocketSubscriptions((), True, 10).answer(request_bytes).replies[0])
    assert set(reply) <= {"error", "id", "result"}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "method": st.sampled_from(
                ["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"]
            )
            | st.text(),
            "params": st.lists(st.text() | st.integers() | st.booleans(), max_size=3) | st.text(),
            "id": st.integers() | st.text() | st.none(),
        },
    )
)
def test_any_request_gets_an_answer(request_fields: dict[str, object]) -> None:
    connection = SocketSubscriptions(("x",), True, 10)
    answer = connection.answer(msgspec.json.encode(request_fields))
    reply = msgspec.json.decode(answer.replies[0])
    assert answer.acked == ("result" in reply)
    assert set(connection.names) == ({"x"} | set(answer.added)) - set(answer.removed)


def test_urls() -> None:
    for path, route, combined, names in (
        ("/public/stream?streams=btcusdt@depth20@100ms/ethusdt@bookTicker", PUBLIC, True, 2),
        ("/market/ws/btcusdt@aggTrade", MARKET, False, 1),
        ("/market/ws", MARKET, False, 0),
        ("/private/ws", "private", False, 0),
        ("/ws/btcusdt@trade", PUBLIC, False, 1),
        ("/stream?streams=btcusdt%40trade", PUBLIC, True, 1),
    ):
        goal = target(path)
        assert goal, path
        assert (goal.route, goal.combined, len(goal.names)) == (route, combined, names)
        assert all("@" in name for name in goal.names)
    assert [target(path) for path in ("/", "/market", "/stream/x", "/market/public/ws", "/ws2")] == [None] * 5


def test_names_that_mean_nothing() -> None:
    wrong = (
        "", "@", "btcusdt", "BTCUSDT@aggTrade", "btcusdt@kline_1s", "btcusdt@kline_2m", "btcusdt@depth@1000ms",
        "btcusdt@depth7", "btcusdt@aggtrade", "!aggTrade@arr", "btcusdt@!ticker@arr", "btcusdt@markPrice@2s",
    )  # fmt: skip
    assert [name for name in wrong if offered(name)] == []


def test_the_class_of_a_name() -> None:
    public = ("btcusdt@depth", "btcusdt@depth5@500ms", "btcusdt@bookTicker", "btcusdt@trade", "!bookTicker")
    market = ("btcusdt@aggTrade", "btcusdt@kline_1M", "btcusdt@markPrice", "!markPrice@arr@1s", "btcusdt@forceOrder")
    for route, names in ((PUBLIC, public), (MARKET, market)):
        for name in names:
            stream = offered(name)
            assert stream, name
            assert stream.route == route
