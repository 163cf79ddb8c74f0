"""Where streams go when the symbols of a feed change: whoever stays is not moved, and no limit is passed."""

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.config.model import Feed
from wsadapter.exchanges import load
from wsadapter.exchanges.placing import place
from wsadapter.exchanges.protocol import octets_of

names = st.sets(st.tuples(st.integers(0, 30), st.sampled_from(("t", "depth"))), min_size=1).map(
    lambda found: {f"s{symbol}@{word}": f"s{symbol}" for symbol, word in sorted(found)}
)


@settings(deadline=None)
@given(st.lists(names, min_size=2, max_size=6), st.integers(2, 9), st.integers(24, 90))
def test_limits_hold_and_nothing_is_moved(steps: list[dict[str, str]], most: int, octets: int) -> None:
    carried: Mapping[int, Sequence[str]] = {}
    for wanted in steps:
        was = {name: number for number, some in carried.items() for name in some}
        carried = place(wanted, carried, most, octets)
        now = {name: number for number, some in carried.items() for name in some}
        assert now.keys() == wanted.keys()
        assert sum(map(len, carried.values())) == len(wanted), "each once"
        assert all(now[name] == was[name] for name in now.keys() & was.keys())
        for some in carried.values():
            assert 0 < len(some) <= most
            assert sum(map(octets_of, some)) <= octets or len(some) == 1


def test_what_is_new_fills_the_emptiest_that_has_room_for_all_of_it() -> None:
    before = {0: ("a1", "a2", "b1"), 1: ("c1",), 3: ("d1", "d2")}
    wanted = {"b1": "b", "c1": "c", "d1": "d", "d2": "d", "n1": "n", "n2": "n", "m1": "m"}
    assert place(wanted, before, 3, 1000) == {0: ("b1", "n1", "n2"), 1: ("c1", "m1"), 3: ("d1", "d2")}
    assert place(wanted | {"x1": "x", "x2": "x"}, {0: ("b1", "c1", "d1")}, 3, 1000) == {
        0: ("b1", "c1", "d1"), 1: ("d2", "n1", "n2"), 2: ("m1", "x1", "x2"),
    }  # fmt: skip


def test_a_feed_that_changes_touches_the_connections_concerned_alone() -> None:
    symbols = tuple(f"S{number}USDT" for number in range(600))
    feed = Feed(name="f", exchange="binance_spot", symbols=symbols, streams=("trade", "depth", "ticker", "book_ticker"))
    before = {plan.connection: plan for plan in load("binance_spot").plan(feed)}
    assert len(before) == 3
    placement = {name: [each.name for each in plan.subscriptions] for name, plan in before.items()}
    changed = Feed(
        name="f", exchange="binance_spot", symbols=(*symbols[1:], "NEWUSDT"), streams=feed.streams
    )  # fmt: skip
    after = {plan.connection: plan for plan in load("binance_spot").plan(changed, placement)}
    assert after.keys() == before.keys()
    differing = {name for name in before if set(before[name].subscriptions) != set(after[name].subscriptions)}
    assert differing == {"f-all-0", "f-all-2"}, "where one went, and the emptiest"
    fresh = {plan.connection: plan for plan in load("binance_spot").plan(changed)}
    assert all(fresh[name] != before[name] for name in before), "without it all of them"
