"""When whole books are asked for beside their changes: spread, within the host's budget, and never caught up."""

import random

import msgspec
import pytest
from cli.test_plan import assembly, feed
from roles.repairer.driven import Driven

from wsadapter.cli.placement import placed
from wsadapter.events import Depth, Source, UpdateType
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.rest_api import Limit
from wsadapter.roles.orders import Checkpoints, Snapshots
from wsadapter.roles.repairer.book_snapshots import BookPoll, cadence, weight_of
from wsadapter.roles.supervisor.topology import checkpoints_of, snapshots_of

NOW = 1_790_000_000_000_000_000
BODY = msgspec.json.encode(
    {"lastUpdateId": 1027024, "E": 1_790_000_000_000, "T": 1_790_000_000_000, "bids": [["4.0", "431"]],
     "asks": [["4.1", "12"]]}
)  # fmt: skip


def poll(*symbols: str, every: float = 300.0) -> tuple[BookPoll, Driven]:
    made = BookPoll("binance", symbols, every, BinanceFuturesRest(), 0.0, lambda: 0.0)
    return made, Driven(made)


def asked(driven: Driven, now: float) -> str:
    request = driven.at(now)
    assert request is not None
    return dict(request.query)["symbol"]


@pytest.mark.parametrize(("symbols", "seconds"), [(1, 300.0), (150, 300.0), (600, 1200.0)])
def test_many_symbols_are_asked_for_less_often(symbols: int, seconds: float) -> None:
    weight = weight_of(BinanceFuturesRest())
    assert weight == 20
    assert cadence(300.0, symbols, Limit(2400, 60.0), weight) == seconds


def test_each_symbol_has_its_turn_and_they_are_spread() -> None:
    made, driven = poll("A", "B")
    times = []
    for _ in range(4):
        now = driven.not_before
        times.append((now, asked(driven, now)))
        (event,) = driven.answer(BODY, NOW)
        assert isinstance(event, Depth)
        assert (event.update_type, event.source, event.last_update_id) == (UpdateType.SNAPSHOT, Source.REST, 1027024)
    assert times == [(150, "A"), (300, "B"), (450, "A"), (600, "B")], "what is there at the start the gap has asked for"
    assert (made.taken, made.failures) == (4, 0)


def test_a_process_that_never_lives_for_a_round_leaves_no_symbol_out() -> None:
    """Each listing that is applied begins it anew, ten minutes after the one before; a round takes seventeen."""
    dice = random.Random(7).random
    symbols = [f"S{number}USDT" for number in range(500)]
    seen: set[str] = set()
    for _ in range(30):
        driven = Driven(BookPoll("binance", symbols, 300.0, BinanceFuturesRest(), 0.0, dice))
        in_one: list[str] = []
        while driven.not_before < 600.0:
            in_one.append(asked(driven, driven.not_before))
            driven.refuse()
        assert len(in_one) == len({*in_one}) == 299
        seen |= {*in_one}
    assert seen == {*symbols}


def test_what_is_refused_is_counted_and_has_its_next_turn() -> None:
    made, driven = poll("A", "B")
    assert asked(driven, 150.0) == "A"
    assert driven.refuse() == []
    assert asked(driven, 300.0) == "B"
    assert driven.answer(b"<html>", NOW) == []
    assert (made.taken, made.failures, driven.is_done) == (0, 2, False)
    assert asked(driven, 450.0) == "A"


def test_a_host_that_allows_less_is_asked_less_often_and_nothing_is_caught_up() -> None:
    made, driven = poll("A")
    made.allow(Limit(16, 60.0))
    assert made.cadence == 300.0
    made.allow(Limit(8, 60.0))
    assert made.cadence == 600.0
    assert asked(driven, 5_000.0) == "A"
    driven.answer(BODY, NOW)
    assert driven.not_before == 5_600.0


def test_whose_books_are_asked_for() -> None:
    config = assembly(
        feed("a", "binance", symbols=("BTCUSDT", "ETHUSDT"), streams=("depth",), depth_levels=0),
        feed(
            "b", "binance", symbols=("ETHUSDT", "SOLUSDT"), streams=("depth",), depth_levels=0, snapshot_interval=60.0
        ),
        feed("c", "binance_spot", streams=("depth",)),
        feed("d", "okx", symbols=("BTC-USDT-SWAP",), streams=("depth",), depth_levels=0),
        feed("e", "binance_coinm", symbols=("BTCUSD_PERP",), streams=("depth",), depth_levels=0, snapshot_interval=0.0),
    ).config
    host = "https://fapi.binance.com"
    assert snapshots_of(config) == (
        Snapshots("binance", host, 60.0, ("ETHUSDT", "SOLUSDT")), Snapshots("binance", host, 300.0, ("BTCUSDT",)),
    ), "the shorter time of two, no books that come whole, none of venues whose answers do not join"  # fmt: skip


def test_whose_books_are_made_of_what_was_recorded() -> None:
    config = assembly(
        feed("a", "okx", symbols=("BTC-USDT-SWAP", "ETH-USDT-SWAP"), streams=("depth",), depth_levels=0),
        feed("b", "okx", symbols=("ETH-USDT-SWAP",), streams=("depth",), depth_levels=0, snapshot_interval=60.0),
        feed("c", "okx", symbols=("SOL-USDT-SWAP",), streams=("depth",), depth_levels=5, snapshot_interval=1.0),
        feed("d", "kraken", symbols=("BTC/USD",), streams=("depth",), depth_levels=10, snapshot_interval=60.0),
        feed("e", "binance", streams=("depth",), depth_levels=0),
        feed("f", "bybit", streams=("depth",), depth_levels=0, snapshot_interval=0.0),
        feed("g", "coinbase", symbols=("BTC-USD",), streams=("trade",)),
    ).config
    assert checkpoints_of(config) == (
        Checkpoints("okx", 60.0, ("ETH-USDT-SWAP",)), Checkpoints("kraken", 60.0, ("BTC/USD",)),
        Checkpoints("okx", 300.0, ("BTC-USDT-SWAP",)),
    ), "no books that come whole, none of venues whose answers join, none where the interval is off"  # fmt: skip


def test_plan_says_whose_books_are_made() -> None:
    one = feed("a", "kraken", symbols=("BTC/USD", "ETH/USD"), streams=("depth",), depth_levels=10)
    repairer = placed(assembly(one))[-1]

    assert repairer.connection == "repair"
    assert repairer.why[0] == (
        "books of 2 symbols of kraken, made of what was recorded each 300 s: no request, table book_checkpoint"
    )


def test_plan_says_what_it_costs() -> None:
    one = feed("a", "binance", symbols=tuple(f"S{n}USDT" for n in range(300)), streams=("depth",), depth_levels=0)
    repairer = placed(assembly(one))[-1]

    assert repairer.connection == "repair"
    assert repairer.why[0] == (
        "whole books of 300 symbols of binance, each one every 600 s, for so many symbols not each 300 s: weight 600 "
        "of 2400 in 60 s"
    )
    assert {(each.stream, each.topic) for each in repairer.streams} == {("depth", "websocket.depth")}
