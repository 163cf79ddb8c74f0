"""Bitget over REST: candles by time, trades from a hole's end back, rates page by page; errors of either status."""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from exchanges.driving import drive
from exchanges.readings import texts
from frames_path import frames

from wsadapter.config.model import Feed
from wsadapter.events import FundingRate, Kline, MarketEvent, Source, Trade
from wsadapter.exchanges import load, load_rest
from wsadapter.exchanges.bitget_rest import (
    CONTRACTS,
    MIX,
    PAIRS,
    SETTLED,
    SPOT,
    BitgetRest,
    BitgetSpotRest,
    TradeRow,
    klines,
    past_trades,
    traded_ns,
)
from wsadapter.exchanges.pages import PageRequest, RestTables
from wsadapter.exchanges.rest_api import BadAnswer, Filled, Hole, Limit, Request, Series

MS = 1_000_000
MINUTE_MS, DAY_MS = 60_000, 86_400_000
START_MS = 1_790_000_040_000
NOW_NS = 1_795_000_000_000 * MS
RESTS: dict[str, RestTables] = {"bitget": BitgetRest(), "bitget_spot": BitgetSpotRest()}


def answer(data: object, code: str = "00000", message: str = "success", time_ms: int = START_MS + 10**9) -> bytes:
    return json.dumps({"code": code, "msg": message, "requestTime": time_ms, "data": data}).encode()


class Venue:
    """Minutes without end, rates every eight hours, some trades; a range of candles leaves out what opens with it."""

    def __init__(
        self, word: str = "bitget", trades: Sequence[tuple[str, int]] = (), without: Sequence[int] = ()
    ) -> None:
        self.word, self.trades, self.without = word, trades, without
        self.asked: list[dict[str, str]] = []

    def answer(self, request: Request) -> bytes:
        query, prefix = dict(request.query), MIX if self.word == "bitget" else f"{SPOT}market/"
        self.asked.append(query)
        assert request.path.startswith(prefix)
        assert query["symbol"] == "BTCUSDT"
        assert query.get("productType") == ("USDT-FUTURES" if self.word == "bitget" else None)
        is_of_trades = request.path.endswith("fills-history")
        assert request.pool == ("trades" if is_of_trades else "market")
        assert RESTS[self.word].pools[request.pool] == Limit(10 if is_of_trades else 20, 1.0)
        return answer(getattr(self, request.path.removeprefix(prefix).replace("-", "_"))(query))

    def candles(self, query: dict[str, str]) -> list[list[str]]:
        assert query["granularity"] == ("1m" if self.word == "bitget" else "1min")
        first = int(query["startTime"]) // MINUTE_MS + 1
        times = [minute * MINUTE_MS for minute in range(first, -(-int(query["endTime"]) // MINUTE_MS))]
        rows = [[str(ms), "1.0", "2.0", "0.5", "1.50", "10", "15.5", "15.5"] for ms in times if ms not in self.without]
        return rows[-int(query["limit"]) :]

    def fills_history(self, query: dict[str, str]) -> list[dict[str, str]]:
        begin, end = int(query["startTime"]), int(query["endTime"])
        assert end - begin < 7 * DAY_MS
        found = [trade for trade in self.trades if begin <= trade[1] <= end]
        return [
            {"tradeId": name, "symbol": "BTCUSDT", "price": "27450.50", "size": "0.005", "side": "Sell", "ts": str(ms)}
            for name, ms in reversed(found)
        ][: int(query["limit"])]

    def history_fund_rate(self, query: dict[str, str]) -> list[dict[str, str]]:
        size, number = int(query["pageSize"]), int(query["pageNo"])
        newest = START_MS // (DAY_MS // 3)
        times = [(newest - index) * DAY_MS // 3 for index in range((number - 1) * size, number * size)]
        return [{"symbol": "BTCUSDT", "fundingRate": "-0.000078", "fundingTime": str(ms)} for ms in times if ms > 0]

    def fill(self, hole: Hole) -> tuple[Filled, list[MarketEvent]]:
        filled, events = drive(RESTS[self.word].repair(hole), self.answer, NOW_NS)
        assert filled.published == len(events)
        return filled, events


def candle_hole(first_ms: int, last_ms: int) -> Hole:
    return Hole("kline", "BTCUSDT", 0, 0, first_ms * MS, last_ms * MS, "1m")


@pytest.mark.parametrize("word", ["bitget", "bitget_spot"])
def test_missing_candles_come_in_order_page_by_page(word: str) -> None:
    venue, last_ms = Venue(word), START_MS + 2499 * MINUTE_MS
    repair, events = venue.fill(candle_hole(START_MS, last_ms))

    assert repair.state == "repaired"
    assert [event.open_time_ns // MS for event in events if isinstance(event, Kline)] == list(
        range(START_MS, last_ms + 1, MINUTE_MS)
    )
    first = events[0]
    assert isinstance(first, Kline)
    assert (first.exchange, first.interval, first.close_time_ns) == (word, "1m", (START_MS + MINUTE_MS - 1) * MS)
    assert (first.open, first.close, first.volume, first.quote_volume) == ("1.0", "1.50", "10", "15.5")
    assert (first.closed, first.source) == (True, Source.REST)
    assert len(venue.asked) == 3


def test_a_candle_that_the_venue_does_not_have_leaves_the_hole_partial() -> None:
    repair, events = Venue(without=[START_MS + MINUTE_MS]).fill(candle_hole(START_MS, START_MS + 2 * MINUTE_MS))

    lost = (START_MS + MINUTE_MS) * MS
    assert (repair.state, len(events), repair.missing) == ("partial", 2, ((lost, lost),))


def test_minutes_that_are_older_than_a_month_are_named() -> None:
    day, reach = 1440, 30 * 1440
    now = START_MS + 10**9  # of the answers
    oldest = now // MINUTE_MS * MINUTE_MS - (reach - 1) * MINUTE_MS
    begin = oldest - 2 * day * MINUTE_MS
    venue = Venue(without=range(begin - MINUTE_MS, oldest, MINUTE_MS))
    repair, events = venue.fill(Hole("kline", "BTCUSDT", begin * MS, (oldest + day * MINUTE_MS) * MS, interval="1m"))
    assert (repair.state, len(events), repair.missing) == ("partial", day, ((begin * MS, (oldest - MINUTE_MS) * MS),))

    hole = Hole("kline", "BTCUSDT", (oldest + day * MINUTE_MS) * MS, (oldest + 3 * day * MINUTE_MS) * MS, interval="1m")
    venue = Venue(without=range(oldest - MINUTE_MS, oldest + 2 * day * MINUTE_MS, MINUTE_MS))
    repair, events = venue.fill(hole)
    assert (repair.state, len(events), repair.missing) == ("repaired", day, ()), "listed since"


class Kept(Venue):
    """Candles of one length, the newest of so many days and of so many rows. Of futures a range has 90 days at most; of
    spot only its end counts, and there are none where ``limit`` of them would begin before the oldest."""

    def __init__(self, word: str, length_ms: int, days: int, most: int = 1000) -> None:
        super().__init__(word)
        self.length_ms, self.days, self.most = length_ms, days, most

    def candles(self, query: dict[str, str]) -> list[list[str]]:
        length, now = self.length_ms, START_MS + 10**9
        begin, end, limit = int(query["startTime"]), min(int(query["endTime"]), now), int(query["limit"])
        oldest = -(-(now - self.days * DAY_MS) // length) * length
        if self.word == "bitget":
            assert int(query["endTime"]) - begin <= 90 * DAY_MS
        elif end - min(limit, self.most) * length < oldest - length:
            return []
        else:
            begin = oldest - 1
        times = range(max(oldest, begin // length * length + length), end + 1, length)
        return [[str(ms), "1.0", "2.0", "0.5", "1.50", "10", "15.5", "15.5"] for ms in times][-min(limit, self.most) :]


def backfill(venue: Kept, days: int, interval: str) -> tuple[Filled, list[int]]:
    now = START_MS + 10**9
    filled, events = venue.fill(Hole("kline", "BTCUSDT", (now - days * DAY_MS) * MS, now * MS, interval=interval))
    return filled, [event.open_time_ns // MS for event in events if isinstance(event, Kline)]


HOUR_MS = 3_600_000
SAID = {"15m": 30, "30m": 30, "1h": 60, "12h": 720, "1d": 1440}


@pytest.mark.parametrize("word", ["bitget", "bitget_spot"])
@pytest.mark.parametrize(
    ("interval", "length_ms"),
    [("15m", HOUR_MS // 4), ("30m", HOUR_MS // 2), ("1h", HOUR_MS), ("12h", 12 * HOUR_MS), ("1d", DAY_MS)],
)
def test_candles_that_the_venue_has_no_more_are_named(word: str, interval: str, length_ms: int) -> None:
    venue = Kept(word, length_ms, SAID[interval], 300 if interval == "1d" and word == "bitget_spot" else 1000)
    repair, opened = backfill(venue, SAID[interval] + 20, interval)

    assert repair.state == "partial"
    assert {following - one for one, following in pairwise(opened)} == {length_ms}
    assert repair.missing[-1][1] // MS == opened[0] - length_ms
    assert len(opened) >= SAID[interval] * DAY_MS // length_ms - 2


@pytest.mark.parametrize(
    ("word", "interval", "length_ms", "most"),
    [("bitget_spot", "1d", DAY_MS, 300), ("bitget_spot", "3d", 3 * DAY_MS, 100), ("bitget", "1d", DAY_MS, 1000),
     ("bitget", "4h", 4 * HOUR_MS, 1000), ("bitget_spot", "4h", 4 * HOUR_MS, 1000)],
)  # fmt: skip
def test_pages_that_have_fewer_rows_than_were_asked_for_leave_nothing_out(
    word: str, interval: str, length_ms: int, most: int
) -> None:
    days = 150 if interval == "4h" else 1000
    repair, opened = backfill(Kept(word, length_ms, 1440, most), days, interval)

    assert repair.state == "repaired"
    assert opened == list(range(opened[0], opened[-1] + 1, length_ms))
    assert len(opened) in (days * DAY_MS // length_ms, days * DAY_MS // length_ms + 1)


@pytest.mark.parametrize("word", ["bitget", "bitget_spot"])
def test_a_few_candles_near_the_oldest_ones_are_found(word: str) -> None:
    first_ms = (START_MS + 10**9 - 55 * DAY_MS) // HOUR_MS * HOUR_MS
    hole = Hole("kline", "BTCUSDT", 0, 0, first_ms * MS, (first_ms + 2 * HOUR_MS) * MS, "1h")
    repair, events = Kept(word, HOUR_MS, 60).fill(hole)

    assert (repair.state, len(events)) == ("repaired", 3)


@pytest.mark.parametrize("word", ["bitget", "bitget_spot"])
def test_of_a_short_hole_the_end_is_found_where_the_beginning_is_there_no_more(word: str) -> None:
    oldest_ms = (START_MS + 10**9 - 60 * DAY_MS) // HOUR_MS * HOUR_MS
    begin, end = (oldest_ms - 5 * HOUR_MS) * MS, (oldest_ms + 6 * HOUR_MS) * MS
    repair, events = Kept(word, HOUR_MS, 60).fill(Hole("kline", "BTCUSDT", begin, end, interval="1h"))

    assert (repair.state, len(events) >= 3) == ("partial", True), "of six"


def trade_hole(started_ms: int, ended_ms: int) -> Hole:
    return Hole("trade", "BTCUSDT", started_ms * MS, ended_ms * MS)


@pytest.mark.parametrize("word", ["bitget", "bitget_spot"])
def test_trades_of_a_hole_longer_than_a_page_and_longer_than_a_window(word: str) -> None:
    trades = [(str(number), START_MS + number * 300_000) for number in range(5000)]  # seventeen days
    begin, end = START_MS + 300_000, START_MS + 4998 * 300_000
    repair, events = Venue(word, trades).fill(trade_hole(begin, end))

    assert repair.state == "repaired"
    found = [event for event in events if isinstance(event, Trade)]
    assert sorted(int(event.trade_id) for event in found) == list(range(1, 4999))
    assert all(event.buyer_is_maker and event.trade_number is None and event.exchange == word for event in found)


def test_trades_of_one_millisecond_across_a_page_come_once() -> None:
    trades = [(str(number), START_MS + number // 7) for number in range(3000)]
    repair, events = Venue("bitget", trades).fill(trade_hole(START_MS, START_MS + 10_000))

    assert repair.state == "repaired"
    found = [event.trade_id for event in events if isinstance(event, Trade)]
    assert len(found) == len(set(found)) == 3000


def test_a_millisecond_that_fills_a_page_is_partial() -> None:
    trades = [("old", START_MS), *((str(number), START_MS + 5) for number in range(1500))]
    repair, events = Venue("bitget", trades).fill(trade_hole(START_MS, START_MS + 100))

    assert repair.state == "partial"
    assert len(events) == 1001
    assert "old" in {event.trade_id for event in events if isinstance(event, Trade)}


def test_a_backfill_that_reaches_behind_what_is_kept_is_partial() -> None:
    kept = [(str(number), START_MS + number * 60_000) for number in range(100)]
    begin_ms = START_MS + 10**9 - 91 * DAY_MS  # the venue's time is that of its answers
    for trades, state in ((kept, "partial"), ([("0", begin_ms - 60_000), *kept], "repaired")):
        repair, events = Venue("bitget", trades).fill(trade_hole(begin_ms, START_MS + 10**7))
        assert (repair.state, len(events)) == (state, 100)
    assert Venue().fill(trade_hole(begin_ms, begin_ms + 100))[0].state == "unrepairable"


def trade_at(at_ms: int, index: int = 0) -> tuple[str, int]:
    return str((at_ms - 1_435_725_920_677 << 22) + index), at_ms


class InSeconds(Venue):
    """Tells of a trade's time the second. ``counts_in``: what it counts in itself where it looks for a range."""

    counts_in = 1000

    def fills_history(self, query: dict[str, str]) -> list[dict[str, str]]:
        begin, end = int(query["startTime"]), int(query["endTime"])
        assert end - begin < 7 * DAY_MS
        found = [each for each in self.trades if begin <= each[1] // self.counts_in * self.counts_in <= end]
        return [
            {"tradeId": name, "symbol": "BTCUSDT", "price": "1", "size": "1", "side": "Sell",
             "ts": str(ms // 1000 * 1000)}
            for name, ms in reversed(found)
        ][: int(query["limit"])]  # fmt: skip


class InMilliseconds(InSeconds):
    counts_in = 1


@pytest.mark.parametrize("venue", [InSeconds, InMilliseconds])
@pytest.mark.parametrize("word", ["bitget", "bitget_spot"])
def test_the_id_says_when_in_its_second_a_trade_was(word: str, venue: type[InSeconds]) -> None:
    second = START_MS // 1000 * 1000
    trades = [trade_at(second + offset) for offset in (-900, -300, 100, 450, 700, 1300, 2100, 2501, 2900)]
    repair, events = venue(word, trades).fill(trade_hole(second + 200, second + 2500))

    assert repair.state == "repaired"
    times = [(event.transaction_time_ns or 0) // MS - second for event in events if isinstance(event, Trade)]
    assert times == [450, 700, 1300, 2100]


@pytest.mark.parametrize("venue", [InSeconds, InMilliseconds])
def test_seconds_across_pages_come_once_and_whole(venue: type[InSeconds]) -> None:
    second = START_MS // 1000 * 1000
    trades = [trade_at(second + 1 + index * 3 // 2, index) for index in range(3000)]
    repair, events = venue("bitget", trades).fill(trade_hole(second + 500, second + 4400))

    found = [event.trade_id for event in events if isinstance(event, Trade)]
    assert (repair.state, len(found)) == ("repaired", len(set(found)))
    assert set(found) == {name for name, at_ms in trades if second + 500 <= at_ms <= second + 4400}


def test_a_second_that_fills_a_page_is_partial() -> None:
    second = START_MS // 1000 * 1000
    trades = [trade_at(second - 1), *(trade_at(second + index // 2, index) for index in range(1200))]
    repair, events = InSeconds("bitget", trades).fill(trade_hole(second - 10, second + 900))

    found = [event.trade_id for event in events if isinstance(event, Trade)]
    assert (repair.state, len(found), len(set(found))) == ("partial", 1001, 1001)
    assert trades[0][0] in found


def test_a_trade_whose_id_says_no_time_is_of_the_first_second() -> None:
    second = START_MS // 1000 * 1000
    trades = [("1", second - 500), ("2", second + 100), ("3", second + 2100)]
    repair, events = InSeconds("bitget", trades).fill(trade_hole(second + 200, second + 2500))

    assert (repair.state, [event.trade_id for event in events if isinstance(event, Trade)]) == ("repaired", ["2", "3"])


@pytest.mark.parametrize("order", [1, -1])
def test_trades_of_a_second_may_come_in_any_order(order: int) -> None:
    rows = [
        {"tradeId": name, "price": "1", "size": "1", "side": "buy", "ts": str(at_ms // 1000 * 1000)}
        for name, at_ms in (trade_at(START_MS + 10), trade_at(START_MS + 5), trade_at(START_MS + 20))
    ]
    page = past_trades("bitget", MIX + "fills-history", {})
    trades = page.parse(PageRequest("BTCUSDT", 1000), answer(rows[::order]), NOW_NS).events

    assert [trade.transaction_time_ns // MS - START_MS for trade in trades] == [5, 10, 20]


@pytest.mark.parametrize(
    ("name", "trade_id", "at"),
    [("bitget/examples_trade.jsonl", "tradeId", "ts"), ("bitget_v3/examples_trade.jsonl", "i", "T"),
     ("bitget_spot/examples_trade.jsonl", "tradeId", "ts")],
)  # fmt: skip
def test_ids_of_recorded_trades_say_when_they_were(name: str, trade_id: str, at: str) -> None:
    found = [row for line in frames(name).read_bytes().splitlines() for row in texts(line).get("data", ())]

    assert found
    for row in found:
        second = int(row[at]) // 1000 * 1000
        assert traded_ns(TradeRow(row[trade_id], "1", "1", "buy", second)) == int(row[at]) * MS


def test_no_trades_are_all_of_them() -> None:
    repair, events = Venue().fill(trade_hole(START_MS, START_MS + 100))

    assert (repair.state, events) == ("repaired", [])


def test_trades_of_another_time_are_a_bad_answer() -> None:
    row = {"tradeId": "1", "price": "1", "size": "1", "side": "buy", "ts": str(START_MS + 1000)}
    with pytest.raises(BadAnswer, match="another time"):
        drive(RESTS["bitget"].repair(trade_hole(START_MS, START_MS + 10)), lambda _: answer([row]), NOW_NS)


def test_rates_are_looked_for_page_by_page() -> None:
    venue, days = Venue(), 60
    ended = START_MS - START_MS % DAY_MS
    hole = Hole("funding_rate", "BTCUSDT", (ended - days * DAY_MS) * MS, (ended - 1) * MS)
    repair, events = venue.fill(hole)

    assert (repair.state, len(events), len(venue.asked)) == ("repaired", 3 * days, 2)
    assert all(isinstance(event, FundingRate) and event.settled for event in events)
    assert len({event.transaction_time_ns for event in events}) == 3 * days


class Spoiled(Venue):
    def answer(self, request: Request) -> bytes:
        document = json.loads(super().answer(request))
        row = document["data"][1]
        if isinstance(row, list):
            row[1] = "NaN"
        else:
            row.update(price="NaN", fundingRate="NaN")
        return json.dumps(document).encode()


def test_a_row_that_cannot_be_read_leaves_the_others() -> None:
    trades = [(str(number), START_MS + number) for number in range(5)]
    repair, events = Spoiled("bitget", trades).fill(trade_hole(START_MS, START_MS + 10))
    assert (repair.state, len(events)) == ("partial", 4)
    repair, events = Spoiled().fill(candle_hole(START_MS, START_MS + 4 * MINUTE_MS))
    assert (repair.state, len(events)) == ("partial", 4)
    ended = START_MS - START_MS % DAY_MS
    repair, events = Spoiled().fill(Hole("funding_rate", "BTCUSDT", (ended - DAY_MS) * MS, (ended + DAY_MS) * MS))
    assert (repair.state, len(events)) == ("partial", 4), "five less one"


@pytest.mark.parametrize("stream", ["ticker", "mark_price", "liquidation", "book_ticker", "open_interest", "depth"])
def test_streams_without_a_history_have_no_repair(stream: str) -> None:
    assert all(rest.repair(Hole(stream, "BTCUSDT", 0, 1)) is None for rest in RESTS.values())


# ------------------------------------------------------------------------------------------------------------- examples


def bodies(name: str) -> list[bytes]:
    return [line for line in frames(name).read_bytes().splitlines() if b'"requestTime"' in line]


@pytest.mark.parametrize(
    ("name", "word", "path"),
    [("bitget/examples_rest.jsonl", "bitget", MIX), ("bitget_spot/examples_rest_candles.jsonl", "bitget_spot", SPOT)],
)
def test_recorded_candles(name: str, word: str, path: str) -> None:
    (line,) = [line for line in bodies(name) if b'"data":[["' in line]
    page = klines(word, path + "candles", {}, {"1m": "1m"})
    candles: list[Kline] = page.parse(PageRequest("BTCUSDT", 1000, "1m"), line, NOW_NS).events

    rows = texts(line)["data"]
    assert len(candles) == len(rows) == 3
    for candle, row in zip(candles, rows, strict=True):
        assert candle.open_time_ns == int(row[0]) * MS
        assert [candle.open, candle.high, candle.low, candle.close, candle.volume, candle.quote_volume] == row[1:7]


def test_recorded_rates() -> None:
    (line,) = [line for line in bodies("bitget/examples_rest.jsonl") if b'"fundingTime"' in line]
    rates: list[FundingRate] = SETTLED.parse(PageRequest("BTCUSDT", 100), line, NOW_NS).events

    assert [(rate.funding_rate, (rate.transaction_time_ns or 0) // MS) for rate in rates] == [
        (row["fundingRate"], int(row["fundingTime"])) for row in reversed(texts(line)["data"])
    ]


def test_a_recorded_contract() -> None:
    (line,) = [line for line in bodies("bitget/examples_rest.jsonl") if b'"symbolType"' in line]
    (one,) = CONTRACTS.parse(line, NOW_NS).instruments

    assert (one.symbol, one.status, one.kind, one.margin_asset) == ("BTCUSDT", "normal", "perpetual", "USDT")
    assert (one.tick_size, one.step_size, one.min_quantity, one.max_quantity) == ("0.1", "0.0001", "0.0001", "1200")
    assert (one.min_notional, one.funding_interval, one.contract_size) == ("5", 28_800, "1")
    assert (one.onboard_time_ns, one.delivery_time_ns) == (None, None)


@pytest.mark.parametrize(("step", "place", "tick"), [("5", "2", "0.05"), ("1", "0", "1"), ("10", "1", "1.0")])
def test_a_tick_is_the_end_step_at_the_last_place(step: str, place: str, tick: str) -> None:
    row = {"symbol": "X", "baseCoin": "X", "quoteCoin": "USDT", "symbolStatus": "normal", "symbolType": "delivery",
           "priceEndStep": step, "pricePlace": place}  # fmt: skip
    (one,) = CONTRACTS.parse(answer([row]), NOW_NS).instruments

    assert (one.tick_size, one.kind, one.funding_interval, one.margin_asset) == (tick, "future", None, None)


def test_a_pair() -> None:
    row = {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "minTradeAmount": "0", "status": "online",
           "maxTradeAmount": "900000000", "pricePrecision": "2", "quantityPrecision": "6",
           "minTradeUSDT": "1"}  # fmt: skip
    (one,) = PAIRS.parse(answer([row]), NOW_NS).instruments

    assert (one.exchange, one.tick_size, one.step_size, one.kind) == ("bitget_spot", "0.01", "0.000001", "spot")
    assert PAIRS.parse(answer([{**row, "pricePrecision": "x"}, row]), NOW_NS).instruments == [one]


# --------------------------------------------------------------------------------------------------------------- errors


def test_recorded_errors() -> None:
    found = [
        refusal
        for line in bodies("bitget/examples_rest.jsonl")
        if (refusal := RESTS["bitget"].refusal(400, line)) is not None
    ]

    assert [(each.code, each.kind) for each in found] == [("40034", "final"), ("40019", "final")]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(400, "40034", "final"), (200, "40019", "final"), (429, "429", "limited"), (200, "45001", "again"),
     (400, "25100", "final"), (400, "40200", "again"), (400, "40604", "again"), (400, "40808", "final"),
     (400, "40017", "final")],
)  # fmt: skip
def test_an_error_says_its_code_and_what_it_is_about(status: int, code: str, kind: str) -> None:
    refusal = RESTS["bitget_spot"].refusal(status, answer(None, code, "why"))

    assert refusal is not None
    assert (refusal.code, refusal.message, refusal.kind) == (code, "why", kind)


@pytest.mark.parametrize("body", [b"<html>", b"", b"{}", b"[]", b"\xff"])
def test_what_is_no_error_of_the_api(body: bytes) -> None:
    assert RESTS["bitget"].refusal(400, body) is None
    assert RESTS["bitget"].refusal(200, answer([])) is None


@pytest.mark.parametrize(
    "body", [answer(None, "40034", "no"), answer(None), answer([["1"]]), answer([{}]), answer(5), b"", b"\xff",
             b"[" * 100_000, answer([["99999999999999999", *"123456"]]), answer([["2", *"111111"], ["1", *"111111"]])],
)  # fmt: skip
def test_bad_answers_raise_nothing_else(body: bytes) -> None:
    page = klines("bitget", MIX + "candles", {}, {})
    with pytest.raises(BadAnswer):
        page.parse(PageRequest("BTCUSDT", 1000, "1m"), body, NOW_NS)
    with pytest.raises(BadAnswer):
        past_trades("bitget", MIX + "fills-history", {}).parse(PageRequest("BTCUSDT", 1000), body, NOW_NS)
    with pytest.raises(BadAnswer):
        SETTLED.parse(PageRequest("BTCUSDT", 100), body, NOW_NS)


def test_the_rest_side_of_each_market() -> None:
    for word, rest in RESTS.items():
        assert type(load_rest(word)) is type(rest)
        assert rest.base(True) == rest.base(False) == "https://api.bitget.com"
        assert rest.testnet_headers == {"paptrading": "1"}
    feed = Feed("g", "bitget", ("BTCUSDT",), ("trade", "mark_price", "funding_rate", "kline"), ("5m",))
    (plan,) = load("bitget").plan(feed)
    assert {(each.stream, each.interval) for each in RESTS["bitget"].series(plan) if isinstance(each, Series)} == {
        ("trade", ""), ("mark_price", ""), ("funding_rate", ""), ("kline", "5m"),
    }  # fmt: skip
