"""Bybit over REST: holes are filled from lists that are newest first; errors come with HTTP 200."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from exchanges.driving import drive
from frames_path import frames

from wsadapter.config.model import Feed
from wsadapter.events import Depth, FundingRate, Kline, MarketEvent, Source, Trade, UpdateType
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.bybit import BybitLinear
from wsadapter.exchanges.bybit_rest import LINEAR, BybitLinearRest, contracts, klines, last_trades
from wsadapter.exchanges.pages import PageRequest
from wsadapter.exchanges.rest_api import BadAnswer, Filled, Hole, Request, Series

MS = 1_000_000
MINUTE_MS = 60_000
START_MS = 1_790_000_040_000
NOW_NS = 1_795_000_000_000 * MS
REST = BybitLinearRest()
KLINES, NEWEST_TRADES, CONTRACTS = klines(LINEAR), last_trades(LINEAR), contracts(LINEAR, "baseCoin")


def answer(result: object, code: int = 0, message: str = "OK", time_ms: int = START_MS + 10**9) -> bytes:
    body = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": time_ms}
    return json.dumps(body).encode()


def rows(*lists: object) -> bytes:
    return answer({"list": lists})


class Venue:
    """Minutes without end, fundings every eight hours, some trades; answers as the documentation says."""

    def __init__(self, trades: Sequence[tuple[str, int]] = (), without: Sequence[int] = ()) -> None:
        self.trades, self.without = trades, without
        self.asked: list[dict[str, str]] = []

    def answer(self, request: Request) -> bytes:
        query = dict(request.query)
        self.asked.append(query)
        assert query["category"] == "linear"
        rows = getattr(self, request.path.removeprefix("/v5/market/").replace("-", "_").replace("/", "_"))(query)
        return answer({"category": "linear", "list": rows[: int(query["limit"])]})

    def kline(self, query: dict[str, str]) -> list[list[str]]:
        first = -(-int(query["start"]) // MINUTE_MS)
        times = [minute * MINUTE_MS for minute in range(int(query["end"]) // MINUTE_MS, first - 1, -1)]
        return [[str(ms), "1.0", "2.0", "0.5", "1.50", "10", "15.5"] for ms in times if ms not in self.without]

    def recent_trade(self, query: dict[str, str]) -> list[dict[str, Any]]:
        common = {"symbol": "BTCUSDT", "price": "27450.50", "size": "0.005", "isBlockTrade": False}
        return [
            {"execId": name, "side": "Sell", "time": str(ms), **common}
            for name, ms in sorted(self.trades, key=lambda trade: -trade[1])
        ]

    def funding_history(self, query: dict[str, str]) -> list[dict[str, str]]:
        hours, first, last = 8 * 3_600_000, int(query["startTime"]), int(query["endTime"])
        times = [number * hours for number in range(last // hours, -(-first // hours) - 1, -1)]
        return [{"symbol": "BTCUSDT", "fundingRate": "-0.0001", "fundingRateTimestamp": str(ms)} for ms in times]

    def fill(self, hole: Hole) -> tuple[Filled, list[MarketEvent]]:
        filled, events = drive(REST.repair(hole), self.answer, NOW_NS)
        assert filled.published == len(events)
        return filled, events


def candles(first_ms: int | None, last_ms: int | None, started_ms: int = 0, ended_ms: int = 0) -> Hole:
    first, last = (None if each is None else each * MS for each in (first_ms, last_ms))
    return Hole("kline", "BTCUSDT", started_ms * MS, ended_ms * MS, first, last, "1m")


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
    assert (first.open, first.close, first.volume, first.quote_volume) == ("1.0", "1.50", "10", "15.5")
    assert (first.closed, first.source, first.trade_count) == (True, Source.REST, None)
    assert len(venue.asked) == 3
    assert {query["interval"] for query in venue.asked} == {"1"}


def test_a_candle_that_the_venue_does_not_have_leaves_the_hole_partial() -> None:
    repair, events = Venue(without=[START_MS + MINUTE_MS]).fill(candles(START_MS, START_MS + 2 * MINUTE_MS))

    assert (repair.state, len(events)) == ("partial", 2)


def test_by_time_it_is_those_that_closed_in_the_hole() -> None:
    repair, events = Venue().fill(candles(None, None, START_MS + 1, START_MS + 3 * MINUTE_MS))

    assert repair.state == "repaired"
    assert [event.open_time_ns // MS - START_MS for event in events if isinstance(event, Kline)] == [0, 60_000, 120_000]


def test_the_newest_candle_is_open_until_the_venue_says_its_end_is_past() -> None:
    both = [[str(START_MS + MINUTE_MS), *["1"] * 6], [str(START_MS), *["1"] * 6]]
    for time_ms, count, is_open in ((START_MS + 2 * MINUTE_MS - 1, 1, True), (START_MS + 2 * MINUTE_MS, 2, False)):
        hole = candles(START_MS, None, START_MS, START_MS + 3 * MINUTE_MS)
        _, found = drive(REST.repair(hole), lambda _, at=time_ms: answer({"list": both}, time_ms=at), NOW_NS)  # type: ignore[misc]
        assert (len(found), len(found) == 1) == (count, is_open)


@pytest.mark.parametrize(("opened", "days"), [(1_706_745_600_000, 29), (1_701_388_800_000, 31)])
def test_a_month_is_that_of_the_calendar(opened: int, days: int) -> None:
    (month,) = KLINES.parse(
        PageRequest("BTCUSDT", 1, "1M"), answer({"list": [[str(opened), *["1"] * 6]]}), NOW_NS
    ).events

    assert month.close_time_ns == (opened + days * 86_400_000 - 1) * MS


class Spoiled(Venue):
    """Of the newest rows but one of each answer nothing but the time can be read."""

    def answer(self, request: Request) -> bytes:
        document = json.loads(super().answer(request))
        row = document["result"]["list"][1]
        if isinstance(row, list):
            row[1] = "NaN"
        else:
            row.update(price="NaN", fundingRate="NaN")
        return json.dumps(document).encode()


def test_a_candle_that_cannot_be_read_is_missing_alone() -> None:
    repair, events = Spoiled().fill(candles(START_MS, START_MS + 4 * MINUTE_MS))

    # asked up to two minutes behind the last one: the spoiled one is the next to last of seven
    assert (repair.state, len(events)) == ("repaired", 5)
    repair, events = Spoiled().fill(candles(START_MS, START_MS + 5 * MINUTE_MS))
    assert (repair.state, len(events)) == ("repaired", 6)
    venue = Spoiled(without=[START_MS + 6 * MINUTE_MS])
    repair, events = venue.fill(candles(START_MS, START_MS + 5 * MINUTE_MS))
    lost = (START_MS + 5 * MINUTE_MS) * MS
    assert (repair.state, len(events), repair.missing) == ("partial", 5, ((lost, lost),))
    assert repair.reason


def test_a_trade_or_a_rate_that_cannot_be_read_leaves_the_others() -> None:
    repair, events = Spoiled(TRADES).fill(trades(START_MS + 1, START_MS + 30))
    assert (repair.state, len(events)) == ("partial", 2)
    repair, events = Spoiled(TRADES).fill(trades(START_MS + 15, START_MS + 30))
    assert (repair.state, len(events)) == ("repaired", 1), "the bad one is of another time"
    started = START_MS - START_MS % 86_400_000
    hole = Hole("funding_rate", "BTCUSDT", started * MS, (started + 86_400_000 - 1) * MS)
    repair, events = Spoiled().fill(hole)
    assert (repair.state, len(events)) == ("partial", 2)


def trades(started_ms: int, ended_ms: int) -> Hole:
    return Hole("trade", "BTCUSDT", started_ms * MS, ended_ms * MS)


TRADES = [("a", START_MS), ("b", START_MS + 10), ("c", START_MS + 10), ("d", START_MS + 20)]


@pytest.mark.parametrize(
    ("started", "ended", "outcome", "names"),
    [(1, 15, "repaired", "bc"), (0, 15, "partial", "abc"), (-5, 100, "partial", "abcd"), (30, 40, "repaired", ""),
     (-50, -40, "unrepairable", "")],
)  # fmt: skip
def test_trades_reach_back_as_far_as_the_newest_page(started: int, ended: int, outcome: str, names: str) -> None:
    repair, events = Venue(TRADES).fill(trades(START_MS + started, START_MS + ended))

    assert repair.state == outcome
    assert [event.trade_id for event in events if isinstance(event, Trade)] == list(names) or sorted(
        event.trade_id for event in events if isinstance(event, Trade)
    ) == list(names)
    assert all(isinstance(event, Trade) and event.buyer_is_maker and event.trade_number is None for event in events)


def test_fundings_of_a_hole_longer_than_a_page() -> None:
    started, days = START_MS - START_MS % 86_400_000, 30
    hole = Hole("funding_rate", "BTCUSDT", started * MS, (started + days * 86_400_000 - 1) * MS)
    repair, events = Venue().fill(hole)

    assert (repair.state, len(events)) == ("repaired", 3 * days)
    times = [event.transaction_time_ns or 0 for event in events if isinstance(event, FundingRate)]
    assert times == sorted(set(times))


def test_the_present_book_is_a_snapshot() -> None:
    result = {
        "s": "BTCUSDT",
        "a": [["65557.7", "16.606"]],
        "b": [["65485.47", "47.08"]],
        "ts": 1,
        "u": 230704,
        "seq": 5,
    }
    repair, (book,) = drive(REST.repair(Hole("depth", "BTCUSDT", 0, 1)), lambda _: answer(result), NOW_NS)

    assert isinstance(book, Depth)
    assert (book.update_type, book.level_limit, book.last_update_id) == (UpdateType.SNAPSHOT, 1000, 230704)
    assert list(book.bid_price) == ["65485.47"]
    assert repair.state == "partial"


@pytest.mark.parametrize("stream", ["ticker", "mark_price", "liquidation", "book_ticker", "open_interest"])
def test_streams_without_a_history_have_no_repair(stream: str) -> None:
    assert REST.repair(Hole(stream, "BTCUSDT", 0, 1)) is None


@pytest.mark.parametrize(
    "body",
    [
        answer({}, 10001, "params error"), rows([]), answer({"list": 5}), rows(["1", "2"]), b"", b"\xff",
        b"[" * 100_000, rows([*["1"] * 6, "nan"]), rows(["99999999999999999", *["1"] * 6]),
        rows(["1", *["1"] * 6], ["2", *["1"] * 6]),
    ],
)  # fmt: skip
def test_bad_answers_raise_nothing_else(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        KLINES.parse(PageRequest("BTCUSDT", 1000, "1m"), body, NOW_NS)
    with pytest.raises(BadAnswer):
        NEWEST_TRADES.parse(PageRequest("BTCUSDT", 1000), body, NOW_NS)


@pytest.mark.parametrize(
    ("code", "kind"), [(10029, "final"), (10001, "final"), (10006, "limited"), (10018, "limited"), (10016, "again")]
)
def test_an_error_says_its_code_and_what_it_is_about(code: int, kind: str) -> None:
    refusal = REST.refusal(200, answer({}, code, "why"))

    assert refusal is not None
    assert (refusal.code, refusal.message, refusal.kind) == (code, "why", kind)


def test_what_is_no_error_of_the_api() -> None:
    assert REST.refusal(200, rows()) is None
    assert REST.refusal(400, b"<html>") is None
    limited = REST.refusal(403, b"403, access too frequent. Please try again later")
    assert limited is not None
    assert (limited.kind, limited.seconds) == ("limited", 600.0)


def test_series_are_the_words_that_were_asked_for() -> None:
    feed = Feed("b", "bybit", ("BTCUSDT",), ("trade", "mark_price", "funding_rate", "kline"), intervals=("5m",))
    (plan,) = BybitLinear.plan(feed)

    assert REST.series(plan) == [
        Series("trade", "BTCUSDT"), Series("kline", "BTCUSDT", "5m"), Series("mark_price", "BTCUSDT"),
        Series("funding_rate", "BTCUSDT"),
    ]  # fmt: skip


def test_documented_answers_are_read() -> None:
    assert isinstance(load_rest("bybit"), BybitLinearRest)
    read = {"instruments": 0, "trades": 0}
    for line in frames("bybit_linear/nautilus_rest_fixtures.jsonl").read_bytes().splitlines():
        if b'"category":"linear"' in line and b'"priceFilter"' in line:
            read["instruments"] += len(CONTRACTS.parse(line, NOW_NS).instruments)
        elif b'"execId"' in line and b'"category":"linear"' in line:
            read["trades"] += len(NEWEST_TRADES.parse(PageRequest("BTCUSDT", 1000), line, NOW_NS).events)

    assert read["instruments"] > 0
    assert read["trades"] == 1


def test_open_interest() -> None:
    row = {"openInterest": "461134384.00000000", "timestamp": "1669571400000"}
    event = REST.parse_open_interest("BTCUSDT", answer({"symbol": "BTCUSDT", "list": [row]}), NOW_NS)

    assert (event.open_interest, event.event_time_ns) == ("461134384.00000000", 1_669_571_400_000 * MS)
    with pytest.raises(BadAnswer):
        REST.parse_open_interest("BTCUSDT", answer({"list": []}), NOW_NS)
