"""Kraken Futures over REST: trades by time, candles, rates of a year at once, contracts, every shape of an error."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from exchanges.driving import drive
from frames_path import frames

from wsadapter.config.model import Feed
from wsadapter.events import FundingRate, Kline, MarketEvent, Source, Trade
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.kraken_futures import KrakenFutures
from wsadapter.exchanges.kraken_futures_rest import CONTRACTS, EXECUTIONS, KLINES, RATES, KrakenFuturesRest
from wsadapter.exchanges.pages import PageRequest
from wsadapter.exchanges.rest_api import BadAnswer, Filled, Hole, Request, Series, canonical_name
from wsadapter.exchanges.values import iso_ns

S = 1_000_000_000
MS = 1_000_000
HOUR = 3600
START_S = 1_790_000_000 // HOUR * HOUR
NOW_NS = 1_795_000_000 * S
REST = KrakenFuturesRest()
XBT = "PF_XBTUSD"


class Venue:
    """A trade a second, a candle a minute, a rate an hour of the last thousand hours."""

    def __init__(self, trades: int = 0, page: int = 10, name: str = "Execution") -> None:
        self.trades, self.page, self.name = list(range(trades)), page, name
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.without: set[int] = set()
        self.sides: dict[int, tuple[str, str]] = {}

    def answer(self, request: Request) -> bytes:
        query = dict(request.query)
        self.asked.append((request.path, query))
        part = request.path.split("/")[2]
        result = {"charts": self.charts, "history": self.history, "api": self.rates}[part](request.path, query)
        return json.dumps(result).encode()

    def charts(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        assert path == f"/api/charts/v1/trade/{XBT}/1m"
        first, last = int(query["from"]), int(query["to"])
        times = [at for at in range(-(-first // 60) * 60, last + 1, 60) if at not in self.without]
        rows = [{"time": at * 1000, "open": "1.0", "high": "2", "low": "0.5", "close": "1.5", "volume": "10.00000000"}
                for at in times[-2000:]]  # fmt: skip
        return {"candles": rows, "more_candles": len(times) > 2000}

    def history(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        assert path == f"/api/history/v3/market/{XBT}/executions"
        assert query["sort"] == "asc"
        begin = int(query.get("continuation_token", "0"))
        after = [n for n in self.trades if START_S * 1000 + n * 1000 >= int(query["since"])][begin:]
        some = after[: self.page]
        elements = [{"uid": f"e{n}", "timestamp": 1, "event": {self.name: {"execution": self.execution(n),
                     "takerReducedQuantity": ""}}} for n in some]  # fmt: skip
        more = {"continuationToken": str(begin + len(some))} if len(after) > len(some) else {}
        return {"elements": elements, "len": len(elements), **more}

    def execution(self, number: int) -> dict[str, Any]:
        price = "NaN" if number in self.without else "84186"
        maker, taker = self.sides.get(number, ("Buy", "Sell"))
        return {"uid": f"u{number}", "makerOrder": {"direction": maker}, "takerOrder": {"direction": taker},
                "timestamp": (START_S + number) * 1000, "quantity": "0.0288", "price": price}  # fmt: skip

    def rates(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        assert (path, query) == ("/derivatives/api/v4/historicalfundingrates", {"symbol": XBT})
        times = [datetime.fromtimestamp(START_S + n * HOUR, UTC) for n in range(1000)]
        rows = [{"timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}", "fundingRate": 1.5, "relativeFundingRate": -1.5e-07}
                for at in times]  # fmt: skip
        return {"result": "success", "rates": rows}

    def fill(self, hole: Hole) -> tuple[Filled, list[MarketEvent]]:
        filled, events = drive(REST.repair(hole), self.answer, NOW_NS)
        assert filled.published == len(events)
        return filled, events


def trades(started_s: int, ended_s: int, first: int | None = None, last: int | None = None) -> Hole:
    return Hole("trade", XBT, (START_S + started_s) * S, (START_S + ended_s) * S, first, last)


def ids(events: Sequence[MarketEvent]) -> list[str]:
    return [event.trade_id for event in events if isinstance(event, Trade)]


@pytest.mark.parametrize("name", ["Execution", "execution"])
@pytest.mark.parametrize("page", [1, 10, 1000])
def test_trades_of_a_time_come_page_by_page(page: int, name: str) -> None:
    venue = Venue(200, page, name)
    filled, events = venue.fill(trades(30, 74))

    assert filled.state == "repaired"
    assert ids(events) == [f"u{number}" for number in range(30, 75)]
    first = events[0]
    assert isinstance(first, Trade)
    assert (first.price, first.quantity, first.buyer_is_maker, first.trade_number) == ("84186", "0.0288", True, None)
    assert (first.transaction_time_ns, first.source) == ((START_S + 30) * S, Source.REST)
    assert "continuation_token" not in venue.asked[0][1]
    assert len(venue.asked) == {1: 46, 10: 5, 1000: 1}[page]


def test_where_numbers_are_missing_more_is_asked_for_than_our_clock_says() -> None:
    filled, events = Venue(200).fill(trades(30, 40, 7, 12))

    assert (filled.state, ids(events)) == ("repaired", [f"u{number}" for number in range(20, 41)])


def test_a_trade_that_cannot_be_read_leaves_the_others() -> None:
    venue = Venue(200)
    venue.without = {35}
    filled, events = venue.fill(trades(30, 40))
    assert (filled.state, len(events)) == ("partial", 10)
    assert filled.reason
    assert venue.fill(trades(40, 50))[0].state == "repaired", "the bad one is of another time"
    assert Venue().fill(trades(40, 50)) == (Filled(venue.fill(trades(40, 50))[0].state, 0), [])


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_a_trade_whose_taker_is_unknown_has_the_side_of_its_maker(page: int) -> None:
    venue = Venue(200, page)
    venue.sides = {33: ("Sell", "unknown"), 34: ("Buy", "unknown"), 36: ("unknown", "unknown"), 37: ("", "unknown")}
    filled, events = venue.fill(trades(32, 40))

    assert (filled.state, filled.reason) == ("partial", "NoEvent: the venue does not know its side")
    assert [(each.trade_id, each.buyer_is_maker) for each in events if isinstance(each, Trade)] == [
        ("u32", True), ("u33", False), ("u34", True), ("u35", True), ("u38", True), ("u39", True), ("u40", True),
    ]  # fmt: skip


def test_pages_that_do_not_go_on_end() -> None:
    class Stuck(Venue):
        def history(self, path: str, query: dict[str, str]) -> dict[str, Any]:
            return {"elements": [], "continuationToken": "same"} if "continuation_token" in query else {
                "elements": [{"event": {"Execution": {"execution": self.execution(5)}}}], "continuationToken": "same"
            }  # fmt: skip

    venue = Stuck()
    assert len(venue.fill(trades(0, 50))[1]) == 1
    assert len(venue.asked) == 2


@pytest.mark.parametrize(("volume", "is_told"), [("0", "0"), ("1.5e1", "15"), ('"10.00000000"', "10.00000000")])
def test_the_volume_of_a_candle_is_a_number_or_its_text(volume: str, is_told: str) -> None:
    body = ('{"candles":[{"time":1645198500000,"open":"309.15000000000","high":"309.15","low":"308.7","close":"308.85",'
            f'"volume":{volume}}}],"more_candles":true}}')  # fmt: skip
    (candle,) = KLINES.parse(PageRequest(XBT, 2000, "1m"), body.encode(), NOW_NS).events

    assert (candle.open, candle.volume) == ("309.15000000000", is_told)


def test_missing_candles_of_more_than_a_page() -> None:
    venue = Venue()
    last_s = START_S + 2499 * 60
    filled, events = venue.fill(Hole("kline", XBT, 0, 0, START_S * S, last_s * S, "1m"))

    assert filled.state == "repaired"
    assert [e.open_time_ns // S for e in events if isinstance(e, Kline)] == list(range(START_S, last_s + 1, 60))
    first = events[0]
    assert isinstance(first, Kline)
    assert (first.open, first.high, first.low, first.close, first.volume) == ("1.0", "2", "0.5", "1.5", "10.00000000")
    assert (first.closed, first.close_time_ns) == (True, (START_S + 60) * S - MS)
    assert venue.asked[0][1] == {"from": str(START_S), "to": str(START_S + 1999 * 60)}
    assert len(venue.asked) == 2


def test_a_candle_that_the_venue_does_not_have() -> None:
    venue = Venue()
    venue.without = {START_S + 60}
    filled, events = venue.fill(Hole("kline", XBT, 0, 0, START_S * S, (START_S + 120) * S, "1m"))

    assert (filled.state, len(events)) == ("partial", 2)
    assert filled.missing == (((START_S + 60) * S, (START_S + 60) * S),)


def test_candles_of_a_contract_that_was_listed_pages_later() -> None:
    venue = Venue()
    venue.without = set(range(START_S - 60, START_S + 4500 * 60, 60))
    filled, events = venue.fill(Hole("kline", XBT, START_S * S, (START_S + 5000 * 60) * S, interval="1m"))

    assert (filled.state, len(events), filled.missing) == ("repaired", 500, ())


def test_rates_of_a_hole_are_picked_from_all() -> None:
    filled, events = Venue().fill(Hole("funding_rate", XBT, (START_S + 10 * HOUR) * S, (START_S + 12 * HOUR) * S))

    assert filled.state == "repaired"
    found = [e for e in events if isinstance(e, FundingRate)]
    assert [(e.transaction_time_ns or 0) // S - START_S for e in found] == [10 * HOUR, 11 * HOUR, 12 * HOUR]
    assert {(e.funding_rate, e.settled, e.next_funding_time_ns) for e in found} == {("-0.00000015", True, None)}
    nothing = Hole("funding_rate", XBT, (START_S + 10 * HOUR + 60) * S, (START_S + 10 * HOUR + 120) * S)
    assert Venue().fill(nothing)[1] == []


@pytest.mark.parametrize("stream", ["depth", "ticker", "book_ticker", "open_interest", "mark_price", "liquidation"])
def test_streams_without_a_history_have_no_repair(stream: str) -> None:
    assert REST.repair(Hole(stream, XBT, 0, 1)) is None
    assert REST.repair(Hole("kline", XBT, 0, 1, interval="1M")) is None


ERRORS = [
    (200, b'{"result":"error","error":"apiLimitExceeded","serverTime":"x"}', "apiLimitExceeded", "limited"),
    (200, b'{"result":"error","error":"invalidArgument: symbol"}', "invalidArgument", "final"),
    (503, b'{"result":"error","error":"Unavailable"}', "Unavailable", "again"),
    (400, b"Invalid resolution", 400, "final"),
]


@pytest.mark.parametrize(("status", "body", "code", "kind"), ERRORS)
def test_an_error_says_what_it_is_about(status: int, body: bytes, code: object, kind: str) -> None:
    refusal = REST.refusal(status, body)

    assert refusal is not None
    assert (refusal.code, refusal.kind) == (code, kind)
    assert refusal.message


def test_what_is_no_error_of_the_api() -> None:
    assert REST.refusal(200, b'{"result":"success"}') is None
    assert REST.refusal(400, b"<html>") is None
    assert REST.refusal(502, b"Bad Gateway") is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff", b"[" * 100_000, b"{}", b'{"elements":5,"rates":5,"candles":5,"instruments":5}', b"[]",
        b'{"elements":[{}],"rates":[{}],"candles":[{}],"instruments":[{}]}', *(body for _, body, _, _ in ERRORS),
        b'{"elements":[{"event":{"Execution":{"execution":{"uid":"u","timestamp":1,"quantity":"1","price":"1",'
        b'"takerOrder":{"direction":"Both"}}}}}],"rates":[{"timestamp":"2025-09-24T08:00:00Z"}],"candles":[5],'
        b'"instruments":[5]}',
    ],
)  # fmt: skip
def test_bad_answers_raise_nothing_else(body: bytes) -> None:
    for page in (EXECUTIONS, RATES, KLINES):
        with pytest.raises(BadAnswer):
            page.parse(PageRequest(XBT, 2000, "1m"), body, NOW_NS)
    with pytest.raises(BadAnswer):
        CONTRACTS.parse(body, NOW_NS)


def test_series_are_the_words_that_were_asked_for() -> None:
    (plan,) = KrakenFutures.plan(
        Feed("k", "kraken_futures", (XBT,), ("trade", "kline", "mark_price", "funding_rate"), intervals=("5m",))
    )

    assert REST.series(plan) == [
        Series("trade", XBT), Series("mark_price", XBT), Series("funding_rate", XBT), Series("kline", XBT, "5m"),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------- recorded answers


def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in frames("kraken_futures/examples_rest.jsonl").read_bytes().splitlines()]


def test_recorded_candles_and_rates() -> None:
    candles, rates, *_ = recorded()
    rows = KLINES.parse(PageRequest(XBT, 2000, "1h"), json.dumps(candles["body"]).encode(), NOW_NS).events
    for candle, said in zip(rows, candles["body"]["candles"], strict=True):
        assert [candle.open, candle.high, candle.low, candle.close, candle.volume] == list(said.values())[1:]
        assert candle.open_time_ns == said["time"] * MS
    line = frames("kraken_futures/examples_rest.jsonl").read_bytes().splitlines()[1]
    texts = json.loads(line, parse_float=str)["body"]["rates"]
    found = RATES.parse(PageRequest(XBT, 100), json.dumps(rates["body"]).encode(), NOW_NS).events
    for rate, said in zip(found, texts, strict=True):
        assert rate.funding_rate == f"{Decimal(said['relativeFundingRate']):f}"
        assert rate.transaction_time_ns == iso_ns(said["timestamp"])
    assert len(found) == 2


def test_recorded_contracts() -> None:
    rows = [document["instrument"] for document in recorded() if "instrument" in document]
    odd = rows[0] | {"symbol": "PF_ODDUSD", "contractValueTradePrecision": -3, "tradeable": False}
    index = rows[0] | {"type": "real index", "symbol": "in_xbtusd"}
    body = json.dumps({"result": "success", "instruments": [*rows, odd, index]}).encode()
    perpetual, dated, large = CONTRACTS.parse(body, NOW_NS).instruments

    assert (perpetual.symbol, perpetual.kind, perpetual.status, perpetual.base_asset) == (
        XBT, "perpetual", "tradeable", "BTC",
    )  # fmt: skip
    assert (perpetual.tick_size, perpetual.step_size, perpetual.contract_size) == ("1", "0.0001", "1")
    assert (perpetual.contract_currency, perpetual.margin_asset, perpetual.funding_interval) == ("BTC", "USD", 3600)
    assert (perpetual.onboard_time_ns, perpetual.delivery_time_ns) == (iso_ns("2022-03-22T13:15:36Z"), None)
    assert (dated.kind, dated.contract_currency, dated.margin_asset, dated.funding_interval) == (
        "future", "USD", "BTC", None,
    )  # fmt: skip
    assert (dated.tick_size, dated.step_size) == ("0.5", "1")
    assert dated.delivery_time_ns == iso_ns("2026-12-25T16:00:00Z")
    assert (large.step_size, large.status) == ("1000", "suspended")
    assert [canonical_name(each) for each in (perpetual, dated)] == ["BTC/USD:USD", "BTC/USD:BTC-261225"]


def test_recorded_errors() -> None:
    *_, argument, path = recorded()
    found = [REST.refusal(400, json.dumps(each["body"]).encode()) for each in (argument, path)]

    assert [(each.code, each.message, each.kind) for each in found if each] == [
        (11, "Argument invalid: symbol", "final"), (0, "404 NOT_FOUND", "final"),
    ]  # fmt: skip
    assert load_rest("kraken_futures") is not None
    assert REST.base(testnet=True) == "https://demo-futures.kraken.com"
