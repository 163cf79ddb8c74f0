"""Which stream words connections do not carry any more after a reload."""

from wsadapter.config.model import Feed
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.roles.orders import LeftStream
from wsadapter.roles.supervisor import left_streams


def plans(*streams: str) -> dict[str, ConnectionPlan]:
    made = load("binance").plan(Feed("fut", "binance", ("BTCUSDT",), streams))
    return {plan.connection: plan for plan in made}


def test_a_word_that_goes_is_left_until_it_comes_back() -> None:
    all_of_them, fewer = plans("trade", "kline", "ticker", "mark_price"), plans("trade", "kline")
    (name,) = fewer
    left = left_streams.after({}, all_of_them, fewer, 7)
    assert left == {name: (LeftStream("mark_price", 7), LeftStream("ticker", 7))}

    assert left_streams.after(left, fewer, fewer, 8) == left, "since then"
    back = left_streams.after(left, fewer, plans("trade", "kline", "ticker"), 9)
    assert back == {name: (LeftStream("mark_price", 7),)}


def test_a_connection_that_goes_or_comes_has_left_nothing() -> None:
    assert left_streams.after({}, plans("trade"), {}, 7) == {}
    assert left_streams.after({}, {}, plans("trade"), 7) == {}
