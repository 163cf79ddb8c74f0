"""Gate over REST: ranges of time in parts, rows in either order, sizes with signs, errors with a label."""

import json
from typing import Any

import pytest
from exchanges.driving import drive
from frames_path import frames

from wsadapter.config.model import Feed
from wsadapter.events import Depth, FundingRate, Kline, MarketEvent, Source, Trade
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.gate import Gate
from wsadapter.exchanges.gate_rest import CONTRACTS, FUNDINGS, KLINES, ORDER_BOOK, TRADES, GateRest
from wsadapter.exchanges.pages import PageRequest
from wsadapter.exchanges.rest_api import BadAnswer, ErrorKind, Filled, Hole, Request, Series

MS = 1_000_000
MINUTE = 60
START = 1_790_000_040
"""Seconds."""
NOW_NS = 1_795_000_000_000 * MS
BTC = "BTC_USDT"
REST = GateRest()


def trade_ms(number: int) -> int:
    return START * 1000 + number * 25


class Venue:
    """Forty trades a second from number 1 on; ``in_order``: oldest first."""

    def __init__(self, in_order: bool = False, newest: int = 10**9, without: tuple[int, ...] = ()) -> None:
        self.in_order, self.newest, self.without = in_order, newest, without
        self.asked: list[dict[str, str]] = []

    def answer(self, request: Request) -> bytes:
        query = dict(request.query)
        self.asked.append(query)
        assert query["contract"] == BTC
        rows = getattr(self, request.path.rpartition("/")[2])(query)
        return json.dumps(rows[::-1] if self.in_order else rows).encode()

    def trades(self, query: dict[str, str]) -> list[dict[str, Any]]:
        first, last = int(query["from"]) * 1000, int(query["to"]) * 1000 + 999
        begin, end = -(-(first - START * 1000) // 25), (last - START * 1000) // 25
        numbers = [n for n in range(min(end, self.newest), max(begin, 1) - 1, -1) if n not in self.without]
        offset = int(query["offset"])
        numbers = numbers[::-1] if self.in_order else numbers
        rows = [
            {"id": n, "create_time": trade_ms(n) // 1000, "create_time_ms": trade_ms(n) / 1000, "contract": BTC,
             "size": "-0.25" if n % 2 else "2", "price": "63994.5"}
            for n in numbers[offset : offset + int(query["limit"])]
        ]  # fmt: skip
        return rows[::-1] if self.in_order else rows

    def candlesticks(self, query: dict[str, str]) -> list[dict[str, Any]]:
        assert "limit" not in query
        first, last = -(-int(query["from"]) // MINUTE), int(query["to"]) // MINUTE
        assert last - first < 2000
        return [
            {"t": minute * MINUTE, "o": "1.0", "h": "2.0", "l": "0.5", "c": "1.50", "v": "7.5", "sum": "10.5"}
            for minute in range(last, first - 1, -1)
            if minute * MINUTE not in self.without
        ]

    def funding_rate(self, query: dict[str, str]) -> list[dict[str, Any]]:
        hours = 8 * 3600
        first, last = -(-int(query["from"]) // hours), int(query["to"]) // hours
        return [{"t": number * hours, "r": "-0.000157"} for number in range(last, first - 1, -1)]

    def fill(self, hole: Hole) -> tuple[Filled, list[MarketEvent]]:
        filled, events = drive(REST.repair(hole), self.answer, NOW_NS)
        assert filled.published == len(events)
        return filled, events


def trades(first: int | None, last: int | None, started_ms: int, ended_ms: int) -> Hole:
    return Hole("trade", BTC, started_ms * MS, ended_ms * MS, first, last)


def numbers(events: list[MarketEvent]) -> list[int | None]:
    return [event.trade_number for event in events if isinstance(event, Trade)]


@pytest.mark.parametrize("in_order", [False, True])
def test_missing_trades_come_in_order_however_they_are_listed(in_order: bool) -> None:
    """More of them than a part holds, and less than a range is long."""
    repair, events = Venue(in_order).fill(trades(11, 2100, trade_ms(10), trade_ms(2101)))

    assert (repair.state, numbers(events)) == ("repaired", list(range(11, 2101)))
    for ended in (repair, Venue(in_order).fill(trades(11, None, trade_ms(10), trade_ms(2100)))[0]):
        assert (ended.state, ended.published) == ("repaired", 2090)
    first, second = events[:2]
    assert isinstance(first, Trade)
    assert isinstance(second, Trade)
    assert (first.quantity, first.buyer_is_maker, second.quantity, second.buyer_is_maker) == ("0.25", True, "2", False)
    assert (first.transaction_time_ns, first.source) == (trade_ms(11) * MS, Source.REST)


def test_a_range_comes_in_parts_and_ranges_follow_each_other() -> None:
    venue = Venue()
    repair, events = venue.fill(trades(11, 6000, trade_ms(10), trade_ms(6001)))

    assert (repair.state, numbers(events)) == ("repaired", list(range(11, 6001)))
    assert [each["offset"] for each in venue.asked] == ["0", "1000", "2000", "0", "1000", "2000", "0", "1000"]


@pytest.mark.parametrize("in_order", [False, True])
def test_more_parts_than_are_asked_for_are_no_complete_range(in_order: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsadapter.exchanges.history.MOST_PARTS", 2)
    repair, events = Venue(in_order, newest=2300).fill(trades(None, None, trade_ms(1), trade_ms(2300)))

    assert (repair.state, len(events)) == ("partial", 2000)


@pytest.mark.parametrize("in_order", [False, True])
def test_trades_that_cannot_be_read_are_missing_alone(in_order: bool) -> None:
    class Spoiled(Venue):
        def trades(self, query: dict[str, str]) -> list[dict[str, Any]]:
            spoiled = (15, 1500, 2050)
            return [row | {"price": 1} if row["id"] in spoiled else row for row in super().trades(query)]

    repair, events = Spoiled(in_order).fill(trades(11, 2100, trade_ms(10), trade_ms(2101)))

    assert (repair.state, len(events)) == ("partial", 2087)
    assert repair.missing == ((15, 15), (1500, 1500), (2050, 2050))


def test_by_time_it_is_those_of_the_time() -> None:
    repair, events = Venue().fill(trades(None, None, trade_ms(100), trade_ms(200)))

    assert (repair.state, numbers(events)) == ("repaired", list(range(100, 201)))


@pytest.mark.parametrize(("first", "state"), [(1, "repaired"), (7000, "partial"), (6999, "repaired")])
def test_a_beginning_without_trades_is_only_believed_where_something_proves_it(first: int, state: str) -> None:
    """Sixty minutes are asked for, and the last thirty have trades: the first ones of all, or one is from before."""
    begin = START + 3600

    def answer(request: Request) -> bytes:
        query = {name: int(value) for name, value in request.query if name != "contract"}
        rows = [(7000 + n, begin + 1800 + n * 10) for n in range(180)] if first > 1 else [(1, begin + 1800)]
        rows = [*([(6999, begin - 600)] if first == 6999 else []), *rows]
        found = [each for each in rows if query["from"] <= each[1] <= query["to"]][query["offset"] :]
        return json.dumps(
            [{"id": n, "create_time_ms": at, "contract": BTC, "size": "1", "price": "1"} for n, at in found]
        ).encode()

    hole = Hole("trade", BTC, begin * 10**9, (begin + 3600) * 10**9)
    repair, events = drive(REST.repair(hole), answer, NOW_NS)
    assert (repair.state, len(events)) == (state, 1 if first == 1 else 180)
    assert drive(REST.repair(hole), answer, hole.ended_ns)[0].state == "repaired", "a day back it surely keeps"


def test_trades_that_the_venue_does_not_have_are_named() -> None:
    repair, events = Venue(without=(15, 16)).fill(trades(11, 20, trade_ms(10), trade_ms(21)))
    assert (repair.state, repair.missing) == ("partial", ((15, 16),))
    assert numbers(events) == [11, 12, 13, 14, 17, 18, 19, 20]
    repair, events = Venue(newest=15).fill(trades(11, 20, trade_ms(10), trade_ms(21)))
    assert (repair.state, repair.missing, numbers(events)) == ("partial", ((16, 20),), [11, 12, 13, 14, 15])
    repair, events = Venue(newest=5).fill(trades(11, 20, trade_ms(10), trade_ms(21)))
    assert (repair.state, events) == ("unrepairable", [])


def candles(first: int, last: int) -> Hole:
    return Hole("kline", BTC, first * 10**9, 0, first * 10**9, last * 10**9, "1m")


@pytest.mark.parametrize("in_order", [False, True])
def test_missing_candles_come_in_order_page_by_page(in_order: bool) -> None:
    venue = Venue(in_order)
    last = START + 2999 * MINUTE
    repair, events = venue.fill(candles(START, last))

    assert repair.state == "repaired"
    assert [event.open_time_ns // 10**9 for event in events if isinstance(event, Kline)] == list(
        range(START, last + 1, MINUTE)
    )
    first = events[0]
    assert isinstance(first, Kline)
    assert (first.open, first.volume, first.quote_volume, first.closed) == ("1.0", "7.5", "10.5", True)
    assert first.close_time_ns == (START + MINUTE) * 10**9 - MS
    assert len(venue.asked) == 2


def test_a_candle_that_the_venue_does_not_have_leaves_the_hole_partial() -> None:
    repair, events = Venue(without=(START + MINUTE,)).fill(candles(START, START + 2 * MINUTE))

    assert (repair.state, len(events)) == ("partial", 2)


@pytest.mark.parametrize("days", [1, 60])
def test_rates_of_a_hole(days: int) -> None:
    started = START - START % 86_400
    hole = Hole("funding_rate", BTC, started * 10**9 + MS, (started + days * 86_400 - 1) * 10**9)
    repair, events = Venue().fill(hole)

    assert (repair.state, len(events)) == ("repaired", 3 * days - 1), "that of the first second is before the hole"
    assert {(e.funding_rate, e.settled) for e in events if isinstance(e, FundingRate)} == {("-0.000157", True)}


def test_the_present_book_is_a_snapshot() -> None:
    body = b'{"id":123456,"current":1623898993.123,"update":1623898993.121,"asks":[{"p":"1.52","s":"0.4"}],"bids":[]}'
    repair, (event,) = drive(REST.repair(Hole("depth", BTC, 0, 1)), lambda _: body, NOW_NS)

    assert repair.state == "partial"
    assert isinstance(event, Depth)
    assert (event.last_update_id, event.event_time_ns) == (123456, 1_623_898_993_123 * MS)
    assert (list(event.ask_quantity), list(event.bid_price), event.level_limit) == (["0.4"], [], 300)


def test_what_the_venue_keeps_nothing_of_is_not_repaired() -> None:
    for word in ("ticker", "liquidation", "mark_price", "book_ticker", "open_interest"):
        assert REST.repair(Hole(word, BTC, 0, 1)) is None
    assert REST.repair(Hole("kline", BTC, 0, 1, interval="1w")) is None


def test_recorded_errors_are_told_by_their_label() -> None:
    lines = frames("gateio_futures/examples_rest_errors.jsonl").read_bytes().splitlines()
    refusals = [REST.refusal(400, line) for line in lines]

    assert [refusal and refusal.code for refusal in refusals] == [json.loads(line)["label"] for line in lines]
    assert {refusal.kind for refusal in refusals if refusal} == {ErrorKind.FINAL}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b'{"label":"TOO_MANY_REQUESTS","message":"m"}', ErrorKind.LIMITED),
        (500, b'{"label":"SERVER_ERROR"}', ErrorKind.AGAIN),
        (400, b'{"label":"TOO_BIG","message":"limit 300"}', ErrorKind.FINAL),
        (200, b"[]", None), (502, b"<html>", None), (400, b"", None), (403, b"[", None), (400, b'{"label":5}', None),
    ],
)  # fmt: skip
def test_errors_have_a_label(status: int, body: bytes, kind: ErrorKind | None) -> None:
    refusal = REST.refusal(status, body)

    assert (refusal and refusal.kind) == kind


@pytest.mark.parametrize("body", [b"", b"{}", b"5", b"[5]", b'[{"t":"x"}]', b'{"label":"X"}', b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("page", [TRADES, KLINES, FUNDINGS, ORDER_BOOK])
def test_hostile_answers_are_bad_answers(page: Any, body: bytes) -> None:
    with pytest.raises(BadAnswer):
        page.parse(PageRequest(BTC, 100, "1m"), body, NOW_NS)


def test_rows_told_twice_or_of_another_contract_are_bad() -> None:
    two = Venue().trades({"from": str(START), "to": str(START), "limit": "2", "offset": "0"})
    for rows in ([two[0], two[0]], [each | {"contract": "ETH_USDT"} for each in two]):
        with pytest.raises(BadAnswer):
            TRADES.parse(PageRequest(BTC, 100), json.dumps(rows).encode(), NOW_NS)


@pytest.mark.parametrize(
    ("said", "time_ms"), [("1786540580.715", 1_786_540_580_715), ("1786540580", 1_786_540_580_000),
                          ('"1786540580.7"', 1_786_540_580_700)],
)  # fmt: skip
def test_times_are_seconds_with_or_without_decimals(said: str, time_ms: int) -> None:
    row = f'{{"id":1,"create_time_ms":{said},"contract":"BTC_USDT","size":1,"price":"2"}}'
    (trade,) = TRADES.parse(PageRequest(BTC, 9), f"[{row}]".encode(), NOW_NS).events

    assert trade.transaction_time_ns == time_ms * MS
    with pytest.raises(BadAnswer):
        TRADES.parse(PageRequest(BTC, 9), f"[{row}]".replace(said, "-1").encode(), NOW_NS)


def test_a_contract_is_what_it_counts() -> None:
    row = {
        "name": BTC, "type": "direct", "quanto_multiplier": "0.0001", "order_price_round": "0.1", "order_size_min": 1,
        "order_size_max": 1_000_000, "funding_interval": 28_800, "status": "trading", "launch_time": 1_548_979_200,
    }  # fmt: skip
    decimal = row | {"name": "ETH_USDT", "enable_decimal": True, "order_size_min": "0.1", "launch_time": 0}
    btc, eth = CONTRACTS.parse(json.dumps([row, decimal]).encode(), NOW_NS).instruments

    assert (btc.base_asset, btc.quote_asset, btc.margin_asset, btc.kind) == ("BTC", "USDT", "USDT", "perpetual")
    assert (btc.contract_size, btc.tick_size, btc.step_size, btc.min_quantity) == ("0.0001", "0.1", "1", "1")
    assert (btc.funding_interval, btc.onboard_time_ns, btc.status) == (28_800, 1_548_979_200 * 10**9, "trading")
    assert (eth.step_size, eth.min_quantity, eth.onboard_time_ns) == (None, "0.1", None)


def test_each_request_has_the_header_of_decimal_sizes() -> None:
    rest = load_rest("gate")

    assert isinstance(rest, GateRest)
    assert rest.headers == dict(Gate.venue.hosts.headers) == {"X-Gate-Size-Decimal": "1"}
    assert rest.base(True) != rest.base(False)


def test_the_series_of_a_connection() -> None:
    (plan,) = Gate.plan(Feed("g", "gate", (BTC,), ("kline", "ticker", "funding_rate", "depth")))

    assert set(REST.series(plan)) == {
        Series("depth", BTC), Series("kline", BTC, "1m"), Series("ticker", BTC), Series("funding_rate", BTC),
    }  # fmt: skip
