"""COIN-M: every recorded frame as an independent reading has it, contracts as contracts, and what it asks over REST."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exchanges.binance_oracle import MS, RECEIVED, Oracle, exchange, shown, symbols_in
from exchanges.driving import drive
from exchanges.fuzzing import mutated
from exchanges.test_binance_golden import lines
from frames_path import FRAMES, frames
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import Event, Gap, Kline
from wsadapter.events.gaps import RepairState
from wsadapter.events.records import encode
from wsadapter.exchanges import load, load_rest
from wsadapter.exchanges.binance.coinm import BinanceCoinM
from wsadapter.exchanges.binance.coinm_rest import DEPTH, FUNDINGS, KLINES, SYMBOLS, TRADES_FROM, BinanceCoinMRest
from wsadapter.exchanges.pages import Page, PageRequest
from wsadapter.exchanges.rest_api import BadAnswer, Hole, Request, Series
from wsadapter.exchanges.venue import Acked, Bad, Item, Refused

WORD = "binance_coinm"
RECORDED = FRAMES / WORD if FRAMES else None
FILES = sorted(RECORDED.glob("*.jsonl*")) if RECORDED else []
PERPETUAL = "BTCUSD_PERP"
DAY_MS = 86_400_000
REST = BinanceCoinMRest()


def coinm(*symbols: str) -> Any:
    return exchange(*symbols, venue=BinanceCoinM)


def events(items: list[Item]) -> list[dict[str, Any]]:
    return [shown(item, WORD) for item in items if isinstance(item, Event) and not isinstance(item, Gap)]


@pytest.mark.parametrize("path", [p for p in FILES if "rest" not in p.name], ids=lambda path: path.name)
def test_events_are_those_of_an_independent_reading(path: Path) -> None:
    recorded = lines(path)
    symbols = set().union(*(symbols_in(json.loads(frame)) for frame in recorded))
    venue, oracle = coinm(*(s for s in symbols if not s.endswith("USDT"))), Oracle(quoted=False)
    read = 0
    for frame in recorded:
        items = venue.receive(memoryview(frame), RECEIVED)
        expected = [event for event in oracle.events(frame) if not event["symbol"].endswith("USDT")]
        assert events(items) == expected, frame
        read += len(expected)
        others = [item for item in items if not isinstance(item, Event)]
        if b"ILVUSDT" in frame:
            assert others == [Bad("foreign_symbol", "ILVUSDT")], "a contract of the other family"
        else:
            assert others == []
    assert read or "contract_info" in path.name


def test_recorded_books_have_no_hole() -> None:
    recorded = lines(frames(f"{WORD}/mixed_cf2021_first.jsonl.gz"))
    venue = coinm(*set().union(*(symbols_in(json.loads(frame)) for frame in recorded)))

    assert [item for frame in recorded for item in venue.receive(frame, 1) if isinstance(item, Gap)] == []
    assert not venue.out_of_order


def test_a_family_that_is_not_ours_is_dropped_in_an_array() -> None:
    one: dict[str, Any] = {"e": "24hrTicker", "E": 5, "c": "1.5", "s": PERPETUAL, "st": 2}
    venue = coinm(PERPETUAL, "BTCUSDT")
    items = venue.receive(json.dumps([one, {**one, "s": "BTCUSDT", "st": 1}]).encode(), RECEIVED)

    assert [event["symbol"] for event in events(items)] == [PERPETUAL]
    assert items[1:] == [Bad("foreign_symbol", "BTCUSDT")]


def book(first: int, last: int, previous: int) -> bytes:
    data = {"e": "depthUpdate", "E": 1, "T": 1, "s": PERPETUAL, "U": first, "u": last, "pu": previous, "b": [], "a": []}
    return json.dumps({"stream": "btcusd_perp@depth", "data": data}).encode()


def test_a_broken_chain_is_a_gap_and_a_repeat_is_none() -> None:
    venue = coinm(PERPETUAL)
    assert [len(venue.receive(each, 1)) for each in (book(5, 9, 3), book(15, 19, 9))] == [1, 1]
    gap, _ = venue.receive(book(30, 40, 25), 3)
    assert isinstance(gap, Gap)
    assert (gap.first_missing, gap.last_missing, gap.missing_count) == (20, 29, None)
    assert len(venue.receive(book(30, 40, 25), 4)) == 1
    assert venue.out_of_order == {"depth": 1}


@given(st.integers(0, 2**32))
@settings(max_examples=50)
def test_damaged_frames_never_raise(seed: int) -> None:
    samples = [line for path in FILES if "examples" in path.name and "rest" not in path.name for line in lines(path)]
    if not samples:
        pytest.skip("the recorded frames (../shared/frames) are not here")
    symbols = set().union(*(symbols_in(json.loads(sample)) for sample in samples))
    dice, venue = random.Random(seed), coinm(*symbols)
    for _ in range(20):
        for item in venue.receive(memoryview(mutated(dice.choice(samples), dice)), RECEIVED):
            assert isinstance(item, Event | Bad | Acked | Refused)
            if isinstance(item, Event):
                assert item.symbol in symbols
                encode(item)


# ------------------------------------------------------------------------------------------------------------- plans


def feed(**changes: Any) -> Feed:
    return Feed(**{"name": "c", "exchange": WORD, "symbols": (PERPETUAL,), "streams": ("trade",), **changes})


def test_one_socket_carries_all_classes() -> None:
    streams = ("kline", "ticker", "depth", "trade", "raw_trade", "mark_price", "funding_rate", "liquidation",
               "book_ticker", "open_interest")  # fmt: skip
    (plan,) = load(WORD).plan(feed(streams=streams, depth_levels=0, depth_speed="500ms"))

    assert (plan.connection, plan.url) == ("c-all-0", "wss://dstream.binance.com/stream")
    assert [subscription.name for subscription in plan.subscriptions] == [
        f"btcusd_perp@{name}"
        for name in ("depth@500ms", "bookTicker", "trade", "kline_1m", "ticker", "aggTrade", "markPrice@1s",
                     "forceOrder")
    ]  # fmt: skip
    assert load(WORD).plan(feed(testnet=True))[0].url == "wss://dstream.binancefuture.com/stream"
    assert REST.series(plan)[:3] == [
        Series("depth", PERPETUAL), Series("book_ticker", PERPETUAL), Series("raw_trade", PERPETUAL)
    ]  # fmt: skip


def test_levels_that_there_are_not() -> None:
    with pytest.raises(ConfigError, match="depth_levels"):
        load(WORD).plan(feed(depth_levels=50))


# -------------------------------------------------------------------------------------------------------------- REST


def recorded_rest(path: str) -> Any:
    for line in lines(frames(f"{WORD}/examples_rest.jsonl")):
        document = json.loads(line)
        if document["path"] == path:
            return document.get("body", document.get("symbol"))
    raise AssertionError(path)


def read(page: Page, path: str, interval: str = "") -> list[Any]:
    body = json.dumps(recorded_rest(path)).encode()
    return page.parse(PageRequest(PERPETUAL, 1000, interval), body, RECEIVED).events


def test_recorded_pages() -> None:
    (snapshot,) = read(DEPTH, "/dapi/v1/depth")
    assert (snapshot.symbol, snapshot.last_update_id, snapshot.level_limit) == (PERPETUAL, 11660051107935, 1000)
    assert (snapshot.bid_price, snapshot.bid_quantity) == (["83778.8", "83778.7"], ["5078", "1200"])
    assert (snapshot.event_time_ns, snapshot.transaction_time_ns) == (1790373521101 * MS, 1790373521100 * MS)

    for candle, row in zip(read(KLINES, "/dapi/v1/klines", "1m"), recorded_rest("/dapi/v1/klines"), strict=True):
        assert [candle.open, candle.high, candle.low, candle.close, candle.volume] == row[1:6]
        assert (candle.open_time_ns, candle.close_time_ns) == (row[0] * MS, row[6] * MS)
        assert (candle.trade_count, candle.taker_buy_volume) == (row[8], row[9])
        assert (candle.quote_volume, candle.taker_buy_quote_volume) == (None, None), "amounts of the coin"

    rates = read(FUNDINGS, "/dapi/v1/fundingRate")
    assert [(rate.funding_rate, rate.transaction_time_ns, rate.mark_price) for rate in rates] == [
        (row["fundingRate"], row["fundingTime"] * MS, row["markPrice"]) for row in recorded_rest("/dapi/v1/fundingRate")
    ]

    body = json.dumps(recorded_rest("/dapi/v1/openInterest")).encode()
    interest = REST.parse_open_interest(PERPETUAL, body, RECEIVED)
    assert (interest.open_interest, interest.open_interest_value) == ("12668208", None)
    assert REST.open_interest(PERPETUAL) == Request("/dapi/v1/openInterest", (("symbol", PERPETUAL),))
    with pytest.raises(BadAnswer):
        REST.parse_open_interest("ETHUSD_PERP", body, RECEIVED)


def test_a_recorded_instrument_is_so_many_dollars() -> None:
    row = recorded_rest("/dapi/v1/exchangeInfo")
    (found,) = SYMBOLS.parse(json.dumps({"symbols": [row, {}, 5]}).encode(), RECEIVED).instruments

    assert (found.exchange, found.symbol, found.status) == (WORD, PERPETUAL, "TRADING")
    assert (found.contract_type, found.contract_size, found.contract_currency) == ("PERPETUAL", "100", "USD")
    assert (found.base_asset, found.quote_asset, found.margin_asset) == ("BTC", "USD", "BTC")
    assert (found.tick_size, found.step_size, found.min_quantity, found.max_quantity) == ("0.1", "1", "1", "1000000")
    assert (found.onboard_time_ns, found.delivery_time_ns) == (1597042800000 * MS, 4133404800000 * MS)
    with pytest.raises(BadAnswer):
        SYMBOLS.parse(json.dumps({"symbols": [{**row, "contractStatus": None}]}).encode(), RECEIVED)


class Venue:
    """Candles without end; of a range with more of them than a page, the newest, as this venue does."""

    def __init__(self, length_ms: int) -> None:
        self.length_ms = length_ms
        self.asked: list[dict[str, str]] = []

    def answer(self, request: Request) -> bytes:
        query = dict(request.query)
        self.asked.append(query)
        first, last = int(query["startTime"]), int(query["endTime"])
        assert last - first <= 200 * DAY_MS
        opens = range(-(-first // self.length_ms) * self.length_ms, last + 1, self.length_ms)[-int(query["limit"]) :]
        return json.dumps(
            [[ms, "1", "2", "0.5", "1.5", "10", ms + self.length_ms - 1, "0.1", 3, "4", "0.05", "0"] for ms in opens]
        ).encode()


@pytest.mark.parametrize(("interval", "length_ms", "count"), [("1m", 60_000, 2000), ("1d", DAY_MS, 700)])
def test_a_long_hole_of_candles_is_filled_without_losing_the_oldest(interval: str, length_ms: int, count: int) -> None:
    start_ms, venue = 1_700_006_400_000 // DAY_MS * DAY_MS, Venue(length_ms)
    last_ms = start_ms + (count - 1) * length_ms
    hole = Hole("kline", PERPETUAL, start_ms * MS, (last_ms + length_ms) * MS, start_ms * MS, last_ms * MS, interval)
    filled, made = drive(REST.repair(hole), venue.answer, 1_900_000_000_000 * MS)

    assert filled.state is RepairState.REPAIRED
    found = [candle.open_time_ns // MS for candle in made if isinstance(candle, Kline)]
    assert found == [start_ms + n * length_ms for n in range(count)]
    assert len(venue.asked) == {"1m": 5, "1d": 4}[interval]


def test_a_dated_contract_without_funding_lacks_nothing() -> None:
    hole = Hole("funding_rate", "BTCUSD_261225", 1_790_000_000_000 * MS, 1_790_100_000_000 * MS)
    filled, made = drive(REST.repair(hole), lambda request: b"[]", RECEIVED)

    assert (filled.state, made) == (RepairState.REPAIRED, [])


def test_trades_are_asked_for_by_number() -> None:
    fetch = TRADES_FROM.fetch(Hole("trade", PERPETUAL, 0, 0), 5, first=17)

    assert fetch.request == Request(
        "/dapi/v1/aggTrades", (("symbol", PERPETUAL), ("fromId", "17"), ("limit", "5")), weight=20
    )


@pytest.mark.parametrize(
    ("page", "limit", "weight"),
    [(KLINES, 99, 1), (KLINES, 100, 2), (KLINES, 499, 2), (FUNDINGS, 10, 1), (DEPTH, 50, 2), (DEPTH, 1000, 20)],
)
def test_weights(page: Page, limit: int, weight: int) -> None:
    hole = Hole("kline", PERPETUAL, 0, 0, interval="1m")
    assert page.fetch(hole, limit, first_ms=0, last_ms=1).request.weight == weight


def test_addresses_and_words() -> None:
    rest = load_rest(WORD)
    assert isinstance(rest, BinanceCoinMRest)
    assert (rest.base(False), rest.base(True)) == ("https://dapi.binance.com", "https://testnet.binancefuture.com")
    refusal = rest.refusal(400, b'{"code":-1130,"msg":"Data sent for paramter limit is not valid."}')
    assert refusal is not None
    assert (refusal.code, refusal.kind) == (-1130, "final")
    again: Callable[[int, bytes], Any] = rest.refusal
    assert again(503, b'{"code":-1016,"msg":"This service is no longer available."}').kind == "again"
    assert again(429, b'{"code":-1003,"msg":"Too many requests."}').kind == "limited"
    assert again(403, b"<html>") is None
