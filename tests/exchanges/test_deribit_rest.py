"""Deribit over REST: trades by their sequence, candles as columns, books, what is traded, errors."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from exchanges.driving import drive
from frames_path import frames

from wsadapter.config.model import Feed
from wsadapter.events import Depth, FundingRate, Kline, MarketEvent, Source, Trade, UpdateType
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.deribit import Deribit
from wsadapter.exchanges.deribit_rest import BY_SEQUENCE, INSTRUMENTS, KLINES, DeribitRest
from wsadapter.exchanges.pages import PageRequest
from wsadapter.exchanges.rest_api import BadAnswer, Filled, Hole, Request, Series, canonical_name

MS = 1_000_000
MINUTE_MS = 60_000
START_MS = 1_790_000_040_000
NOW_NS = 1_795_000_000_000 * MS
PERPETUAL = "BTC-PERPETUAL"
REST = DeribitRest()


def answer(result: str, us: int = (START_MS + 10**9) * 1000) -> bytes:
    return f'{{"jsonrpc":"2.0","result":{result},"usIn":1,"usOut":{us},"usDiff":5,"testnet":false}}'.encode()


def refused(code: int, message: str = "Invalid params", **data: str) -> bytes:
    error = {"code": code, "message": message, **({"data": data} if data else {})}
    return json.dumps({"jsonrpc": "2.0", "error": error, "usIn": 1, "usOut": 2, "testnet": False}).encode()


class Venue:
    """Trades by sequence and time, minutes without end; answers as the documentation says."""

    def __init__(self, sequences: Sequence[int] = (), without: Sequence[int] = ()) -> None:
        self.sequences, self.without = sequences, without
        self.asked: list[dict[str, str]] = []

    def answer(self, request: Request) -> bytes:
        query = dict(request.query)
        self.asked.append(query)
        assert query["instrument_name"] == PERPETUAL
        asked = request.path.removeprefix("/api/v2/public/")
        return answer(self.candles(query) if asked == "get_tradingview_chart_data" else self.trades(query))

    def trades(self, query: dict[str, str]) -> str:
        assert query["sorting"] == "asc"
        first = int(query.get("start_seq", 0))
        begin, end = int(query.get("start_timestamp", 0)), int(query.get("end_timestamp", 1 << 60))
        found = [each for each in self.sequences if each >= first and begin <= self.time(each) <= end]
        rows = [
            f'{{"trade_seq":{n},"trade_id":"ETH-{n}","timestamp":{self.time(n)},"price":9.2288e4,"amount":10.0,'
            f'"direction":"sell","instrument_name":"{PERPETUAL}","tick_direction":2}}'
            for n in found[: int(query["count"])]
        ]
        return f'{{"trades":[{",".join(rows)}],"has_more":{json.dumps(len(found) > len(rows))}}}'

    @staticmethod
    def time(number: int) -> int:
        return START_MS + number * 10

    def candles(self, query: dict[str, str]) -> str:
        first, last = int(query["start_timestamp"]), int(query["end_timestamp"])
        times = range(-(-first // MINUTE_MS) * MINUTE_MS, last + 1, MINUTE_MS)
        kept = [ms for ms in times if ms not in self.without][-5000:]
        columns = {"ticks": kept, **{name: [1.5] * len(kept) for name in ("open", "high", "low", "close", "volume")},
                   "cost": [2.2e3] * len(kept)}  # fmt: skip
        return json.dumps({"status": "ok" if kept else "no_data", **columns})

    def fill(self, hole: Hole) -> tuple[Filled, list[MarketEvent]]:
        filled, events = drive(REST.repair(hole), self.answer, NOW_NS)
        assert filled.published == len(events)
        return filled, events


def trades(first: int | None, last: int | None, started: int = 0, ended: int = 10**6) -> Hole:
    return Hole("trade", PERPETUAL, Venue.time(started) * MS, Venue.time(ended) * MS, first, last)


def test_missing_trades_come_by_their_sequence_page_by_page() -> None:
    venue = Venue(range(1, 5000))
    repair, events = venue.fill(trades(100, 2599))

    assert repair.state == "repaired"
    assert [event.trade_number for event in events if isinstance(event, Trade)] == list(range(100, 2600))
    first = events[0]
    assert isinstance(first, Trade)
    assert (first.trade_id, first.price, first.quantity, first.buyer_is_maker) == ("ETH-100", "92288", "10.0", True)
    assert (first.transaction_time_ns, first.source) == (Venue.time(100) * MS, Source.REST)
    assert [(query["start_seq"], query["count"]) for query in venue.asked] == [
        ("100", "1000"), ("1100", "1000"), ("2100", "500"),
    ]  # fmt: skip


def test_what_the_venue_does_not_have_is_named() -> None:
    repair, events = Venue([*range(1, 10), *range(12, 20)]).fill(trades(8, 25))

    assert (repair.state, len(events), repair.missing) == ("partial", 10, ((10, 11), (20, 25)))


def test_without_a_number_trades_are_those_of_the_time() -> None:
    repair, events = Venue(range(1, 100)).fill(trades(None, None, 20, 30))

    assert repair.state == "repaired"
    assert [event.trade_number for event in events if isinstance(event, Trade)] == list(range(20, 31))


def candles(first_ms: int | None, last_ms: int | None, started_ms: int = 0, ended_ms: int = 0) -> Hole:
    first, last = (None if each is None else each * MS for each in (first_ms, last_ms))
    return Hole("kline", PERPETUAL, started_ms * MS, ended_ms * MS, first, last, "1m")


def test_missing_candles_come_in_order_page_by_page() -> None:
    venue = Venue()
    last_ms = START_MS + 2499 * MINUTE_MS
    repair, events = venue.fill(candles(START_MS, last_ms))

    assert repair.state == "repaired"
    assert [event.open_time_ns // MS for event in events if isinstance(event, Kline)] == list(
        range(START_MS, last_ms + 1, MINUTE_MS)
    )
    first = events[0]
    assert isinstance(first, Kline)
    assert (first.close_time_ns, first.interval) == ((START_MS + MINUTE_MS - 1) * MS, "1m")
    assert (first.open, first.quote_volume, first.closed) == ("1.5", "2200.0", True)
    assert len(venue.asked) == 3
    assert {query["resolution"] for query in venue.asked} == {"1"}


def test_a_candle_that_the_venue_does_not_have_leaves_the_hole_partial() -> None:
    repair, events = Venue(without=[START_MS + MINUTE_MS]).fill(candles(START_MS, START_MS + 2 * MINUTE_MS))

    assert (repair.state, len(events)) == ("partial", 2)
    venue = Venue(without=range(START_MS, START_MS + 10 * MINUTE_MS, MINUTE_MS))
    repair, events = venue.fill(candles(START_MS, START_MS + 2 * MINUTE_MS))
    assert (repair.state, events) == ("unrepairable", [])


def test_pages_without_a_candle_are_passed_over() -> None:
    """It was listed in the middle of what is asked for, or halted for longer than a page."""
    end_ms = START_MS + 5000 * MINUTE_MS
    venue = Venue(without=range(START_MS - MINUTE_MS, START_MS + 3000 * MINUTE_MS, MINUTE_MS))
    repair, events = venue.fill(candles(None, None, START_MS, end_ms))
    assert (repair.state, len(events), repair.missing) == ("repaired", 2000, ())
    assert len(venue.asked) == 6, "each range is asked for once"

    first, last = START_MS + 10 * MINUTE_MS, START_MS + 2509 * MINUTE_MS
    venue = Venue(without=range(first, last + 1, MINUTE_MS))
    repair, events = venue.fill(candles(START_MS, end_ms))
    assert (repair.state, len(events), repair.missing) == ("partial", 2501, ((first * MS, last * MS),))


@pytest.mark.parametrize(("levels", "asked"), [(0, "10000"), (20, "50")])
def test_the_present_book_is_a_snapshot(levels: int, asked: str) -> None:
    requests: list[Request] = []

    def venue(request: Request) -> bytes:
        requests.append(request)
        return answer('{"timestamp":5,"state":"open","change_id":7,"bids":[[65485.5,2.2e3]],"asks":[],"stats":{}}')

    repair, (event,) = drive(REST.repair(Hole("depth", PERPETUAL, 0, 1, levels=levels)), venue, NOW_NS)
    assert isinstance(event, Depth)
    assert (event.update_type, event.level_limit, event.last_update_id) == (UpdateType.SNAPSHOT, int(asked), 7)
    assert (list(event.bid_price), list(event.bid_quantity), list(event.ask_price)) == (["65485.5"], ["2200"], [])
    assert (repair.state, dict(requests[0].query)["depth"]) == ("partial", asked)


@pytest.mark.parametrize("stream", ["ticker", "mark_price", "liquidation", "book_ticker", "open_interest"])
def test_streams_without_a_history_have_no_repair(stream: str) -> None:
    assert REST.repair(Hole(stream, PERPETUAL, 0, 1)) is None


def test_what_a_perpetual_paid_in_each_hour_is_settled_funding() -> None:
    hour_ms, requests = 3_600_000, list[Request]()
    times = range(START_MS // hour_ms * hour_ms, START_MS + 100 * hour_ms, hour_ms)

    def venue(request: Request) -> bytes:
        requests.append(request)
        first, last = (int(dict(request.query)[name]) for name in ("start_timestamp", "end_timestamp"))
        rows = [f'{{"timestamp":{ms},"index_price":1.5,"interest_8h":5e-4,"interest_1h":-4.739622041017375e-7}}'
                for ms in reversed(times) if first - hour_ms <= ms <= last]  # fmt: skip
        return answer(f"[{','.join(rows)}]")

    hole = Hole("funding_rate", PERPETUAL, START_MS * MS, (START_MS + 24 * hour_ms) * MS)
    filled, events = drive(REST.repair(hole), venue, NOW_NS)

    found = [event for event in events if isinstance(event, FundingRate)]
    assert (filled.state, len(found), len(events), len(requests)) == ("repaired", 24, 24, 1)
    assert [event.transaction_time_ns for event in found] == [
        ms * MS for ms in times if START_MS <= ms <= START_MS + 24 * hour_ms
    ]
    assert {(e.funding_rate, e.settled, e.source, e.next_funding_time_ns) for e in found} == {
        ("-0.000000473962204102", True, Source.REST, None)
    }


@pytest.mark.parametrize("symbol", ["BTC-25DEC26", "BTC-25DEC26-100000-C", "BTC_USDC"])
def test_only_perpetuals_pay_funding(symbol: str) -> None:
    assert REST.repair(Hole("funding_rate", symbol, 0, 1)) is None


def test_series_are_the_words_that_were_asked_for() -> None:
    feed = Feed("d", "deribit", (PERPETUAL,), ("trade", "depth", "mark_price"), depth_levels=10)
    (plan,) = Deribit.plan(feed)

    assert REST.series(plan) == [
        Series("trade", PERPETUAL), Series("depth", PERPETUAL, levels=10), Series("mark_price", PERPETUAL),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[" * 100_000, refused(-32602), answer("null"), answer("5"), answer('{"trades":5}'),
     answer('{"trades":[5]}'), answer('{"ticks":[1],"open":[],"high":[],"low":[],"close":[],"volume":[],"cost":[]}')],
)  # fmt: skip
def test_bad_answers_raise_nothing_else(body: bytes) -> None:
    for page in (BY_SEQUENCE, KLINES):
        with pytest.raises(BadAnswer):
            page.parse(PageRequest(PERPETUAL, 1000, "1m"), body, NOW_NS)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(-32602, "final"), (-32601, "final"), (10030, "final"), (13009, "final"), (10028, "limited"), (10040, "again"),
     (11051, "again"), (13028, "again")],
)  # fmt: skip
def test_an_error_says_its_code_and_what_it_is_about(code: int, kind: str) -> None:
    refusal = REST.refusal(400, refused(code, reason="instrument not found"))

    assert refusal is not None
    assert (refusal.code, refusal.kind) == (code, kind)
    assert "instrument not found" in refusal.message


def test_what_is_no_error_of_the_api() -> None:
    assert REST.refusal(200, answer("[]")) is None
    assert REST.refusal(429, b"<html>") is None
    assert REST.base(True) == "https://test.deribit.com"


def instrument(**fields: Any) -> dict[str, Any]:
    return {"kind": "future", "instrument_name": "A", "base_currency": "BTC", "quote_currency": "USD",
            "is_active": True, "settlement_currency": "BTC", "counter_currency": "USD", **fields}  # fmt: skip


def test_what_is_traded() -> None:
    listed = [
        instrument(instrument_type="reversed", settlement_period="month", expiration_timestamp=1_798_185_600_000,
                   contract_size=10.0, min_trade_amount=20.0),
        instrument(kind="option", option_type="call", strike=1e5, expiration_timestamp=1_798_185_600_000,
                   quote_currency="BTC", state="locked", contract_size=1.0, min_trade_amount=0.1),
        instrument(kind="spot", quote_currency="USDC", tick_size=1e-2),
        instrument(kind="option_combo", contract_size=1.0, min_trade_amount=0.1), {"kind": 5},
    ]  # fmt: skip
    future, option, spot, combo = INSTRUMENTS.parse(answer(json.dumps(listed)), NOW_NS).instruments

    assert [one.kind for one in (future, option, spot, combo)] == ["future", "option", "spot", ""]
    assert [canonical_name(one) for one in (future, option, spot, combo)] == [
        "BTC/USD:BTC-261225", "BTC/USD:BTC-261225-100000-C", "BTC/USDC", "",
    ]  # fmt: skip
    assert [one.contract_currency for one in (future, option, spot)] == ["USD", "BTC", "BTC"]
    # an option's contract is one coin, and it is traded in tenths
    assert [one.step_size for one in (future, option, spot, combo)] == ["10.0", "0.1", None, "0.1"]
    assert (option.status, future.status, spot.tick_size) == ("locked", "open", "0.01")


def test_documented_answers_are_read() -> None:
    chart, listed = frames("deribit/examples_rest.jsonl").read_bytes().splitlines()
    rows = KLINES.parse(PageRequest(PERPETUAL, 1000, "1m"), chart, NOW_NS)
    raw = json.loads(chart, parse_float=str, parse_int=str)["result"]

    assert [event.volume for event in rows.events] == raw["volume"]
    assert [event.quote_volume for event in rows.events] == raw["cost"]
    assert [event.open_time_ns // MS for event in rows.events] == list(map(int, raw["ticks"]))
    one = json.loads(listed)
    text = listed.replace(
        json.dumps(one["result"], separators=(",", ":")).encode(), b"[%b]" % json.dumps(one["result"]).encode()
    )
    (perpetual,) = INSTRUMENTS.parse(text, NOW_NS).instruments
    assert (perpetual.symbol, perpetual.kind, canonical_name(perpetual)) == (PERPETUAL, "perpetual", "BTC/USD:BTC")
    assert (perpetual.contract_size, perpetual.contract_currency, perpetual.tick_size) == ("1", "USD", "0.5")
    assert perpetual.step_size == "10.0"
    assert (perpetual.delivery_time_ns, perpetual.onboard_time_ns) == (None, 1_534_167_754_000 * MS)


def test_open_interest() -> None:
    rest = load_rest("deribit")
    assert rest is not None
    event = rest.parse_open_interest(PERPETUAL, answer('{"timestamp":1569,"open_interest":7.1600475e8}'), NOW_NS)

    assert (event.open_interest, event.event_time_ns) == ("716004750", 1_569 * MS)
    assert dict(rest.open_interest(PERPETUAL).query) == {"instrument_name": PERPETUAL}
