"""Bybit's three markets beside each other: what each offers, what it counts in, its REST side, damaged frames."""

import json
import random
from typing import Any

import pytest
from exchanges.driving import drive
from exchanges.fuzzing import check, mutated
from exchanges.test_bybit_golden import LINES, WORDS, market_of, session
from exchanges.test_bybit_rest import answer
from frames_path import frames

from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import BookTicker, Depth, Kline, OpenInterest, Ticker, Trade
from wsadapter.exchanges import load, load_rest
from wsadapter.exchanges.bybit_rest import (
    INVERSE,
    LINEAR,
    PAIRS,
    SPOT,
    BybitInverseRest,
    BybitRest,
    BybitSpotRest,
    Market,
    contracts,
    last_trades,
)
from wsadapter.exchanges.intervals import MINUTES
from wsadapter.exchanges.pages import PageRequest
from wsadapter.exchanges.rest_api import Hole, Request
from wsadapter.exchanges.venue import Bad, Item

AT = 1_790_000_000_000_000_000
MS = 1_000_000
MARKETS = ("bybit", "bybit_inverse", "bybit_spot")
SENT = 1_790_000_000_000


def frame(topic: str, data: object, kind: str = "snapshot") -> bytes:
    return json.dumps({"topic": topic, "type": kind, "ts": SENT, "cts": SENT - 1, "data": data}).encode()


def touch(u: int, bids: list[list[str]], asks: list[list[str]]) -> bytes:
    return frame("orderbook.1.BTCUSDT", {"s": "BTCUSDT", "b": bids, "a": asks, "u": u, "seq": 1})


@pytest.mark.parametrize(("word", "root"), [("bybit_inverse", "inverse"), ("bybit_spot", "spot"), ("bybit", "linear")])
def test_each_market_has_an_address_of_its_own(word: str, root: str) -> None:
    for testnet, host in ((False, "stream.bybit.com"), (True, "stream-testnet.bybit.com")):
        (plan,) = load(word).plan(Feed("b", word, ("btcusd",), WORDS[word], ("1m",), testnet=testnet))
        assert (plan.url, plan.connection) == (f"wss://{host}/v5/public/{root}", f"b-{root}-0")
        assert plan.exchange == word
        assert plan.symbols == ("BTCUSD",)


def test_what_each_market_offers() -> None:
    names = {
        word: [each.name for each in load(word).plan(Feed("b", word, ("X",), WORDS[word], ("1M",)))[0].subscriptions]
        for word in MARKETS
    }
    contract = ["publicTrade.X", "orderbook.50.X", "kline.M.X", "tickers.X", "allLiquidation.X"]

    assert names["bybit"] == names["bybit_inverse"] == contract
    assert names["bybit_spot"] == ["orderbook.1.X", "tickers.X", "publicTrade.X", "orderbook.50.X", "kline.M.X"]


@pytest.mark.parametrize("word", ["mark_price", "funding_rate", "open_interest", "liquidation", "raw_trade"])
def test_what_spot_lacks_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        load("bybit_spot").plan(Feed("b", "bybit_spot", ("BTCUSDT",), (word,)))


@pytest.mark.parametrize("word", MARKETS)
@pytest.mark.parametrize("interval", ["8h", "3d", "2m"])
def test_an_interval_that_there_is_not_is_refused_with_those_that_there_are(word: str, interval: str) -> None:
    with pytest.raises(ConfigError, match=f"{interval}.*1m 3m 5m 15m 30m 1h 2h 4h 6h 12h 1d 1w 1M"):
        load(word).plan(Feed("b", word, ("BTCUSDT",), ("kline",), (interval,)))


def test_a_connection_asks_for_21000_octets_at_most() -> None:
    symbols = tuple(f"1000000LONGNAME{number:03}USDT" for number in range(300))
    plans = load("bybit").plan(Feed("b", "bybit", symbols, ("depth", "trade"), depth_levels=1000))

    assert len(plans) > 1
    assert sum(len(plan.subscriptions) for plan in plans) == 600
    for plan in plans:
        assert len(json.dumps([each.name for each in plan.subscriptions])) <= 21_000


def test_quotes_of_spot() -> None:
    made = session("bybit_spot", "BTCUSDT")
    (both,) = made.receive(touch(7, [["63705.3", "2.045546"]], [["63705.4", "2.334566"]]), AT)
    (one,) = made.receive(touch(8, [], [["63705.40", "2"]]), AT)

    assert isinstance(both, BookTicker)
    assert (both.bid_price, both.bid_quantity, both.ask_price, both.update_id) == ("63705.3", "2.045546", "63705.4", 7)
    assert (both.event_time_ns, both.transaction_time_ns) == (SENT * MS, (SENT - 1) * MS)
    assert isinstance(one, BookTicker)
    assert (one.bid_price, one.bid_quantity, one.ask_price) == (None, None, "63705.40")
    assert [type(item) for item in made.receive(touch(8, [], []), AT)] == [BookTicker]
    assert made.out_of_order["book_ticker"] == 1


@pytest.mark.parametrize("bids", [[["1", "1e500"]], [["nan", "1"]], [["1"]], [[]], "no", [["-1", "1"]]])
def test_bad_quotes_of_spot_cost_only_themselves(bids: Any) -> None:
    made = session("bybit_spot", "BTCUSDT")

    assert [type(item) for item in made.receive(touch(1, bids, []), AT)] == [Bad]
    assert BookTicker in [type(item) for item in made.receive(touch(2, [], []), AT)]


def test_a_ticker_of_spot_is_whole_each_time() -> None:
    made = session("bybit_spot", "BTCUSDT")
    data = {"symbol": "BTCUSDT", "lastPrice": "64057.70", "turnover24h": "460629823.77866687", "volume24h": "7217.9"}
    for _ in range(2):
        (ticker,) = made.receive(frame("tickers.BTCUSDT", data), AT)
        assert isinstance(ticker, Ticker)
        assert (ticker.last_price, ticker.quote_volume, ticker.high) == ("64057.70", "460629823.77866687", None)
    del data["lastPrice"]
    assert [type(item) for item in made.receive(frame("tickers.BTCUSDT", data), AT)] == [Bad]


def book(u: int, kind: str = "delta") -> bytes:
    return frame("orderbook.50.BTCUSDT", {"s": "BTCUSDT", "b": [["1.10", "0"]], "a": [], "u": u, "seq": 5}, kind)


@pytest.mark.parametrize("word", MARKETS)
def test_a_break_asks_for_that_book_alone(word: str) -> None:
    made = session(word, "BTCUSDT")
    assert [type(item) for item in made.receive(book(7, "snapshot"), AT)] == [Depth]
    assert [type(item) for item in made.receive(book(8), AT)] == [Depth]
    bad, reply = made.receive(book(10), AT + 1)
    kinds = [type(item).__name__ for item in made.receive(book(20, "snapshot"), AT + 2)]

    assert isinstance(bad, Bad)
    assert json.loads(reply.payload)["args"] == ["orderbook.50.BTCUSDT"]  # type: ignore[union-attr]
    assert kinds == ["Gap", "Depth"]


def test_what_inverse_contracts_count_is_dollars_and_their_turnover_is_not() -> None:
    row = {"start": SENT, "end": SENT + 59_999, "interval": "1", "open": "1", "close": "1", "high": "1", "low": "1",
           "volume": "823112", "turnover": "9.79", "confirm": True, "timestamp": 1}  # fmt: skip
    found: dict[str, Kline] = {}
    for word in MARKETS:
        (candle,) = session(word, "BTCUSD").receive(frame("kline.1.BTCUSD", [row]), AT)
        assert isinstance(candle, Kline)
        found[word] = candle
        assert (candle.volume, candle.closed) == ("823112", True)

    assert [found[word].quote_volume for word in MARKETS] == ["9.79", None, "9.79"]
    state = {"symbol": "BTCUSD", "openInterest": "449736676", "openInterestValue": "15747.08"}
    (interest,) = session("bybit_inverse", "BTCUSD").receive(frame("tickers.BTCUSD", state), AT)
    assert isinstance(interest, OpenInterest)
    assert (interest.open_interest, interest.open_interest_value) == ("449736676", None)


# ------------------------------------------------------------------------------------------------------------ over REST


def rest_of(word: str) -> BybitRest:
    rest = load_rest(word)
    assert isinstance(rest, BybitRest)
    return rest


def test_every_market_asks_for_its_own_category() -> None:
    for word, category in zip(MARKETS, ("linear", "inverse", "spot"), strict=True):
        rest = rest_of(word)
        asked: list[Request] = []

        def answering(request: Request, asked: list[Request] = asked) -> bytes:
            asked.append(request)
            return answer({"list": []})

        for stream in ("trade", "kline", "funding_rate"):
            if stream in rest.repairs:
                hole = Hole(stream, "BTCUSD", (SENT - 7_200_000) * MS, SENT * MS, interval="1h")
                drive(rest.repair(hole), answering, AT)
        asked += [listing.request for listing in rest.listings]
        assert {dict(request.query)["category"] for request in asked} == {category}
        assert rest.base(False) == "https://api.bybit.com"
        assert rest.base(True) == "https://api-testnet.bybit.com"


def test_what_each_market_keeps() -> None:
    assert set(rest_of("bybit_spot").repairs) == {"trade", "kline", "depth"}
    assert set(rest_of("bybit").repairs) == set(rest_of("bybit_inverse").repairs) == {*SPOT_KEEPS, "funding_rate"}
    with pytest.raises(LookupError):
        BybitSpotRest().open_interest("BTCUSDT")


SPOT_KEEPS = {"trade", "kline", "depth"}


@pytest.mark.parametrize(("market", "limit"), [(LINEAR, "1000"), (INVERSE, "1000"), (SPOT, "60")])
def test_the_newest_page_of_trades_is_as_long_as_the_venue_makes_it(market: Market, limit: str) -> None:
    assert dict(last_trades(market).fetch(Hole("trade", "X", 0, 1)).request.query)["limit"] == limit


def test_recorded_trades_of_spot_over_rest() -> None:
    for line in frames("bybit_spot/examples_rest_recent_trade.jsonl").read_bytes().splitlines():
        said = json.loads(line)["result"]["list"]
        trades: list[Trade] = last_trades(SPOT).parse(PageRequest("BTCUSDC", 60), line, AT).events
        assert [(t.exchange, t.trade_id, t.price, t.quantity, t.transaction_time_ns) for t in trades] == [
            ("bybit_spot", row["execId"], row["price"], row["size"], int(row["time"]) * MS) for row in reversed(said)
        ]
        assert all(trade.trade_number is None and trade.source == 2 for trade in trades)


def documented(fragment: bytes) -> list[bytes]:
    """Documented answers with this in them."""
    files = ("docs_examples", "nautilus_rest_fixtures")
    found = [line for name in files for line in frames(f"bybit_linear/{name}.jsonl").read_bytes().splitlines()]
    return [line for line in found if b'"retCode"' in line and fragment in line]


def test_documented_candles_of_inverse() -> None:
    (line,) = documented(b'"268611"')
    rest, begin = BybitInverseRest(), 1_670_601_600_000
    hole = Hole("kline", "BTCUSD", 0, 0, begin * MS, (begin + 7_200_000) * MS, "1h")
    filled, events = drive(rest.repair(hole), lambda _: line, AT)

    assert (filled.state, len(events)) == ("repaired", 3)
    candles = [event for event in events if isinstance(event, Kline)]
    for candle, row in zip(candles, reversed(json.loads(line)["result"]["list"]), strict=True):
        assert (candle.exchange, candle.quote_volume) == ("bybit_inverse", None)
        assert [candle.open, candle.high, candle.low, candle.close, candle.volume] == row[1:6]
        assert candle.open_time_ns == int(row[0]) * MS


def test_documented_open_interest_of_inverse() -> None:
    (line,) = documented(b'"singleOpenInterest"')
    document = json.loads(line)
    document["result"]["list"] = document["result"]["list"][:1]
    event = BybitInverseRest().parse_open_interest("BTCUSD", json.dumps(document).encode(), AT)

    assert (event.exchange, event.open_interest) == ("bybit_inverse", "63910691.00000000")


def test_documented_books() -> None:
    for word in MARKETS:
        (line, *_) = documented(b'"u":230704')
        _, (found,) = drive(rest_of(word).repair(Hole("depth", "BTCUSDT", 0, 1)), lambda _, line=line: line, AT)  # type: ignore[misc]
        assert isinstance(found, Depth)
        assert (found.exchange, found.last_update_id, list(found.bid_quantity)) == (word, 230704, ["47.081829"])


def test_documented_instruments() -> None:
    inverse = contracts(INVERSE, "quoteCoin")
    rows = [row for line in documented(b'"InversePerpetual"') for row in inverse.parse(line, AT).instruments]
    assert [(row.symbol, row.contract_size, row.contract_currency, row.margin_asset) for row in rows] == [
        ("BTCUSD", "1", "USD", "BTC"), ("BRENTUSD", "1", "USD", "BRENT"),
    ]  # fmt: skip
    assert (rows[1].onboard_time_ns, rows[1].delivery_time_ns) == (None, None), "0 is none"
    pairs = [row for line in documented(b'"basePrecision"') for row in PAIRS.parse(line, AT).instruments]
    assert [(row.symbol, row.tick_size, row.step_size, row.min_notional) for row in pairs] == [
        ("BTCUSDT", "0.1", "0.0001", "10"), ("ETHUSDT", "0.01", "0.00001", "10"), ("AAPLUSDT", "0.01", "0.0001", "10"),
    ]  # fmt: skip
    assert {row.exchange for row in pairs} == {"bybit_spot"}


@pytest.mark.parametrize(
    ("told", "most"),
    [
        ({"maxOrderQty": "71.7", "maxLimitOrderQty": "83", "maxMarketOrderQty": "41.5"}, "83"),
        ({"maxOrderQty": "71.7"}, "71.7"),
        ({}, None),
    ],
)
def test_sizes_of_an_order_of_spot_are_those_that_the_venue_checks(told: dict[str, str], most: str | None) -> None:
    sizes = {"basePrecision": "0.000001", "minOrderQty": "0.000011", "minOrderAmt": "5", **told}
    row = {"symbol": "BTCUSDT", "status": "Trading", "baseCoin": "BTC", "quoteCoin": "USDT", "lotSizeFilter": sizes}
    (pair,) = PAIRS.parse(answer({"list": [row | {"priceFilter": {"tickSize": "0.1"}}]}), AT).instruments

    assert (pair.min_quantity, pair.max_quantity, pair.min_notional) == (None, most, "5")


def test_a_listing_of_several_pages_is_followed() -> None:
    (page, *_) = documented(b'"TSLAUSDT"')
    more = page.replace(b'"nextPageCursor":""', b'"nextPageCursor":"first%3DTSLAUSDT%26last%3DX"')
    linear = contracts(LINEAR, "baseCoin")
    following = linear.parse(more, AT).following

    assert following is not None
    assert dict(following.query)["cursor"] == "first=TSLAUSDT&last=X", "encoded once, not twice"
    assert linear.parse(page, AT).following is None


# ------------------------------------------------------------------------------------------------------- damaged frames


@pytest.mark.parametrize("word", MARKETS)
def test_damaged_frames_raise_nothing_and_give_nothing_false(word: str) -> None:
    samples = [line for directory, _, line in LINES if market_of(directory, json.loads(line)) == word]
    samples += [book(7, "snapshot"), book(8), touch(9, [["1", "2"]], [])]
    dice = random.Random(11)
    made = session(word, "BTCUSDT")
    bad = 0
    for number in range(4000):
        items: list[Item] = made.receive(memoryview(mutated(dice.choice(samples), dice)), AT + number)
        check(items, {"BTCUSDT"})
        bad += any(isinstance(item, Bad) for item in items)
    assert bad > 1000
    assert set(MINUTES) - rest_of(word).intervals == {"8h", "3d"}


def test_books_of_other_levels_are_read_beside_the_one_that_was_asked_for() -> None:
    made = session("bybit", "BTCUSDT")
    data = {"s": "BTCUSDT", "b": [["1.10", "7"]], "a": [], "seq": 5}
    frames = [(50, 7, "snapshot"), (1, 900, "snapshot"), (50, 8, "delta"), (200, 3, "delta"), (1, 901, "delta")]
    found = [
        item
        for levels, u, kind in frames
        for item in made.receive(frame(f"orderbook.{levels}.BTCUSDT", {**data, "u": u}, kind), AT)
    ]

    assert [(item.level_limit, item.last_update_id) for item in found if isinstance(item, Depth)] == [
        (50, 7), (1, 900), (0, 8), (0, 3), (0, 901),
    ]  # fmt: skip
    assert len(found) == 5, "no gap, nothing lost"
