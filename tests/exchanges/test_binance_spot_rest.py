"""Spot over REST: pages in microseconds, holes of trades and candles, what is traded, what it refuses."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from conformance.pair import Pair
from exchanges.driving import drive
from exchanges.test_binance_golden import lines
from frames_path import frames

from wsadapter.config.model import Feed
from wsadapter.events import Depth, Kline, Source, Trade, UpdateType
from wsadapter.events.gaps import RepairState
from wsadapter.exchanges import load, load_rest
from wsadapter.exchanges.binance.spot_rest import DEPTH, KLINES, SYMBOLS, TRADES_FROM, BinanceSpotRest
from wsadapter.exchanges.pages import Page, PageRequest
from wsadapter.exchanges.rest_api import BadAnswer, Hole, Request, Series

WORD = "binance_spot"
MS, US = 1_000_000, 1_000
MINUTE_US = 60_000_000
START_US = 1_791_142_140_000_000
NOW_NS = 1_795_000_000_000_000_000
REST = BinanceSpotRest()


def one(page: Page, body: object, limit: int = 1000) -> Any:
    (event,) = page.parse(PageRequest("BTCUSDT", limit, "1m"), json.dumps(body).encode(), NOW_NS).events
    return event


def candle(opened: int, unit: int = 1) -> list[Any]:
    closes = opened + MINUTE_US - 1 if unit == 1 else opened + 59_999
    return [opened, "1.0", "2.0", "0.5", "1.50", "10", closes, "15.5", 3, "4", "6.2", "0"]


def test_a_recorded_candle() -> None:
    (line,) = [json.loads(each) for each in lines(frames(f"{WORD}/examples_rest.jsonl")) if b"klines" in each]
    row = line["row"]
    found = one(KLINES, [row])

    assert isinstance(found, Kline)
    assert [found.open, found.high, found.low, found.close, found.volume, found.quote_volume] == [*row[1:6], row[7]]
    assert [found.trade_count, found.taker_buy_volume, found.taker_buy_quote_volume] == row[8:11]
    assert (found.open_time_ns, found.close_time_ns) == (row[0] * MS, row[6] * MS)
    assert (found.symbol, found.interval, found.source, found.closed) == ("BTCUSDT", "1m", Source.REST, True)


def test_a_candle_in_microseconds_is_the_same() -> None:
    milli, micro = one(KLINES, [candle(START_US // 1000, unit=1000)]), one(KLINES, [candle(START_US)])

    assert micro == milli
    assert milli.close_time_ns == (START_US + MINUTE_US) * US - MS


def test_a_recorded_book_has_no_time() -> None:
    (line,) = [each for each in lines(frames(f"{WORD}/examples_depth_join.jsonl")) if b"lastUpdateId" in each]
    document = json.loads(line)
    found = one(DEPTH, document, 50)

    assert isinstance(found, Depth)
    assert (found.last_update_id, found.level_limit, found.update_type) == (41603417, 50, UpdateType.SNAPSHOT)
    assert [list(level) for level in zip(found.bid_price, found.bid_quantity, strict=True)] == document["bids"]
    assert [list(level) for level in zip(found.ask_price, found.ask_quantity, strict=True)] == document["asks"]
    assert (found.event_time_ns, found.transaction_time_ns) == (None, None)


class Venue:
    """Minutes and trades without end; trade n at n seconds."""

    def __init__(self, without: frozenset[int] = frozenset()) -> None:
        self.without = without
        self.asked: list[dict[str, str]] = []

    def answer(self, request: Request) -> bytes:
        query = dict(request.query)
        self.asked.append(query)
        rows = self.candles(query) if request.path == "/api/v3/klines" else self.trades(query)
        return json.dumps(rows[: int(query["limit"])]).encode()

    def candles(self, query: dict[str, str]) -> list[Any]:
        first, last = int(query["startTime"]) * 1000, int(query["endTime"]) * 1000
        opens = range(-(-first // MINUTE_US) * MINUTE_US, last + 1, MINUTE_US)
        return [candle(opened) for opened in opens if opened not in self.without]

    def trades(self, query: dict[str, str]) -> list[Any]:
        if "fromId" in query:
            first, last = int(query["fromId"]), int(query["fromId"]) + 2000
        else:
            first, last = -(-int(query["startTime"]) // 1000), int(query["endTime"]) // 1000
        return [
            {"a": n, "p": "1.50", "q": "2", "f": n, "l": n, "T": n * 1_000_000 + 7, "m": False, "M": True}
            for n in range(first, last + 1)
            if n not in self.without
        ]


def test_a_hole_of_candles_is_filled_page_by_page() -> None:
    venue, count = Venue(), 2500
    last = START_US + (count - 1) * MINUTE_US
    ended = (last + MINUTE_US) * US
    filled, made = drive(
        REST.repair(Hole("kline", "BTCUSDT", START_US * US, ended, START_US * US, last * US, "1m")),
        venue.answer,
        NOW_NS,
    )

    assert filled.state is RepairState.REPAIRED
    opens = [each.open_time_ns // US for each in made if isinstance(each, Kline)]
    assert opens == [START_US + n * MINUTE_US for n in range(count)]
    assert len(venue.asked) == 3


def test_candles_of_a_second() -> None:
    begin = 1_791_142_140_000

    def answer(request: Request) -> bytes:
        query = dict(request.query)
        assert query["interval"] == "1s"
        opens = range(-(-int(query["startTime"]) // 1000), int(query["endTime"]) // 1000 + 1)
        rows = [[n * 10**6, "1", "2", "0.5", "1.5", "10", (n + 1) * 10**6 - 1, "5", 3, "4", "6", "0"] for n in opens]
        return json.dumps(rows[: int(query["limit"])]).encode()

    hole = Hole("kline", "BTCUSDT", begin * MS, NOW_NS, begin * MS, (begin + 9_000) * MS, "1s")
    filled, made = drive(REST.repair(hole), answer, NOW_NS)
    assert filled.state is RepairState.REPAIRED
    assert [each.open_time_ns // MS for each in made if isinstance(each, Kline)] == [
        begin + n * 1000 for n in range(10)
    ]


def test_a_candle_that_the_venue_does_not_have_is_named() -> None:
    missing = START_US + MINUTE_US
    venue, last = Venue(frozenset((missing,))), START_US + 3 * MINUTE_US
    hole = Hole("kline", "BTCUSDT", START_US * US, NOW_NS, START_US * US, last * US, "1m")
    filled, made = drive(REST.repair(hole), venue.answer, NOW_NS)

    assert (filled.state, filled.missing, len(made)) == (RepairState.PARTIAL, ((missing * US, missing * US),), 3)


def test_trades_are_filled_by_number_in_microseconds() -> None:
    venue = Venue()
    filled, made = drive(
        REST.repair(Hole("trade", "BTCUSDT", 0, NOW_NS, 1_791_000_001, 1_791_001_500)), venue.answer, NOW_NS
    )

    assert (filled.state, len(made), len(venue.asked)) == (RepairState.REPAIRED, 1500, 2)
    first = made[0]
    assert isinstance(first, Trade)
    assert (first.trade_id, first.price, first.aggregated) == ("1791000001", "1.50", True)
    assert first.transaction_time_ns == 1_791_000_001 * 10**9 + 7_000


def test_trades_whose_numbers_are_not_known_are_found_by_time() -> None:
    venue = Venue()
    hole = Hole("trade", "BTCUSDT", 1_791_000_000 * 10**9, 1_791_000_099 * 10**9)
    filled, made = drive(REST.repair(hole), venue.answer, NOW_NS)

    assert filled.state is RepairState.REPAIRED
    assert [each.trade_number for each in made if isinstance(each, Trade)] == list(range(1_791_000_000, 1_791_000_099))
    assert list(venue.asked[0]) == ["symbol", "startTime", "endTime", "limit"]


def test_raw_trades_are_found_by_time_and_filled_by_number() -> None:
    """Aggregated trade n stands for the raw ones 3 n to 3 n + 2."""
    begin, end, asked = 1_791_000_000, 1_791_000_099, list[Request]()

    def answer(request: Request) -> bytes:
        asked.append(request)
        query = dict(request.query)
        if request.path == "/api/v3/aggTrades":
            first, last = -(-int(query["startTime"]) // 1000), int(query["endTime"]) // 1000
            rows: list[Any] = [
                {"a": n, "p": "1", "q": "3", "f": 3 * n, "l": 3 * n + 2, "T": n * 1_000_000, "m": False}
                for n in range(first, last + 1)
            ]
        else:
            numbers = range(int(query["fromId"]), int(query["fromId"]) + int(query["limit"]))
            rows = [
                {"id": n, "price": "1.50", "qty": "2", "quoteQty": "3", "time": n // 3 * 1_000_000 + n % 3,
                 "isBuyerMaker": True, "isBestMatch": True}
                for n in numbers
            ]  # fmt: skip
        return json.dumps(rows[: int(query["limit"])]).encode()

    hole = Hole("raw_trade", "BTCUSDT", begin * 10**9, end * 10**9)
    filled, made = drive(REST.repair(hole), answer, NOW_NS)

    assert filled.state is RepairState.REPAIRED
    trades = [each for each in made if isinstance(each, Trade)]
    assert [each.trade_number for each in trades] == list(range(3 * (begin - 1), 3 * end + 1)), (
        "a second before it, too"
    )
    assert {(each.aggregated, each.first_trade_id, each.price, each.buyer_is_maker) for each in trades} == {
        (False, None, "1.50", True)
    }
    assert trades[1].transaction_time_ns == (begin - 1) * 10**9 + 1_000
    assert [(request.path.rpartition("/")[2], request.weight) for request in asked] == [
        ("aggTrades", 4), ("historicalTrades", 25),
    ]  # fmt: skip


class Annulled(Venue):
    """Of its aggregated trades this one is annulled."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def trades(self, query: dict[str, str]) -> list[Any]:
        none = {"p": "0.00000000", "q": "0.00000000", "f": -1, "l": -1}
        return [{**each, **none} if each["a"] == self.number else each for each in super().trades(query)]


def test_a_trade_that_the_venue_has_annulled_is_named_and_is_none_at_price_0() -> None:
    first, annulled = 1_791_000_001, 1_791_000_005
    hole = Hole("trade", "BTCUSDT", 0, NOW_NS, first, first + 9)
    filled, made = drive(REST.repair(hole), Annulled(annulled).answer, NOW_NS)

    numbers = [each.trade_number for each in made if isinstance(each, Trade)]
    assert numbers == [n for n in range(first, first + 10) if n != annulled]
    assert (filled.missing, "annulled by the venue" in filled.reason) == (((annulled, annulled),), True)


def test_an_annulled_trade_says_no_number_of_a_raw_one() -> None:
    """Those of a hole begin with the first that is one."""
    begin = 1_791_000_000
    asked = list[Request]()

    def answer(request: Request) -> bytes:
        asked.append(request)
        return Annulled(begin - 1).answer(request) if request.path == "/api/v3/aggTrades" else b"[]"

    drive(REST.repair(Hole("raw_trade", "BTCUSDT", begin * 10**9, (begin + 9) * 10**9)), answer, NOW_NS)

    assert dict(asked[1].query)["fromId"] == str(begin)


def test_raw_trades_of_the_stand_in_are_the_streamed_ones() -> None:
    pair = Pair("binance_spot", streams=("raw_trade",)).open().run(6.0)
    symbol = pair.lines[0].plan.symbols[0]
    streamed = [each for each in pair.events if isinstance(each, Trade) and each.symbol == symbol]
    missing = streamed[len(streamed) // 3 : len(streamed) // 2]
    times = [each.transaction_time_ns or 0 for each in missing]

    def answer(request: Request) -> bytes:
        return pair.answers.answer(request.path, dict(request.query)).body

    _, made = drive(REST.repair(Hole("raw_trade", symbol, times[0], times[-1])), answer, pair.now_ms * MS)
    found = {each.trade_number: each for each in made if isinstance(each, Trade)}
    for each in missing:
        same = found[each.trade_number]
        assert (same.price, same.quantity, same.buyer_is_maker, same.transaction_time_ns, same.aggregated) == (
            each.price, each.quantity, each.buyer_is_maker, each.transaction_time_ns, False,
        )  # fmt: skip


def test_no_trades_in_the_time_of_a_hole() -> None:
    hole = Hole("raw_trade", "BTCUSDT", 1_791_000_000 * 10**9, 1_791_000_099 * 10**9)
    filled, made = drive(REST.repair(hole), lambda request: b"[]", NOW_NS)
    assert (filled.state, made) == (RepairState.REPAIRED, [])


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b"null", b"\xff", b'[["x"]]', b'[{"a":-1}]', json.dumps([candle(1)[:3]]).encode()]
)
def test_an_answer_that_is_none_is_a_bad_one(body: bytes) -> None:
    for page in (KLINES, TRADES_FROM, DEPTH):
        with pytest.raises(BadAnswer):
            page.parse(PageRequest("BTCUSDT", 1000, "1m"), body, NOW_NS)


@pytest.mark.parametrize(
    ("page", "limit", "weight"),
    [(KLINES, 1000, 2), (TRADES_FROM, 1000, 4), (DEPTH, 50, 5), (DEPTH, 500, 25), (DEPTH, 1000, 50)],
)
def test_weights(page: Page, limit: int, weight: int) -> None:
    hole = Hole("kline", "BTCUSDT", 0, 0, interval="1m")
    assert page.fetch(hole, limit, first=0, first_ms=0, last_ms=1).request.weight == weight


PAXG: dict[str, Any] = {
    "symbol": "PAXGUSDT", "status": "TRADING", "baseAsset": "PAXG", "baseAssetPrecision": 8, "quoteAsset": "USDT",
    "quotePrecision": 8, "orderTypes": ["LIMIT"], "isSpotTradingAllowed": True, "permissions": [],
    "permissionSets": [["SPOT", "MARGIN"]],
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.0001", "maxQty": "9000.0", "stepSize": "0.00010000"},
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True, "avgPriceMins": 5},
    ],
}  # fmt: skip


def test_the_listing_weighs_what_the_venue_counts() -> None:
    assert SYMBOLS.request.weight == 20


def test_what_is_traded_is_counted_in_its_base() -> None:
    chinese = {**PAXG, "symbol": "币安人生USDT", "baseAsset": "币安人生", "status": "HALT", "filters": []}
    limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}]
    body = json.dumps({"symbols": [PAXG, chinese, {}], "rateLimits": limits}).encode()
    page = SYMBOLS.parse(body, NOW_NS)
    first, second = page.instruments

    assert (first.symbol, first.base_asset, first.quote_asset, first.status) == ("PAXGUSDT", "PAXG", "USDT", "TRADING")
    assert (first.tick_size, first.step_size, first.min_notional) == ("0.01000000", "0.00010000", "5.00000000")
    assert (first.contract_type, first.margin_asset, first.delivery_time_ns) == (None,) * 3
    assert (first.kind, first.contract_size, first.contract_currency) == ("spot", "1", "PAXG")
    assert (second.symbol, second.status, second.tick_size) == ("币安人生USDT", "HALT", None)
    assert page.weights is not None
    assert page.weights.units == 6000


def test_what_it_refuses() -> None:
    (line,) = [json.loads(each) for each in lines(frames(f"{WORD}/examples_rest.jsonl")) if b"Invalid" in each]
    refusal: Callable[[int, bytes], Any] = REST.refusal
    found = refusal(line["status"], json.dumps(line["body"]).encode())

    assert (found.code, found.message, found.kind) == (-1121, "Invalid symbol.", "final")
    assert refusal(429, b'{"code":-1003,"msg":"Too much request weight used."}').kind == "limited"
    assert refusal(503, b'{"code":-1008,"msg":"Server is currently overloaded."}').kind == "again"
    assert refusal(403, b"<html>The request could not be satisfied</html>") is None
    assert refusal(200, b"[]") is None


def test_addresses_series_and_headers() -> None:
    rest = load_rest(WORD)
    assert isinstance(rest, BinanceSpotRest)
    assert rest.headers == {"X-MBX-TIME-UNIT": "MICROSECOND"}
    assert (rest.base(False), rest.base(True)) == ("https://api.binance.com", "https://testnet.binance.vision")
    streams = ("depth", "trade", "raw_trade", "kline")
    (plan,) = load(WORD).plan(Feed("s", WORD, ("BTCUSDT",), streams, depth_levels=20))
    assert set(rest.series(plan)) == {
        Series("depth", "BTCUSDT", levels=20), Series("trade", "BTCUSDT"), Series("raw_trade", "BTCUSDT"),
        Series("kline", "BTCUSDT", "1m"),
    }  # fmt: skip


def test_a_symbol_that_is_not_ascii_is_asked_for_as_it_is() -> None:
    fetch = KLINES.fetch(Hole("kline", "币安人生USDT", 0, 0, interval="1m"), 5, first_ms=1, last_ms=2)

    assert dict(fetch.request.query)["symbol"] == "币安人生USDT"
