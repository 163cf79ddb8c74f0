"""Coinbase over REST: pages before an id, the first trade of a time found by halves, products, errors."""

import json
from collections.abc import Sequence

import pytest
from exchanges.driving import drive

from wsadapter.config.model import Feed
from wsadapter.events import Kline, MarketEvent, Source, Trade
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.coinbase import Coinbase
from wsadapter.exchanges.coinbase_rest import PRODUCTS, TRADES, CoinbaseRest
from wsadapter.exchanges.pages import PageRequest
from wsadapter.exchanges.rest_api import BadAnswer, Filled, Hole, Request, Series
from wsadapter.exchanges.values import iso_ns

S = 1_000_000_000
BEGIN = "2026-08-25T03:00:00Z"
START_NS = iso_ns(BEGIN)
BTC = "BTC-USD"
REST = CoinbaseRest()


class Venue:
    """A trade a second from number 1 on."""

    def __init__(self, trades: int, without: Sequence[int] = ()) -> None:
        self.numbers = [number for number in range(1, trades + 1) if number not in without]
        self.asked: list[dict[str, str]] = []
        self.bad: set[int] = set()

    def answer(self, request: Request) -> bytes:
        assert request.path == "/products/BTC-USD/trades"
        query = dict(request.query)
        self.asked.append(query)
        behind, limit = int(query.get("after", 1 << 60)), int(query["limit"])
        some = [number for number in self.numbers if number < behind][-limit:][::-1]
        return json.dumps([self.row(number) for number in some]).encode()

    def row(self, number: int) -> dict[str, object]:
        at = f"2026-08-25T{3 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.198335Z"
        price = "NaN" if number in self.bad else "10.00000000"
        return {"time": at, "trade_id": number, "price": price, "size": "0.01000000", "side": "sell"}

    def fill(self, hole: Hole) -> tuple[Filled, list[MarketEvent]]:
        filled, events = drive(REST.repair(hole), self.answer, START_NS + 10**15)
        assert filled.published == len(events)
        return filled, events


def hole(first: int | None, last: int | None, started_s: int = 0, ended_s: int = 1 << 20) -> Hole:
    return Hole("trade", BTC, START_NS + started_s * S, START_NS + ended_s * S, first, last)


def numbers(events: Sequence[MarketEvent]) -> list[int]:
    return [event.trade_number or 0 for event in events if isinstance(event, Trade)]


@pytest.mark.parametrize(("first", "last"), [(1, 1), (5, 9), (900, 3100), (4000, 4000)])
def test_missing_trades_come_in_order_page_by_page(first: int, last: int) -> None:
    venue = Venue(4000)
    filled, events = venue.fill(hole(first, last))

    assert (filled.state, numbers(events)) == ("repaired", list(range(first, last + 1)))
    trade = events[0]
    assert isinstance(trade, Trade)
    assert (trade.price, trade.quantity, trade.buyer_is_maker, trade.source) == (
        "10.00000000", "0.01000000", False, Source.REST,
    )  # fmt: skip
    assert (trade.trade_id, (trade.transaction_time_ns or 0) - START_NS) == (str(first), first * S + 198_335_000)
    assert len(venue.asked) == 1 + (last - first) // 1000


@pytest.mark.parametrize("started", [0, 1, 50, 2999, 7000, 9990, 10_000])
def test_by_time_the_first_one_is_found_by_halves(started: int) -> None:
    venue = Venue(10_000)
    filled, events = venue.fill(hole(None, None, started, started + 20))

    expected = [number for number in range(1, 10_001) if started <= number + 0.198335 <= started + 20]
    assert (filled.state, numbers(events)) == ("repaired", expected)
    assert len(venue.asked) <= 16
    assert Venue(10).fill(hole(None, None, 500, 600)) == (Filled(filled.state, 0), [])
    assert Venue(0).fill(hole(None, None, 500, 600)) == (Filled(filled.state, 0), [])


def test_trades_that_the_venue_does_not_have_are_named() -> None:
    filled, events = Venue(100, without=(50, 51)).fill(hole(45, 60))
    assert (filled.state, filled.missing, len(events)) == ("partial", ((50, 51),), 14)
    filled, events = Venue(100).fill(hole(95, 120))
    assert (filled.state, filled.missing, len(events)) == ("partial", ((101, 120),), 6)
    venue = Venue(100)
    venue.bad = {50}
    filled, events = venue.fill(hole(45, 60))
    assert (filled.state, filled.missing, len(events)) == ("partial", ((50, 50),), 15)
    assert filled.reason


@pytest.mark.parametrize("stream", ["depth", "ticker", "book_ticker", "kline"])
def test_streams_without_a_history_have_no_repair(stream: str) -> None:
    assert REST.repair(Hole(stream, BTC, 0, 1, interval="1m")) is None


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b"{}", b"[5]", b'[{"trade_id":1}]', b'{"message":"x"}'])
def test_bad_answers_raise_nothing_else(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        TRADES.parse(PageRequest(BTC, 1000), body, START_NS)
    with pytest.raises(BadAnswer):
        PRODUCTS.parse(body, START_NS)


@pytest.mark.parametrize(
    ("status", "kind"), [(404, "final"), (400, "final"), (429, "limited"), (500, "again"), (503, "again")]
)
def test_an_error_says_its_status_and_what_it_is_about(status: int, kind: str) -> None:
    refusal = REST.refusal(status, b'{"message":"NotFound"}')

    assert refusal is not None
    assert (refusal.code, refusal.message, refusal.kind) == (status, "NotFound", kind)


def test_what_is_no_error_of_the_api() -> None:
    assert REST.refusal(200, b"[]") is None
    assert REST.refusal(502, b"<html>") is None


def test_products() -> None:
    row = {"id": BTC, "base_currency": "BTC", "quote_currency": "USD", "base_increment": "0.00000001",
           "quote_increment": "0.01", "min_market_funds": "1", "status": "online"}  # fmt: skip
    bad = [row | {"id": 5}, row | {"quote_increment": "cent"}]
    (product,) = PRODUCTS.parse(json.dumps([row, *bad]).encode(), START_NS).instruments

    assert (product.symbol, product.status, product.kind, product.base_asset, product.quote_asset) == (
        BTC, "online", "spot", "BTC", "USD",
    )  # fmt: skip
    assert (product.tick_size, product.step_size, product.min_notional) == ("0.01", "0.00000001", "1")


def test_series_are_the_words_that_were_asked_for() -> None:
    plans = Coinbase.plan(Feed("c", "coinbase", (BTC,), ("trade", "book_ticker", "ticker", "depth")))

    assert [series for plan in plans for series in REST.series(plan)] == [
        Series("trade", BTC), Series("book_ticker", BTC), Series("ticker", BTC), Series("depth", BTC),
    ]  # fmt: skip
    assert load_rest("coinbase") is not None
    assert REST.base(testnet=True) == "https://api-public.sandbox.exchange.coinbase.com"


@pytest.mark.parametrize("by_time", [False, True])
def test_a_page_with_nothing_but_candles_from_before_it_is_a_quiet_time(by_time: bool) -> None:
    step, minutes = 300, 700
    traded = [-1, 0, 1, minutes - 1]
    asked: list[dict[str, str]] = []

    def answer(request: Request) -> bytes:
        query = dict(request.query)
        asked.append(query)
        first, last = int(query["start"]), int(query["end"])
        before = [n * step for n in traded if n * step < first][-1:]
        rows = [*before, *(n * step for n in traded if first <= n * step <= last)]
        return json.dumps([[at, 1, 4, 2, 3, 0.5] for at in reversed(rows)]).encode()

    first, last = (None, None) if by_time else (step * 1000 * S, (minutes - 1 + 1000) * step * S)
    traded = [1000 + n for n in traded]
    hole = Hole("kline", BTC, (1000 * step) * S, (1000 + minutes) * step * S, first, last, "5m")
    filled, events = drive(REST.repair(hole), answer, (1000 + 2 * minutes) * step * S)

    # by time the one that closes as the hole begins is none of its own
    assert (filled.state, len(events), filled.missing) == ("repaired", 3, ())
    assert len(asked) == 4 + by_time


def test_candles_of_a_hole_and_none_for_a_time_without_trades() -> None:
    """The lowest price stands before the highest, the first rows may be older than was asked for, the last is open."""
    rows = [[600 * n, 1, 4, 2, 3.50, 0.20269406] for n in (5, 3, 2, 1)]  # newest first; 600 s apart: some are missing
    asked: list[dict[str, str]] = []

    def answer(request: Request) -> bytes:
        assert request.path == "/products/BTC-USD/candles"
        asked.append(dict(request.query))
        return json.dumps(rows).encode().replace(b"3.5,", b"3.50,")

    hole = Hole("kline", BTC, 900 * S, 2400 * S, 900 * S, 2100 * S, "5m")
    filled, events = drive(REST.repair(hole), answer, 3001 * S)
    assert (filled.state, filled.missing) == ("repaired", ())
    assert [(event.open_time_ns // S, event.closed) for event in events if isinstance(event, Kline)] == [
        (1200, True), (1800, True),
    ]  # fmt: skip
    (candle, _) = events
    assert isinstance(candle, Kline)
    assert (candle.low, candle.high, candle.open, candle.close, candle.volume) == ("1", "4", "2", "3.50", "0.20269406")
    assert asked[0]["granularity"] == "300"
    assert int(asked[0]["end"]) - int(asked[0]["start"]) < 300 * 300
