"""A market tells one story: its candles are its trades, its books agree, its ids and keys are used once."""

import itertools
import random
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.embedded.market.binance_streams import offered
from wsadapter.embedded.market.candles import INTERVALS, Candle, Candles, close_ms, open_ms
from wsadapter.embedded.market.instruments import instrument, text
from wsadapter.embedded.market.market import Market

START_MS = 1_790_771_371_000


class Tape:
    """A market with subscribers, moved in uneven steps; what it pushed, by stream."""

    def __init__(self, symbol: str, streams: list[str], seed: int, now_ms: int = START_MS) -> None:
        print(f"seed {seed}")
        self.market = Market(instrument(symbol), seed, now_ms, (100, 1000))
        self.market.steps_per_second = 60.0
        self.rng, self.now_ms = random.Random(seed), now_ms
        self.pushed: dict[str, list[Any]] = defaultdict(list)
        for stream in streams:
            found = offered(f"{symbol.lower()}@{stream}")
            assert found, stream
            self.market.subscribe(found)

    def run(self, seconds: float) -> None:
        end_ms = self.now_ms + round(seconds * 1000)
        while self.now_ms < end_ms:
            self.now_ms += self.rng.choice((1, 10, 11, 35, 120))
            for push in self.market.advance(self.now_ms):
                self.pushed[push.stream.partition("@")[2]].append(msgspec.json.decode(push.data))


@pytest.mark.parametrize(("symbol", "seed"), [("BTCUSDT", 1), ("DOGEUSDT", 2), ("NEWCOINUSDT", 3)])
def test_closed_candles_are_exactly_the_trades(symbol: str, seed: int) -> None:
    tape = Tape(symbol, ["aggTrade", "kline_1m", "kline_3m"], seed)
    tape.run(240)
    checked = 0
    for interval in ("1m", "3m"):
        closed = [frame["k"] for frame in tape.pushed[f"kline_{interval}"] if frame["k"]["x"]]
        assert len({k["t"] for k in closed}) == len(closed)
        for k in closed:
            trades = [t for t in tape.pushed["aggTrade"] if k["t"] <= t["T"] <= k["T"]]
            prices = [Decimal(t["p"]) for t in trades]
            bought = [t for t in trades if not t["m"]]
            assert (k["f"], k["L"], k["n"]) == (trades[0]["f"], trades[-1]["l"], trades[-1]["l"] - trades[0]["f"] + 1)
            assert [Decimal(k[x]) for x in "ohlc"] == [prices[0], max(prices), min(prices), prices[-1]]
            assert Decimal(k["v"]) == sum(Decimal(t["q"]) for t in trades)
            assert Decimal(k["q"]) == sum(Decimal(t["q"]) * Decimal(t["p"]) for t in trades)
            assert Decimal(k["V"]) == sum(Decimal(t["q"]) for t in bought)
            assert Decimal(k["Q"]) == sum(Decimal(t["q"]) * Decimal(t["p"]) for t in bought)
            checked += 1
    assert checked >= 5


def test_open_candles_come_at_most_every_250_ms_and_only_when_changed() -> None:
    tape = Tape("BTCUSDT", ["kline_1m"], 4)
    tape.run(70)
    opened = [frame for frame in tape.pushed["kline_1m"] if not frame["k"]["x"]]
    assert len(opened) > 100
    for before, after in itertools.pairwise(opened):
        assert after["E"] - before["E"] >= 250
        assert after["k"]["L"] > before["k"]["L"]


def test_ids_are_contiguous_and_raw_trades_are_the_aggregates() -> None:
    tape = Tape("ETHUSDT", ["aggTrade", "trade"], 5)
    tape.run(60)
    aggregates, raw = tape.pushed["aggTrade"], tape.pushed["trade"]
    assert [t["a"] for t in aggregates] == list(range(100, 100 + len(aggregates)))
    assert [t["t"] for t in raw] == list(range(1000, 1000 + len(raw)))
    following = 1000
    for aggregate in aggregates:
        assert aggregate["f"] == following
        following = aggregate["l"] + 1
        fills = raw[aggregate["f"] - 1000 : following - 1000]
        assert sum(Decimal(t["q"]) for t in fills) == Decimal(aggregate["q"])
        assert {(t["p"], t["T"], t["m"]) for t in fills} == {(aggregate["p"], aggregate["T"], aggregate["m"])}


def units(shown: str, digits: int) -> int:
    return round(Decimal(shown).scaleb(digits))


@pytest.mark.parametrize("speed", ["0ms", "100ms", "500ms"])
def test_diffs_on_a_snapshot_give_the_book(speed: str) -> None:
    tape = Tape("BTCUSDT", [f"depth@{speed}", "depth20@100ms"], 6)
    tape.run(3)
    market = tape.market
    bids, asks = (dict(side) for side in market.book.levels(1000))
    last_id, joined = market.book.update_id, False
    seen = len(tape.pushed[f"depth@{speed}"])
    tape.run(30)
    for diff in tape.pushed[f"depth@{speed}"][seen:]:
        if diff["u"] <= last_id and not joined:
            continue
        # the documented join, and the direct continuation that real streams show as well
        assert joined or diff["U"] <= last_id <= diff["u"] or diff["pu"] == last_id
        assert not joined or diff["pu"] == last_id
        joined, last_id = True, diff["u"]
        for side, changes in ((bids, diff["b"]), (asks, diff["a"])):
            for price, quantity in changes:
                side[units(price, market.instrument.price_digits)] = units(quantity, market.instrument.quantity_digits)
        if last_id == market.book.update_id:
            assert ({p: q for p, q in bids.items() if q}, {p: q for p, q in asks.items() if q}) == (
                market.book.bids,
                market.book.asks,
            )
        for snapshot in tape.pushed["depth20@100ms"]:
            if snapshot["u"] == last_id:
                best = sorted((p for p, q in bids.items() if q), reverse=True)[:20]
                assert snapshot["b"] == [
                    [market.instrument.price_text(p), market.instrument.quantity_text(bids[p])] for p in best
                ]
    assert joined


def test_the_two_depth_kinds_chain_and_agree_with_the_top() -> None:
    tape = Tape("SOLUSDT", ["depth@100ms", "depth5@100ms", "bookTicker"], 7)
    tape.run(20)
    for stream in ("depth@100ms", "depth5@100ms"):
        frames = tape.pushed[stream]
        assert len(frames) > 100
        for before, after in itertools.pairwise(frames):
            assert after["pu"] == before["u"]
            assert before["u"] < after["U"] <= after["u"]
    tops = {t["u"]: t for t in tape.pushed["bookTicker"]}
    for snapshot in tape.pushed["depth5@100ms"]:
        assert len(snapshot["b"]) == len(snapshot["a"]) == 5
        assert Decimal(snapshot["b"][0][0]) < Decimal(snapshot["a"][0][0])
        if top := tops.get(snapshot["u"]):
            assert snapshot["b"][0] == [top["b"], top["B"]]
            assert snapshot["a"][0] == [top["a"], top["A"]]


@pytest.mark.parametrize("seed", range(2))
def test_no_two_events_share_a_sorting_key(seed: int) -> None:
    streams = [
        "aggTrade",
        "trade",
        "bookTicker",
        "depth@100ms",
        "depth20@100ms",
        "ticker",
        "markPrice@1s",
        "forceOrder",
    ]
    tape = Tape("BTCUSDT", streams, seed)
    tape.run(70)
    keys: dict[str, Callable[[Any], object]] = {
        "aggTrade": lambda x: (x["T"], x["a"]),
        "trade": lambda x: (x["T"], x["t"]),
        "bookTicker": lambda x: (x["T"], x["u"]),
        "depth@100ms": lambda x: (x["T"], x["u"]),
        "depth20@100ms": lambda x: (x["T"], x["u"]),
        "ticker": lambda x: x["E"],
        "markPrice@1s": lambda x: x["E"],
        "forceOrder": lambda x: (x["o"]["T"], x["o"]["S"], x["o"]["p"], x["o"]["q"]),
    }
    for stream, key in keys.items():
        found = [key(event) for event in tape.pushed[stream]]
        assert found, stream
        assert len(set(found)) == len(found), stream
    events = [event["E"] for event in tape.pushed["bookTicker"]]
    assert events == sorted(events)
    ids = [event["u"] for event in tape.pushed["bookTicker"]]
    assert ids == sorted(set(ids))


def test_liquidations_come_early_and_at_most_one_a_second() -> None:
    tape = Tape("BTCUSDT", ["aggTrade"], 8)
    tape.run(30)
    stream = offered("btcusdt@forceOrder")
    assert stream
    tape.market.subscribe(stream)
    subscribed_ms = tape.now_ms
    tape.run(120)
    times = [event["o"]["T"] for event in tape.pushed["forceOrder"]]
    assert subscribed_ms < times[0] <= subscribed_ms + 3000
    assert all(after - before >= 1000 for before, after in itertools.pairwise(times))


def test_a_jump_closes_every_candle_once_and_in_order() -> None:
    new_year = 1_798_761_600_000  # 2027-01-01, a Friday
    streams = [f"kline_{interval}" for interval in INTERVALS]
    tape = Tape("BTCUSDT", streams, 9, new_year - 8 * 86_400_000)
    tape.run(1)
    for now_ms in range(tape.now_ms, new_year + 13 * 3_600_000, 12 * 3_600_000):
        for push in tape.market.advance(now_ms):
            tape.pushed[push.stream.partition("@")[2]].append(msgspec.json.decode(push.data))
    for interval in INTERVALS:
        closed = [frame["k"] for frame in tape.pushed[f"kline_{interval}"] if frame["k"]["x"]]
        assert closed, interval
        for before, after in itertools.pairwise(closed):
            assert after["t"] == before["T"] + 1
        quiet = [k for k in closed if k["n"] == 0]
        assert all((k["f"], k["L"], k["o"]) == (-1, -1, k["c"]) for k in quiet)


@given(st.sampled_from(INTERVALS), st.integers(1_500_000_000_000, 2_500_000_000_000))
def test_intervals_cover_time_without_a_hole(interval: str, ms: int) -> None:
    opened = open_ms(interval, ms)
    assert opened <= ms <= close_ms(interval, opened)
    assert open_ms(interval, opened) == opened
    assert open_ms(interval, close_ms(interval, opened)) == opened
    assert open_ms(interval, close_ms(interval, opened) + 1) == close_ms(interval, opened) + 1


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    assert open_ms("1w", 1_798_761_600_000) == 1_798_416_000_000  # Monday 2026-12-28
    assert open_ms("1M", 1_653_819_041_520) == 1_651_363_200_000  # as in a recorded frame
    assert close_ms("1M", 1_651_363_200_000) == 1_654_041_599_999


@given(st.integers(-(10**30), 10**30), st.integers(0, 12))
def test_decimal_text(number: int, digits: int) -> None:
    shown = text(number, digits)
    assert int(Decimal(shown).scaleb(digits)) == number if abs(number) < 10**20 else True
    assert len(shown.partition(".")[2]) == digits
    assert "e" not in shown.lower()


@given(st.lists(st.tuples(st.integers(0, 200_000), st.integers(1, 50), st.integers(1, 9), st.booleans()), max_size=60))
def test_long_candles_are_the_sum_of_what_happened(deals: list[tuple[int, int, int, bool]]) -> None:
    """Any trades at any times (sorted), against a plain sum per interval."""
    start = START_MS
    candles, closed = Candles(start, 25), list[tuple[str, Candle]]()
    plain: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for number, (after, price, quantity, buys) in enumerate(sorted(deals)):
        candles.roll(start + after, lambda interval, candle: closed.append((interval, candle)))
        candles.minute.add(price, quantity, number, number, buys)
        for interval in INTERVALS:
            plain[interval, open_ms(interval, start + after)].append((price, quantity))
    candles.roll(start + 400_000, lambda interval, candle: closed.append((interval, candle)))
    whole = closed + [(interval, candles.current(interval)) for interval in INTERVALS]
    for interval, candle in whole:
        happened = plain.pop((interval, candle.open_ms), [])
        assert candle.volume == sum(quantity for _, quantity in happened)
        assert candle.quote == sum(price * quantity for price, quantity in happened)
        assert candle.trades == len(happened)
        if happened:
            prices = [price for price, _ in happened]
            assert (candle.open, candle.high, candle.low, candle.close) == (
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
            )
    assert not plain


def test_prices_have_the_digits_of_the_tick() -> None:
    tape = Tape("BTCUSDT", ["aggTrade", "bookTicker"], 10)
    tape.run(5)
    shown = [t["p"] for t in tape.pushed["aggTrade"]] + [t["b"] for t in tape.pushed["bookTicker"]]
    assert {(len(p.partition(".")[2]), p[-1]) for p in shown} == {(2, "0")}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_minute_that_nobody_saw_comes_with_its_candles_first_subscription_and_once(seed: int) -> None:
    tape = Tape("BTCUSDT", [], seed)
    market, minute = tape.market, open_ms("1m", START_MS)
    market.remember_minute()
    before = list(market.deals)
    for stream in ("aggTrade", "kline_1m", "kline_3m"):
        found = offered(f"btcusdt@{stream}")
        assert found
        market.subscribe(found)
    tape.run(5)
    first, *later = [frame["k"] for frame in tape.pushed["kline_1m"]]

    assert (first["t"], first["T"], first["x"]) == (minute - 60_000, minute - 1, True)
    assert before
    assert all(first["t"] <= deal.time_ms <= first["T"] for deal in before)
    assert (first["f"], first["L"]) == (before[0].first_id, before[-1].last_id)
    assert later
    assert all((k["t"], k["x"]) == (minute, False) for k in later)
    assert all(trade["T"] >= START_MS for trade in tape.pushed["aggTrade"]), "what is past is not told again"
    market.unsubscribe("btcusdt@kline_1m")
    again = offered("btcusdt@kline_1m")
    assert again
    market.subscribe(again)
    tape.run(1)
    assert len([frame for frame in tape.pushed["kline_1m"] if frame["k"]["x"]]) == 1
