"""Which streams connections do not carry any more after a reload, or since the last run."""

from pathlib import Path

import msgspec

from wsadapter.config.model import Feed
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.files import StateDirectory
from wsadapter.roles.orders import LeftStream
from wsadapter.roles.supervisor import left_streams
from wsadapter.roles.supervisor.connection_states import carried

BITCOIN, ETHER = "BTCUSDT", "ETHUSDT"


def plans(*streams: str, symbols: tuple[str, ...] = (BITCOIN,)) -> dict[str, ConnectionPlan]:
    made = load("binance").plan(Feed("fut", "binance", symbols, streams))
    return {plan.connection: plan for plan in made}


def left(plan: ConnectionPlan, at_ns: int, *names: str) -> tuple[LeftStream, ...]:
    return tuple(LeftStream(each, at_ns) for each in plan.subscriptions if each.name in names)


def test_a_stream_that_goes_is_left_until_it_comes_back() -> None:
    all_of_them, fewer = plans("trade", "kline", "ticker", "mark_price"), plans("trade", "kline")
    ((name, plan),) = all_of_them.items()
    then = left_streams.after({}, all_of_them, fewer, 7)
    assert then == {name: left(plan, 7, "btcusdt@ticker", "btcusdt@markPrice@1s")}

    assert left_streams.after(then, fewer, fewer, 8) == then, "since then"
    back = left_streams.after(then, fewer, plans("trade", "kline", "ticker"), 9)
    assert back == {name: left(plan, 7, "btcusdt@markPrice@1s")}


def test_a_symbol_that_goes_leaves_its_streams() -> None:
    both = plans("trade", symbols=(BITCOIN, ETHER))
    ((name, plan),) = both.items()
    assert left_streams.after({}, both, plans("trade"), 7) == {name: left(plan, 7, "ethusdt@aggTrade")}


def test_a_connection_that_goes_or_comes_has_left_nothing() -> None:
    assert left_streams.after({}, plans("trade"), {}, 7) == {}
    assert left_streams.after({}, {}, plans("trade"), 7) == {}


def test_another_exchange_has_left_nothing_under_the_same_name() -> None:
    both, one = plans("trade", symbols=(BITCOIN, ETHER)), plans("trade")
    ((name, plan),) = one.items()
    other = {name: msgspec.structs.replace(plan, exchange="bitget")}
    known = left_streams.after({}, both, one, 7)
    assert known[name]
    assert left_streams.after({}, both, other, 7) == {}
    assert left_streams.after(known, one, other, 8) == {}

    elsewhere = {"fut-market-1": next(iter(both.values()))}
    assert left_streams.between_runs({name: ["binance:ethusdt@aggTrade"]}, {**other, **elsewhere}, 7) == {}


def test_so_much_is_remembered_and_no_more() -> None:
    many = plans("trade", symbols=tuple(f"A{number}USDT" for number in range(150)))
    ((name, plan),) = many.items()
    names = [each.name for each in plan.subscriptions]
    known = {name: tuple(LeftStream(plan.subscriptions[0], at_ns) for at_ns in range(left_streams.MOST))}
    found = left_streams.after(known, many, plans("trade"), 7)[name]
    assert len(found) <= left_streams.MOST
    assert [each.subscription.name for each in found][-149:] == names[-149:]


def test_what_the_next_run_has_on_another_connection_its_former_one_has_left() -> None:
    now = plans("trade", symbols=(BITCOIN, ETHER))
    ((name, plan),) = now.items()
    names = ["binance:ethusdt@aggTrade", "binance:gone@aggTrade"]
    then = {name: ["binance:btcusdt@aggTrade"], "fut-market-1": names}
    assert left_streams.between_runs(then, now, 7) == {}, "nobody has the other connection now"

    moved = {name: plan, "fut-market-1": ConnectionPlan("fut-market-1", "binance", "", (), ())}
    assert left_streams.between_runs(then, moved, 7) == {"fut-market-1": left(plan, 7, "ethusdt@aggTrade")}


def test_what_connections_had_is_read_from_the_state_directory(tmp_path: Path) -> None:
    assert carried(StateDirectory(tmp_path)) == {}
    kept = '{"fut-market-0":{"received":5,"carries":["binance:btcusdt@aggTrade"]},"older":7,"quiet":{"received":5}}'
    (tmp_path / "connections.json").write_text(kept)
    assert carried(StateDirectory(tmp_path)) == {"fut-market-0": ["binance:btcusdt@aggTrade"]}
