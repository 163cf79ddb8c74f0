"""Answers of the venue, recorded, documented and hostile: events as they should be, or `BadAnswer` and nothing else."""

import json
from contextlib import suppress
from typing import Any

import pytest
from exchanges.driving import drive
from exchanges.loopback_rest import LoopbackRest
from frames_path import frames
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.config.model import Feed
from wsadapter.events import UpdateType
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.binance.coinm_rest import BinanceCoinMRest
from wsadapter.exchanges.binance.rest import allowed
from wsadapter.exchanges.binance.spot_rest import BinanceSpotRest
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.binance.usdm_rest import (
    DEPTH,
    FUNDINGS,
    KLINES,
    SYMBOLS,
    TRADES_FROM,
    BinanceFuturesRest,
)
from wsadapter.exchanges.pages import Page, PageRequest, RestTables
from wsadapter.exchanges.rest_api import BadAnswer, Hole, Request, RequestRefused, RestError

NOW = 1_790_000_000_000_000_000
MS = 1_000_000
REST = BinanceFuturesRest()

CANDLE: list[Any] = [
    1499040000000, "0.01634790", "0.80000000", "0.01575800", "0.01577100", "148976.11427815", 1499644799999,
    "2434.19055334", 308, "1756.87402397", "28.46694368", "17928899.62484339",
]  # fmt: skip
TRADE: dict[str, Any] = {
    "a": 26129, "p": "0.01633102", "q": "4.70443515", "nq": "4.70443515", "f": 27781, "l": 27781, "T": 1498793709153,
    "m": True,
}  # fmt: skip
FUNDING: dict[str, Any] = {
    "symbol": "BTCUSDT", "fundingRate": "-0.03750000", "fundingTime": 1570608000000, "markPrice": "34287.54619963",
    "rateType": "Regular",
}  # fmt: skip
BOOK: dict[str, Any] = {
    "lastUpdateId": 1027024, "E": 1589436922972, "T": 1589436922959, "bids": [["4.00000000", "431.00000000"]],
    "asks": [["4.00000200", "12.00000000"]],
}  # fmt: skip
INTEREST: dict[str, Any] = {"openInterest": "10659.509", "symbol": "BTCUSDT", "time": 1589437530011}
BLZ: dict[str, Any] = {
    "symbol": "BLZUSDT", "pair": "BLZUSDT", "contractType": "PERPETUAL", "deliveryDate": 4133404800000,
    "onboardDate": 1598252400000, "status": "TRADING", "maintMarginPercent": "2.5000", "baseAsset": "BLZ",
    "quoteAsset": "USDT", "marginAsset": "USDT", "pricePrecision": 5, "quantityPrecision": 0, "underlyingType": "COIN",
    "underlyingSubType": ["STORAGE"], "settlePlan": 0, "triggerProtect": "0.15",
    "filters": [
        {"filterType": "PRICE_FILTER", "maxPrice": "300", "minPrice": "0.0001", "tickSize": "0.0001"},
        {"filterType": "LOT_SIZE", "maxQty": "10000000", "minQty": "1", "stepSize": "1"},
        {"filterType": "MARKET_LOT_SIZE", "maxQty": "590119", "minQty": "1", "stepSize": "1"},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MIN_NOTIONAL", "notional": "5.0"},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.1500", "multiplierDown": "0.8500", "multiplierDecimal": "4"},
    ],
}  # fmt: skip


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def one(page: Page, body: bytes, limit: int = 1000) -> Any:
    """The event of an answer's only row."""
    (event,) = page.parse(PageRequest("BTCUSDT", limit, "1w"), body, NOW).events
    return event


def test_recorded_book() -> None:
    for line in frames("binance_usdm/rest_depth_snapshot_btcusdt_20240808.jsonl").read_bytes().splitlines():
        document = json.loads(line)
        book = one(DEPTH, line, 1000)
        assert book.update_type is UpdateType.SNAPSHOT
        assert list(zip(book.bid_price, book.bid_quantity, strict=True)) == [tuple(level) for level in document["bids"]]
        assert list(zip(book.ask_price, book.ask_quantity, strict=True)) == [tuple(level) for level in document["asks"]]
        assert book.last_update_id == document["lastUpdateId"]
        assert (book.event_time_ns, book.transaction_time_ns) == (document["E"] * MS, document["T"] * MS)


def test_recorded_open_interest() -> None:
    for line in frames("binance_usdm/open_interest_cmp.jsonl").read_bytes().splitlines():
        document = json.loads(line)
        event = REST.parse_open_interest(document["symbol"], line, NOW)
        assert (event.symbol, event.open_interest) == (document["symbol"], document["openInterest"])
        assert (event.event_time_ns, event.open_interest_value) == (document["time"] * MS, None)
        with pytest.raises(BadAnswer):
            REST.parse_open_interest("ETHUSDT", line, NOW)


@pytest.mark.parametrize("later_ms", [8, 0])
def test_what_is_paid_beside_the_rate_of_an_interval_has_a_key_of_its_own(later_ms: int) -> None:
    """SPYUSDT, 2026-06-18: a dividend, after the rate or in its millisecond."""
    at_ms = 1_781_740_800_001
    listed = [
        {**FUNDING, "fundingTime": at_ms, "fundingRate": "0.00002292"},
        {**FUNDING, "fundingTime": at_ms + later_ms, "fundingRate": "-0.00239112", "rateType": "Special"},
    ]
    rates = FUNDINGS.parse(PageRequest("BTCUSDT", 1000), encoded(listed), NOW).events
    assert [(rate.transaction_time_ns, rate.funding_rate, rate.settled, rate.ordinal) for rate in rates] == [
        (at_ms * MS, "0.00002292", True, 0),
        ((at_ms + later_ms) * MS, "-0.00239112", True, 1),
    ]


MINUTE: dict[str, Any] = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}
ORDERS: dict[str, Any] = {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200}


@pytest.mark.parametrize(
    ("limits", "units"),
    [
        ([MINUTE, ORDERS], 2400),
        ([ORDERS, {**MINUTE, "limit": 6000}], 6000),
        ([MINUTE, {**MINUTE, "limit": 100}], 100),
        ([{**MINUTE, "interval": "DAY"}, {**MINUTE, "intervalNum": 5}], None),
        ([ORDERS], None),
        (
            [{**MINUTE, "limit": 0}, {**MINUTE, "limit": -1}, {**MINUTE, "limit": 10**18}, {**MINUTE, "limit": "9"}],
            None,
        ),
        ([[], 7, None, {}], None),
        ([], None),
        ({"limit": 5}, None),
        (None, None),
    ],
)
def test_what_the_venue_allows(limits: Any, units: int | None) -> None:
    found = SYMBOLS.parse(encoded({"rateLimits": limits, "symbols": [BLZ]}), NOW).weights
    assert (None if found is None else (found.units, found.seconds)) == (None if units is None else (units, 60.0))


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff", b'{"rateLimits":'])
def test_an_answer_that_cannot_be_read_allows_nothing_new(body: bytes) -> None:
    assert allowed(body) is None


def test_documented_rows() -> None:
    candle = one(KLINES, encoded([CANDLE]))
    assert (candle.open, candle.close, candle.trade_count) == ("0.01634790", "0.01577100", 308)
    trade = one(TRADES_FROM, encoded([TRADE]))
    assert (trade.trade_id, trade.trade_number, trade.first_trade_id) == ("26129", 26129, 27781)
    rate = one(FUNDINGS, encoded([FUNDING]))
    assert (rate.funding_rate, rate.mark_price) == ("-0.03750000", "34287.54619963")
    rate = one(FUNDINGS, encoded([{**FUNDING, "markPrice": ""}]))
    assert rate.mark_price is None
    assert one(DEPTH, encoded(BOOK), 5).ask_quantity == ["12.00000000"]


def test_what_is_traded() -> None:
    broken = {"symbol": 5}
    (row,) = SYMBOLS.parse(encoded({"symbols": [broken, BLZ], "rateLimits": []}), NOW).instruments
    assert (row.symbol, row.status, row.contract_type, row.margin_asset) == ("BLZUSDT", "TRADING", "PERPETUAL", "USDT")
    assert (row.tick_size, row.step_size, row.min_quantity, row.min_notional) == ("0.0001", "1", "1", "5.0")
    assert (row.onboard_time_ns, row.delivery_time_ns) == (1598252400000 * MS, 4133404800000 * MS)
    with pytest.raises(BadAnswer):
        SYMBOLS.parse(encoded({"symbols": [broken]}), NOW)


def test_the_loopback_venue_speaks_the_same() -> None:
    venue = LoopbackRest("btcusdt@aggTrade").run(2)
    rows = SYMBOLS.parse(venue.answer(SYMBOLS.request), NOW).instruments
    assert {"BTCUSDT", "ETHUSDT"} <= {row.symbol for row in rows}
    assert all(row.tick_size and row.step_size for row in rows)
    assert REST.parse_open_interest("BTCUSDT", venue.answer(REST.open_interest("BTCUSDT")), NOW).open_interest


def test_errors_are_read() -> None:
    for code, kind in ((-1121, "final"), (-1003, "limited"), (-1007, "again")):
        refusal = REST.refusal(400, encoded({"code": code, "msg": "\n\x1b[31m" * 99}))
        assert refusal is not None
        assert (refusal.code, refusal.kind, refusal.message.isprintable()) == (code, kind, True)


@pytest.mark.parametrize(
    "body", [b"<html>400</html>", b"", b"\xff", b"[" * 100_000, b'{"code":"x"}', b"{}", b'{"code":404,"msg":"CDN"}']
)
def test_a_page_of_another_hand_is_no_error_of_the_api(body: bytes) -> None:
    assert REST.refusal(400, body) is None


def test_a_venue_without_rest() -> None:
    assert load_rest("nobody's") is None
    assert isinstance(load_rest("binance"), BinanceFuturesRest)


BAD_TEXTS = ["nan", "inf", "-1", "+1", "1e5", "", ".5", "5.", "1,2", '1"', " 1", "\u0661", "1_0", "9" * 65]


@pytest.mark.parametrize("text", BAD_TEXTS)
@pytest.mark.parametrize("place", [1, 2, 3, 4, 5, 7, 9, 10])
def test_a_candle_with_a_number_that_is_none(text: str, place: int) -> None:
    with pytest.raises(BadAnswer):
        one(KLINES, encoded([[*CANDLE[:place], text, *CANDLE[place + 1 :]]]))


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_other_numbers_that_are_none(text: str) -> None:
    for key in "pq":
        with pytest.raises(BadAnswer):
            one(TRADES_FROM, encoded([{**TRADE, key: text}]))
    for key in ("bids", "asks"):
        for level in ([text, "1"], ["1", text]) if len(text) < 65 else ():
            with pytest.raises(BadAnswer):
                one(DEPTH, encoded({**BOOK, key: [level]}))
    with pytest.raises(BadAnswer):
        REST.parse_open_interest("BTCUSDT", encoded({**INTEREST, "openInterest": text}), NOW)
    if text != "-1":
        with pytest.raises(BadAnswer):
            one(FUNDINGS, encoded([{**FUNDING, "fundingRate": text}]))


@pytest.mark.parametrize(
    "rows",
    [
        [TRADE, TRADE],
        [{**TRADE, "a": 2}, {**TRADE, "a": 1}],
        [TRADE] * 1001,
        [{**TRADE, "a": -1}],
        [{**TRADE, "a": 2**63}],
        [{**TRADE, "T": 2**62}],
        [{key: value for key, value in TRADE.items() if key != "m"}],
        {"code": -1},
    ],
)
def test_trades_that_cannot_be(rows: object) -> None:
    with pytest.raises(BadAnswer):
        one(TRADES_FROM, encoded(rows))


@pytest.mark.parametrize(
    "rows", [[CANDLE, CANDLE], [CANDLE[:6]], [[*CANDLE[:6], 1, *CANDLE[7:]]], [CANDLE] * 1501, [[]], [{}]]
)
def test_candles_that_cannot_be(rows: object) -> None:
    with pytest.raises(BadAnswer):
        one(KLINES, encoded(rows))


def test_rows_of_another_symbol() -> None:
    with pytest.raises(BadAnswer):
        FUNDINGS.parse(PageRequest("ETHUSDT", 1000), encoded([FUNDING]), NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.sampled_from([*TRADE, *BOOK, *FUNDING]), inner),
    max_leaves=20,
)
HOLES = [
    Hole("trade", "BTCUSDT", 0, 10**16),
    Hole("trade", "BTCUSDT", 0, 10**16, 1, 5),
    Hole("kline", "BTCUSDT", 0, 10**18, interval="1m"),
    Hole("kline", "BTCUSDT", 0, 10**18, 1499040000000 * MS, 1499040000000 * MS, "1M"),
    Hole("funding_rate", "BTCUSDT", 0, 10**18),
    Hole("depth", "BTCUSDT", 0, 10**18),
]


@given(body=JSON.map(encoded) | st.binary(max_size=64), hole=st.sampled_from(HOLES))
def test_nothing_but_bad_answer_escapes(body: bytes, hole: Hole) -> None:
    def repair(body: bytes, received_ns: int) -> None:
        requests = iter(range(100))  # the same answer again and again: it ends, or refuses it
        drive(REST.repair(hole), lambda _: body if next(requests) < 99 else RequestRefused("enough"), received_ns)

    parsers = repair, SYMBOLS.parse, lambda b, n: REST.parse_open_interest("BTCUSDT", b, n)
    for parse in parsers:
        said = ""
        try:
            parse(body, NOW)
        except BadAnswer as error:
            said = str(error)
        assert said.isprintable()
        assert len(said) < 200
    REST.refusal(400, body)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"a": st.integers(0, 9), "p": st.just("1"), "q": st.just("1"), "f": st.just(1), "l": st.just(1)},
            optional={"T": st.integers(0, 9), "m": st.booleans()},
        ),
        max_size=4,
    ).map(encoded),
    hole=st.sampled_from(HOLES[:2]),
)
def test_no_answer_keeps_a_repair_going_for_ever(rows: bytes, hole: Hole) -> None:
    """The same answer again and again: it ends, or refuses it."""
    asked = 0

    def answer(_: Request) -> bytes:
        nonlocal asked
        asked += 1
        assert asked < 10_000
        return rows

    with suppress(BadAnswer):
        drive(REST.repair(hole), answer, NOW)


HOUR_MS = 3_600_000


class Kept:
    """Trades every 30 s from number ``first`` on, the oldest of them ``hours`` ago; those before are not kept."""

    def __init__(self, first: int, hours: int, before: int = 0) -> None:
        begin_ms = NOW // MS - hours * HOUR_MS
        numbers = range(first - before, first + hours * 120)
        self.trades = [(number, begin_ms + (number - first) * 30_000) for number in numbers]

    def answer(self, request: Request) -> bytes | RestError:
        query = {name: int(value) for name, value in request.query if name != "symbol"}
        if "fromId" in query:
            found = [each for each in self.trades if each[0] >= query["fromId"]]
        else:
            found = [each for each in self.trades if query["startTime"] <= each[1] <= query["endTime"]]
        rows = found[: query["limit"]]
        return encoded([TRADE | {"a": number, "T": ms} for number, ms in rows])


def backfill(hours: int, until: int = 0) -> Hole:
    return Hole("trade", "BTCUSDT", NOW - hours * HOUR_MS * MS, NOW - until * HOUR_MS * MS)


@pytest.mark.parametrize(
    ("first", "kept", "asked", "state"),
    [
        (7000, 48, 72, "partial"),
        (7000, 47, 48, "repaired"),  # as far back as it surely keeps, empty is empty
        (1, 30, 72, "repaired"),  # it was listed then
    ],
)
def test_a_backfill_that_reaches_behind_what_is_kept_is_partial(first: int, kept: int, asked: int, state: str) -> None:
    filled, events = drive(REST.repair(backfill(asked)), Kept(first, kept).answer, NOW)

    assert (filled.state, len(events)) == (state, kept * 120)
    assert bool(filled.reason) == (state == "partial")


def test_a_trade_from_before_the_hole_proves_that_all_of_it_is_kept() -> None:
    """Longer ago than it surely keeps: a venue may keep more than it says, and nobody trades for hours."""
    filled, events = drive(REST.repair(backfill(72)), Kept(7000, 70, before=1).answer, NOW)
    assert (filled.state, len(events)) == ("partial", 70 * 120 + 1), "the one before is in the hole"
    late = Kept(7000, 70)
    late.trades.insert(0, (6999, NOW // MS - 80 * HOUR_MS))
    filled, events = drive(REST.repair(backfill(72)), late.answer, NOW)
    assert (filled.state, len(events)) == ("repaired", 70 * 120)


def test_a_time_without_trades_that_is_no_longer_kept_is_unrepairable() -> None:
    market = Kept(7000, 48)
    filled, events = drive(REST.repair(backfill(72, 60)), market.answer, NOW)
    assert (filled.state, events) == ("unrepairable", [])
    market.trades.insert(0, (6999, NOW // MS - 72 * HOUR_MS - 60_000))
    assert drive(REST.repair(backfill(72, 60)), market.answer, NOW)[0].state == "repaired"


def test_what_the_venue_refuses_to_prove_is_not_proved() -> None:
    market = Kept(7000, 48)

    def answer(request: Request) -> bytes | RestError:
        return RequestRefused("-1") if dict(request.query).get("fromId") == "6999" else market.answer(request)

    filled, events = drive(REST.repair(backfill(72)), answer, NOW)
    assert (filled.state, len(events)) == ("partial", 48 * 120)


@pytest.mark.parametrize(("rest", "state"), [(BinanceCoinMRest(), "partial"), (BinanceSpotRest(), "repaired")])
def test_each_market_keeps_trades_for_its_own_time(rest: RestTables, state: str) -> None:
    filled, events = drive(rest.repair(backfill(30)), Kept(7000, 24).answer, NOW)

    assert (filled.state, len(events)) == (state, 24 * 120)


def test_series_are_the_words_of_each_stream() -> None:
    words = ("raw_trade", "trade", "depth", "funding_rate")
    plans = BinanceFutures.plan(Feed("b", "binance", ("BTCUSDT",), words, depth_levels=20))

    assert {(each.stream, each.levels) for plan in plans for each in REST.series(plan)} == {
        ("raw_trade", 0), ("trade", 0), ("depth", 20), ("funding_rate", 0),
    }  # fmt: skip
