"""Kraken over REST: pages of trades that go on by a cursor, the newest candles, pairs by their own names, errors."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from exchanges.driving import drive
from frames_path import frames

from wsadapter.config.model import Feed
from wsadapter.events import Kline, MarketEvent, Source, Trade
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.kraken import Kraken
from wsadapter.exchanges.kraken_rest import KLINES, PAIRS, TRADES, KrakenRest
from wsadapter.exchanges.pages import PageRequest
from wsadapter.exchanges.rest_api import BadAnswer, Filled, Hole, Request, RequestRefused, Series

S = 1_000_000_000
START_S = 1_790_000_040
NOW_NS = 1_795_000_000 * S
REST = KrakenRest()


def answer(rows: Sequence[Any], last: Any = "0") -> bytes:
    return json.dumps({"error": [], "result": {"BTC/USD": list(rows), "last": last}}).encode()


def candle_row(at_s: int) -> list[Any]:
    return [at_s, "1.0", "2.0", "0.5", "1.50", "1.2", "10.00000000", 7]


class Venue:
    """A trade a second, ten alike in time; a candle a minute, the newest 720 of which it gives."""

    def __init__(self, trades: int = 0, page: int = 1000, now_s: int = START_S + 600_000) -> None:
        self.page, self.now_s = page, now_s
        self.trades = [(number, START_S * S + number // 10 * 10 * S + 123_456_789) for number in range(1, trades + 1)]
        self.asked: list[dict[str, str]] = []
        self.rows: dict[int, list[Any]] = {}

    def answer(self, request: Request) -> bytes:
        query = dict(request.query)
        self.asked.append(query)
        assert query["pair"] == "BTC/USD"
        return self.ohlc(query) if request.path == "/0/public/OHLC" else self.trades_since(query)

    def ohlc(self, query: dict[str, str]) -> bytes:
        open_s = self.now_s // 60 * 60
        times = [at for at in range(open_s - 719 * 60, open_s + 1, 60) if at > int(query["since"])]
        return answer([candle_row(at) for at in times], open_s - 60)

    def trades_since(self, query: dict[str, str]) -> bytes:
        assert query["count"] == "1000"
        since = int(query["since"])
        some = [trade for trade in self.trades if trade[1] > since]
        if len(some) > self.page:  # which ends with a whole nanosecond
            until = some[self.page][1]
            some = [trade for trade in some if trade[1] < until] or [trade for trade in some if trade[1] == until]
        last = str(some[-1][1]) if some else query["since"]
        rows = [
            self.rows.get(n, ["83930.30000", "0.00005100", float(f"{at / S:.7f}"), "s", "l", "", n]) for n, at in some
        ]
        return answer(rows, last)

    def fill(self, hole: Hole) -> tuple[Filled, list[MarketEvent]]:
        filled, events = drive(REST.repair(hole), self.answer, self.now_s * S)
        assert filled.published == len(events)
        return filled, events


def numbers(events: Sequence[MarketEvent]) -> list[int]:
    return [event.trade_number or 0 for event in events if isinstance(event, Trade)]


def trades(first: int | None, last: int | None, started_s: int = 0, ended_s: int = 1 << 20) -> Hole:
    return Hole("trade", "BTC/USD", (START_S + started_s) * S, (START_S + ended_s) * S, first, last)


@pytest.mark.parametrize("page", [1, 7, 20, 1000])
def test_missing_trades_come_page_by_page(page: int) -> None:
    venue = Venue(trades=95, page=page)
    filled, events = venue.fill(trades(31, 74, 30, 80))

    assert (filled.state, filled.missing) == ("repaired", ())
    assert numbers(events) == list(range(31, 75))
    assert venue.asked[0]["since"] == str((START_S + 20) * S), "a little earlier: by our clock"
    first = events[0]
    assert isinstance(first, Trade)
    assert (first.trade_id, first.price, first.quantity, first.buyer_is_maker, first.source) == (
        "31", "83930.30000", "0.00005100", True, Source.REST,
    )  # fmt: skip
    assert first.transaction_time_ns == (START_S + 30) * S + 123_456_000, "cut as in the stream"


def test_a_hole_that_our_clock_dates_too_late_is_looked_for_earlier() -> None:
    venue = Venue(trades=2000)
    filled, events = venue.fill(trades(31, 40, 500, 510))

    assert (filled.state, numbers(events)) == ("repaired", list(range(31, 41)))
    assert [int(query["since"]) // S - START_S for query in venue.asked] == [490, 200, -8500]


def test_trades_by_time() -> None:
    venue = Venue(trades=95, page=7)
    filled, events = venue.fill(trades(None, None, 30, 59))

    assert (filled.state, numbers(events)) == ("repaired", list(range(30, 60)))
    assert venue.fill(trades(None, None, 300, 310)) == (Filled(filled.state, 0), [])


def test_trades_that_the_venue_does_not_have_are_named() -> None:
    venue = Venue(trades=95)
    del venue.trades[49:52]
    filled, events = venue.fill(trades(45, 60, 40, 70))
    assert (filled.state, filled.missing, len(events)) == ("partial", ((50, 52),), 13)

    filled, events = Venue(trades=95).fill(trades(90, 120, 90, 130))
    assert (filled.state, filled.missing, numbers(events)) == ("partial", ((96, 120),), [90, 91, 92, 93, 94, 95])
    assert Venue().fill(trades(90, 120, 90, 130))[0].missing == ((90, 120),)


def test_a_trade_that_cannot_be_read_is_missing_alone() -> None:
    venue = Venue(trades=95)
    venue.rows[50] = ["NaN", "1", 1.5, "s", "l", "", 50]
    filled, events = venue.fill(trades(45, 60, 40, 70))

    assert (filled.state, filled.missing, len(events)) == ("partial", ((50, 50),), 15)
    assert filled.reason


def test_pages_that_do_not_go_on_end() -> None:
    class Stuck(Venue):
        def trades_since(self, query: dict[str, str]) -> bytes:
            return answer([["1.0", "1.0", 1.5, "b", "l", "", 31]], "5")

    venue = Stuck()
    filled, _ = venue.fill(trades(31, 40))
    assert (filled.state, filled.missing, len(venue.asked)) == ("partial", ((32, 40),), 2)


def candles(first_s: int | None, last_s: int | None, started_s: int = 0, ended_s: int = 0) -> Hole:
    first, last = (None if each is None else each * S for each in (first_s, last_s))
    return Hole("kline", "BTC/USD", started_s * S, ended_s * S, first, last, "1m")


def test_missing_candles() -> None:
    venue = Venue(now_s=START_S + 6000)
    filled, events = venue.fill(candles(START_S, START_S + 600))

    assert filled.state == "repaired"
    assert [e.open_time_ns // S - START_S for e in events if isinstance(e, Kline)] == list(range(0, 601, 60))
    first = events[0]
    assert isinstance(first, Kline)
    assert (first.open, first.high, first.low, first.close, first.volume, first.trade_count, first.closed) == (
        "1.0", "2.0", "0.5", "1.50", "10.00000000", 7, True,
    )  # fmt: skip
    assert first.close_time_ns == (START_S + 60) * S - 1_000_000
    assert (venue.asked[0]["interval"], venue.asked[0]["since"]) == ("1", str(START_S - 1))
    assert "limit" not in venue.asked[0]


def test_candles_that_are_older_than_the_newest_720_are_gone() -> None:
    filled, events = Venue(now_s=START_S + 600 + 719 * 60).fill(candles(START_S, START_S + 1200))
    first_left = START_S + 600
    assert (filled.state, len(events)) == ("partial", 11)
    assert filled.missing == ((START_S * S, (first_left - 60) * S),)
    filled, events = Venue(now_s=START_S + 6000 + 719 * 60).fill(candles(START_S, START_S + 1200))
    assert (filled.state, len(events)) == ("unrepairable", 0)


def test_by_time_too_what_is_older_than_the_newest_720_is_named() -> None:
    begin_s = START_S + 30
    now_s = begin_s + 48 * 3600
    first_left = now_s // 60 * 60 - 719 * 60
    filled, events = Venue(now_s=now_s).fill(candles(None, None, begin_s, now_s))
    assert (filled.state, len(events)) == ("partial", 719)
    assert filled.missing == ((START_S * S, (first_left - 60) * S),), "from the first that closes in it"

    filled, events = Venue(now_s=now_s).fill(candles(None, None, begin_s, begin_s + 3600))
    assert (filled.state, len(events)) == ("unrepairable", 0), "all of it is older"
    filled, events = Venue(now_s=now_s).fill(candles(None, None, first_left + 59, now_s))
    assert (filled.state, len(events), filled.missing) == ("repaired", 719, ())
    filled, events = Venue(now_s=now_s).fill(candles(None, None, now_s - 10, now_s))
    assert (filled.state, len(events)) == ("repaired", 0), "none closes in it"


def test_a_candle_that_is_still_open_is_waited_for() -> None:
    with pytest.raises(BadAnswer, match="not closed"):
        Venue(now_s=START_S + 30).fill(candles(START_S, START_S))
    filled, events = Venue(now_s=START_S + 90).fill(candles(START_S, START_S))
    assert (filled.state, len(events)) == ("repaired", 1)


@pytest.mark.parametrize("stream", ["depth", "ticker", "book_ticker", "open_interest"])
def test_streams_without_a_history_have_no_repair(stream: str) -> None:
    assert REST.repair(Hole(stream, "BTC/USD", 0, 1)) is None
    assert REST.repair(Hole("kline", "BTC/USD", 0, 1, interval="3m")) is None


def test_what_is_refused_ends_the_repair() -> None:
    filled, events = drive(REST.repair(trades(5, 9)), lambda _: RequestRefused("EQuery:Unknown asset pair"), NOW_NS)

    assert (filled.state, filled.missing, events) == ("unrepairable", ((5, 9),), [])


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":["EQuery:Unknown asset pair"],"result":null}', b'{"error":[],"result":{}}', b'{"error":[]}', b"",
        b'{"error":[],"result":{"a":[],"b":[],"last":"1"}}', b'{"error":[],"result":{"a":5,"last":"1"}}', b"\xff",
        b"[" * 100_000, answer([["1"]]), answer([5]), b'{"error":5}', b'{"error":[],"result":{"a":[],"last":{}}}',
    ],
)  # fmt: skip
def test_bad_answers_raise_nothing_else(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        TRADES.parse(PageRequest("BTC/USD", 1000), body, NOW_NS)
    if b'"a":[]' not in body:
        with pytest.raises(BadAnswer):
            KLINES.parse(PageRequest("BTC/USD", 720, "1m"), body, NOW_NS)
    with pytest.raises(BadAnswer):
        PAIRS.parse(body if body[:1] != b"{" or b'"result":{}' not in body else b"{}", NOW_NS)


@pytest.mark.parametrize(
    ("text", "code", "kind"),
    [
        ("EQuery:Unknown asset pair", "EQuery:Unknown asset pair", "final"),
        ("EGeneral:Invalid arguments", "EGeneral:Invalid arguments", "final"),
        ("EGeneral:Too many requests", "EGeneral:Too many requests", "limited"),
        ("EAPI:Rate limit exceeded", "EAPI:Rate limit exceeded", "limited"),
        ("EService: Throttled: 1790000000", "EService:Throttled", "limited"),
        ("EService:Unavailable", "EService:Unavailable", "again"),
    ],
)
def test_an_error_says_what_it_is_about(text: str, code: str, kind: str) -> None:
    refusal = REST.refusal(200, json.dumps({"error": ["WGeneral:Danger", text], "result": None}).encode())

    assert refusal is not None
    assert (refusal.code, refusal.message, refusal.kind) == (code, text, kind)


def test_what_is_no_error_of_the_api() -> None:
    assert REST.refusal(200, answer([])) is None
    assert REST.refusal(200, b'{"error":["WGeneral:Danger"],"result":{}}') is None
    assert REST.refusal(520, b"<html>") is None


# ------------------------------------------------------------------------------------------------- recorded answers


def recorded(path: str) -> list[Any]:
    """With the text of each number in its place, and as they came."""
    lines = frames("kraken/examples_rest.jsonl").read_bytes().splitlines()
    return [(json.loads(line, parse_float=str, parse_int=str), json.loads(line)) for line in lines
            if json.loads(line)["path"].endswith(path)]  # fmt: skip


def test_recorded_candles() -> None:
    ((said, document),) = recorded("OHLC")
    rows = KLINES.parse(PageRequest("BTC/USD", 720, "1h"), json.dumps(document["body"]).encode(), NOW_NS)

    for candle, row in zip(rows.events, said["body"]["result"]["BTC/USD"], strict=True):
        assert [str(candle.open_time_ns // S), candle.open, candle.high, candle.low, candle.close] == row[:5]
        assert [candle.volume, str(candle.trade_count)] == row[6:]
        assert candle.close_time_ns - candle.open_time_ns == 3600 * S - 1_000_000


def test_recorded_trades() -> None:
    ((said, document),) = recorded("Trades")
    rows = TRADES.parse(PageRequest("BTC/USD", 1000), json.dumps(document["body"]).encode(), NOW_NS)

    assert rows.cursor == "1790359841138228746"
    for trade, row in zip(rows.events, said["body"]["result"]["BTC/USD"], strict=True):
        assert [trade.price, trade.quantity, trade.trade_id, str(trade.trade_number)] == [
            row[0],
            row[1],
            row[6],
            row[6],
        ]
        assert trade.buyer_is_maker is (row[3] == "s")
        second, fraction = row[2].split(".")
        assert str(trade.transaction_time_ns) == f"{second}{fraction[:6]}000"


def test_recorded_pairs_have_the_names_of_the_stream() -> None:
    ((_, document),) = recorded("AssetPairs")
    old = {"XDGUSD": document["pair"]["XXBTZUSD"] | {"wsname": "XDG/XBT", "lot_decimals": 0, "status": "cancel_only"}}
    body = json.dumps({"error": [], "result": document["pair"] | old | {"bad": {"wsname": 5}}}).encode()
    btc, doge = PAIRS.parse(body, NOW_NS).instruments

    assert (btc.symbol, btc.base_asset, btc.quote_asset, btc.status) == ("BTC/USD", "BTC", "USD", "online")
    assert (btc.tick_size, btc.step_size, btc.min_quantity, btc.min_notional) == ("0.1", "0.00000001", "0.00005", "0.5")
    assert (btc.contract_type, btc.max_quantity, btc.contract_size, btc.contract_currency) == (None, None, "1", "BTC")
    assert (doge.symbol, doge.step_size, doge.status) == ("DOGE/BTC", "1", "cancel_only")


def test_a_recorded_error() -> None:
    ((_, document),) = recorded("any")
    refusal = REST.refusal(document["status"], json.dumps(document["body"]).encode())

    assert refusal is not None
    assert (refusal.message, refusal.kind) == ("EQuery:Unknown asset pair", "final")
    assert load_rest("kraken") is not None
    assert REST.base(testnet=False) == "https://api.kraken.com"


def test_series_are_the_words_that_were_asked_for() -> None:
    plans = Kraken.plan(Feed("k", "kraken", ("BTC/USD",), ("trade", "kline", "book_ticker"), intervals=("5m",)))

    assert [series for plan in plans for series in REST.series(plan)] == [
        Series("trade", "BTC/USD"), Series("book_ticker", "BTC/USD"), Series("kline", "BTC/USD", "5m"),
    ]  # fmt: skip
