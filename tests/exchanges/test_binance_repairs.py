"""Holes are filled exactly: every missing id and candle, none twice, none that is still open."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from exchanges.driving import drive
from exchanges.loopback_rest import MS, START_MS, SYMBOL, LoopbackRest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.events import Depth, FundingRate, Kline, Source, Trade, UpdateType
from wsadapter.exchanges.binance.coinm_rest import BinanceCoinMRest
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.rest_api import BadAnswer, ErrorKind, Filled, Hole, Request, RequestRefused, RestError, TooOld

HOUR_NS = 3_600_000 * MS
REST = BinanceFuturesRest()


def trades(first: int | None, last: int | None, started_ms: int = 0, ended_ms: int = 2**40) -> Hole:
    return Hole("trade", SYMBOL, started_ms * MS, ended_ms * MS, first, last)


def candles(first: int | None, last: int | None, started_ms: int = 0, ended_ms: int = 2**40) -> Hole:
    return Hole("kline", SYMBOL, started_ms * MS, ended_ms * MS, first, last, "1m")


def test_missing_trades_come_by_id_and_equal_the_streamed_ones() -> None:
    venue = LoopbackRest("btcusdt@aggTrade").run(60)
    streamed = {event["a"]: event for event in venue.pushed}
    ids = sorted(streamed)
    repair, found = venue.fill(trades(ids[10], ids[-5]))
    assert repair.state == "repaired"
    assert [event.trade_number for event in found if isinstance(event, Trade)] == ids[10:-4]
    for event in found:
        assert isinstance(event, Trade)
        twin = streamed[event.trade_number or 0]
        assert (event.price, event.quantity, event.buyer_is_maker) == (twin["p"], twin["q"], twin["m"])
        # the key of the table: aggregated, transaction time, trade id
        assert (event.aggregated, event.transaction_time_ns, event.trade_id) == (True, twin["T"] * MS, str(twin["a"]))
        assert event.source is Source.REST
    assert all(int(dict(request.query)["limit"]) <= 1000 for request in venue.asked)
    assert {request.weight for request in venue.asked} == {20}


def test_more_than_a_page() -> None:
    venue = LoopbackRest("btcusdt@aggTrade").run(40)
    ids = sorted(event["a"] for event in venue.pushed)
    assert len(ids) > 2_100
    repair, found = venue.fill(trades(ids[0], ids[2_099]))
    assert (repair.state, len(found), len(venue.asked)) == ("repaired", 2_100, 3)


def test_without_ids_time_says_what_is_missing() -> None:
    venue = LoopbackRest("btcusdt@aggTrade").run(60)
    streamed = [event for event in venue.pushed if START_MS + 10_000 <= event["T"] <= START_MS + 20_000]
    repair, found = venue.fill(trades(None, None, START_MS + 10_000, START_MS + 20_000))
    assert repair.state == "repaired"
    assert [event.trade_number for event in found if isinstance(event, Trade)] == [event["a"] for event in streamed]


@pytest.mark.parametrize(("known_first", "known_last"), [(True, False), (False, True)])
def test_one_id_and_the_time_on_the_other_side(known_first: bool, known_last: bool) -> None:
    venue = LoopbackRest("btcusdt@aggTrade").run(60)
    streamed = [event["a"] for event in venue.pushed if START_MS + 10_000 <= event["T"] <= START_MS + 20_000]
    first, last = streamed[0] if known_first else None, streamed[-1] if known_last else None
    repair, found = venue.fill(trades(first, last, START_MS + 10_000, START_MS + 20_000))
    assert repair.state == "repaired"
    assert [event.trade_number for event in found if isinstance(event, Trade)] == streamed


def test_a_quiet_symbol_is_looked_for_hour_by_hour() -> None:
    venue = LoopbackRest()
    repair, found = venue.fill(trades(None, None, START_MS - 3 * 3_600_000, START_MS - 1))
    assert (repair.state, found) == ("repaired", [])
    assert len(venue.asked) == 3
    for request in venue.asked:
        query = {key: int(value) for key, value in request.query if key.endswith("Time")}
        assert query["endTime"] - query["startTime"] < 3_600_000


def test_what_the_venue_no_longer_has_leaves_it_partial() -> None:
    venue = LoopbackRest("btcusdt@aggTrade").run(20)
    ids = sorted(event["a"] for event in venue.pushed)
    repair, found = venue.fill(trades(ids[0] - 100, ids[20]))
    assert repair.state == "partial"
    assert len(found) == 21
    repair, found = venue.fill(trades(ids[0] - 100, ids[0] - 50))
    assert (repair.state, found) == ("unrepairable", [])


def test_ids_that_nobody_has_yet_end_the_repair() -> None:
    venue = LoopbackRest("btcusdt@aggTrade").run(20)
    newest = max(event["a"] for event in venue.pushed)
    repair, found = venue.fill(trades(newest - 4, newest + 500))
    assert repair.state == "partial"
    assert len(found) == 5


def test_missing_candles_come_by_open_time() -> None:
    venue = LoopbackRest("btcusdt@kline_1m").run(400)
    closed = [event["k"] for event in venue.pushed if event["k"]["x"]]
    repair, found = venue.fill(candles(closed[1]["t"] * MS, closed[3]["t"] * MS))
    assert repair.state == "repaired"
    for candle, twin in zip(found, closed[1:4], strict=True):
        assert isinstance(candle, Kline)
        assert candle.closed
        assert candle.source is Source.REST
        assert (candle.interval, candle.open_time_ns, candle.close_time_ns) == ("1m", twin["t"] * MS, twin["T"] * MS)
        assert [candle.open, candle.high, candle.low, candle.close, candle.volume, candle.quote_volume] == [
            twin[key] for key in "ohlcvq"
        ]
        assert (candle.trade_count, candle.taker_buy_volume) == (twin["n"], twin["V"])
        assert candle.taker_buy_quote_volume == twin["Q"]
    assert {request.weight for request in venue.asked} == {1}


def test_candles_that_closed_in_a_time() -> None:
    venue = LoopbackRest("btcusdt@kline_1m").run(400)
    closed = [event["k"] for event in venue.pushed if event["k"]["x"]]
    repair, found = venue.fill(candles(None, None, closed[1]["T"] - 5_000, closed[2]["T"] + 5_000))
    assert repair.state == "repaired"
    assert [candle.open_time_ns for candle in found if isinstance(candle, Kline)] == [k["t"] * MS for k in closed[1:3]]


def page_of(rows: list[list[Any]], request: Request) -> bytes:
    query = dict(request.query)
    within = [r for r in rows if int(query["startTime"]) <= r[0] <= int(query["endTime"])]
    return json.dumps(within[: int(query["limit"])]).encode()


def test_more_candles_than_a_page() -> None:
    opened = START_MS // 60_000 * 60_000 - 60_000 * 1_200
    rows = [row(opened + number * 60_000) for number in range(1_203)]
    hole = candles(rows[0][0] * MS, rows[1_199][0] * MS)
    repair, found = drive(REST.repair(hole), lambda request: page_of(rows, request), 2 * START_MS * MS)
    assert (repair.state, len(found)) == ("repaired", 1_200)


def test_the_open_candle_is_never_published() -> None:
    venue = LoopbackRest("btcusdt@kline_1m").run(130)
    hole = candles(START_MS // 60_000 * 60_000 * MS, venue.now_ms // 60_000 * 60_000 * MS)
    with pytest.raises(BadAnswer, match="not closed yet"):
        venue.fill(hole)
    venue.run(60)
    repair, found = venue.fill(hole)
    assert all(event.closed for event in found if isinstance(event, Kline))
    assert (repair.state, bool(found)) == ("repaired", True)


def test_a_candle_that_the_venue_lacks_leaves_it_partial() -> None:
    opened = START_MS // 60_000 * 60_000
    rows = [row(opened), row(opened + 120_000), row(opened + 180_000)]
    hole = candles(opened * MS, (opened + 120_000) * MS)
    repair, found = drive(REST.repair(hole), lambda _: json.dumps(rows).encode(), 2 * START_MS * MS)
    assert (repair.state, len(found)) == ("partial", 2)
    assert repair.missing == (((opened + 60_000) * MS, (opened + 60_000) * MS),)


BEGIN = START_MS // 60_000 * 60_000


@pytest.mark.parametrize(
    ("given", "first", "outcome", "missing"),
    [
        (range(-1, 181), None, ("repaired", 180), None),
        (range(30), None, ("partial", 30), (30, 179)),
        ((), None, ("unrepairable", 0), None),
        (range(40, 181), None, ("repaired", 140), None),
        (range(180), 0, ("repaired", 180), None),
        (range(30), 0, ("partial", 30), (30, 179)),
        ((), 0, ("unrepairable", 0), (0, 179)),
    ],
    ids=["all", "ends", "none", "listed later", "all of known", "known ends", "none of known"],
)
def test_what_the_venue_leaves_out_at_the_end_is_missing_though_nothing_was_recorded_behind(
    given: Sequence[int], first: int | None, outcome: tuple[str, int], missing: tuple[int, int] | None
) -> None:
    """Three hours; a halt, a venue without an answer, a symbol that is gone."""
    rows = [row(BEGIN + number * 60_000) for number in given]
    hole = candles(None if first is None else BEGIN * MS, None, BEGIN, BEGIN + 180 * 60_000)
    repair, found = drive(REST.repair(hole), lambda request: page_of(rows, request), 2 * START_MS * MS)
    assert (repair.state, len(found)) == outcome
    assert repair.missing == (() if missing is None else (tuple((BEGIN + each * 60_000) * MS for each in missing),))


@pytest.mark.parametrize("is_recorded", [True, False])
@pytest.mark.parametrize(
    ("listed", "venue", "state"),
    [(179, 182, "repaired"), (179, 179, "repaired"), (180, 182, "repaired"), (183, 185, "unrepairable")],
    ids=["closed", "open", "behind", "later"],
)
def test_before_a_listing_at_the_end_nothing_is_missing(listed: int, venue: int, state: str, is_recorded: bool) -> None:
    """Its first candle is the first that was recorded, too, or none was, yet."""
    rows = [row(BEGIN + number * 60_000) for number in range(listed, 185)]
    last = (BEGIN + listed * 60_000) * MS - 1 if is_recorded else None
    hole = candles(None, last, BEGIN, BEGIN + 179 * 60_000 + 30_000)
    repair, found = drive(
        REST.repair(hole), lambda request: page_of(rows, request), (BEGIN + venue * 60_000 + 45_000) * MS
    )
    assert (repair.state, len(found)) == ("repaired" if is_recorded else state, 0)


@pytest.mark.parametrize(("venue_ms", "state"), [(119_000, "repaired"), (130_000, "partial")])
def test_a_candle_that_has_not_closed_by_the_venues_clock_is_not_missing(venue_ms: int, state: str) -> None:
    hole = candles(BEGIN * MS, None, BEGIN, BEGIN + 120_500)
    rows = [row(BEGIN)]
    repair, found = drive(REST.repair(hole), lambda request: page_of(rows, request), (BEGIN + venue_ms) * MS)
    assert (repair.state, len(found)) == (state, 1)
    rows.append(row(BEGIN + 60_000))
    repair, found = drive(REST.repair(hole), lambda request: page_of(rows, request), (BEGIN + 119_000) * MS)
    assert (repair.state, len(found)) == ("repaired", 1), "open"


def test_no_candle_need_close_in_less_than_two_of_them() -> None:
    hole = candles(None, None, BEGIN + 1, BEGIN + 119_000)
    repair, _ = drive(REST.repair(hole), lambda _: b"[]", 2 * START_MS * MS)
    assert repair.state == "repaired"


def test_settled_funding_rates() -> None:
    venue = LoopbackRest()
    repair, found = venue.fill(Hole("funding_rate", SYMBOL, (START_MS - 20 * 3_600_000) * MS, START_MS * MS))
    assert repair.state == "repaired"
    assert found
    for rate in found:
        assert isinstance(rate, FundingRate)
        assert (rate.transaction_time_ns or 0) % (8 * HOUR_NS) == 0
        assert rate.mark_price
    assert venue.asked[0].pool == "funding"
    repair, found = venue.fill(Hole("funding_rate", SYMBOL, START_MS * MS, (START_MS + 60_000) * MS))
    assert (repair.state, found, len(venue.asked)) == ("repaired", [], 1)  # no full hour, no question


def test_a_book_is_what_it_is_now() -> None:
    venue = LoopbackRest("btcusdt@depth@100ms").run(5)
    repair, (book,) = venue.fill(Hole("depth", SYMBOL, 0, 1))
    assert repair.state == "partial"
    assert isinstance(book, Depth)
    assert (book.update_type, book.level_limit, book.source) == (UpdateType.SNAPSHOT, 1000, Source.REST)
    assert len(book.bid_price) == len(book.bid_quantity) > 20
    repair, (top,) = venue.fill(Hole("depth", SYMBOL, 0, 1, levels=20))
    assert isinstance(top, Depth)
    assert (top.level_limit, len(top.ask_price)) == (50, 50)
    assert [request.weight for request in venue.asked] == [20, 2]


@pytest.mark.parametrize("stream", ["ticker", "book_ticker", "mark_price", "liquidation", "raw_trade", ""])
def test_what_has_no_history(stream: str) -> None:
    assert REST.repair(Hole(stream, SYMBOL, 0, 1)) is None


def test_a_refusal_ends_it() -> None:
    repair, found = drive(REST.repair(trades(1, 2)), lambda _: RequestRefused("-1121 Invalid symbol."), 0)
    assert (repair.state, found, repair.missing) == ("unrepairable", [], ((1, 2),))
    assert repair.reason == "-1121 Invalid symbol."


class ShortMemory:
    """One trade each ten minutes of 60 hours, numbered from 1000 on. What is older than it keeps it refuses, and with
    ``passes`` that time passes between two requests."""

    def __init__(self, rest: BinanceFuturesRest | BinanceCoinMRest, kept: int, passes_ms: int = 0) -> None:
        self.now_ms, self._kept_ms, self._passes_ms = START_MS, kept * 3_600_000, passes_ms
        self.times = {1000 + n: START_MS - (360 - n) * 600_000 for n in range(360)}
        self._rest = rest
        self.asked: list[dict[str, str]] = []

    @property
    def oldest(self) -> int:
        """That it still has."""
        return min(n for n, at_ms in self.times.items() if at_ms >= self.now_ms - self._kept_ms)

    def answer(self, request: Request) -> bytes | RestError:
        query = dict(request.query)
        self.asked.append(query)
        self.now_ms += self._passes_ms
        first = int(query.get("fromId", max(self.times)))
        found = {n: at_ms for n, at_ms in self.times.items() if n >= first}
        if "startTime" in query:
            begin, end = int(query["startTime"]), int(query["endTime"])
            found = {n: at_ms for n, at_ms in self.times.items() if begin <= at_ms <= end}
        oldest_ms = min(int(query.get("startTime", START_MS)), *found.values(), START_MS)
        if oldest_ms < self.now_ms - self._kept_ms:
            refusal = self._rest.refusal(
                400, b'{"code":-4166,"msg":"Search window is restricted to recent 2 days only."}'
            )
            assert refusal
            assert refusal.kind is ErrorKind.TOO_OLD
            return TooOld(f"{refusal.code} {refusal.message}")
        rows = [trade(n) | {"T": at_ms} for n, at_ms in found.items()]
        return json.dumps(rows[: int(query["limit"])]).encode()

    def fill(self, hours: int, first: int | None, last: int | None) -> tuple[Filled, list[int | None]]:
        hole = trades(first, last, START_MS - hours * 3_600_000, START_MS)
        filled, found = drive(self._rest.repair(hole), self.answer, START_MS * MS)
        return filled, [event.trade_number for event in found if isinstance(event, Trade)]


@pytest.mark.parametrize(("rest", "kept"), [(BinanceFuturesRest(), 48), (BinanceCoinMRest(), 24)])
@pytest.mark.parametrize("last", [None, 1350])
@pytest.mark.parametrize("first", [None, 1001])
def test_of_a_hole_that_began_before_what_the_venue_keeps_comes_what_it_keeps(
    rest: BinanceFuturesRest | BinanceCoinMRest, kept: int, first: int | None, last: int | None
) -> None:
    venue = ShortMemory(rest, kept)
    repair, found = venue.fill(59, first, last)
    begin = venue.oldest + 1  # what is about to go is not asked for
    assert found == list(range(begin, (last or 1359) + 1))
    assert (repair.state, repair.missing) == ("partial", () if first is None else ((first, begin - 1),))
    assert repair.reason.startswith("-4166 ")


@pytest.mark.parametrize(("first", "last"), [(None, None), (1001, 1019)])
def test_a_hole_that_ended_before_what_the_venue_keeps_is_lost(first: int | None, last: int | None) -> None:
    hole = trades(first, last, START_MS - 59 * 3_600_000, START_MS - 56 * 3_600_000)
    venue = ShortMemory(REST, 48)
    repair, found = drive(REST.repair(hole), venue.answer, START_MS * MS)
    assert (repair.state, found, repair.missing) == ("unrepairable", [], () if first is None else ((1001, 1019),))
    assert len(venue.asked) == 2


def test_trades_that_go_while_they_are_asked_for_are_lost_and_named() -> None:
    """Hours may pass between two requests, where others use up what the host allows."""
    venue = ShortMemory(REST, 48, passes_ms=5 * 60_000)
    repair, found = venue.fill(59, 1001, 1350)
    assert (repair.state, repair.missing) == ("partial", ((1001, (found[0] or 0) - 1),))
    assert found == list(range(found[0] or 0, 1351))
    assert len(venue.asked) < 12


def test_a_venue_that_refuses_whatever_is_asked_ends_it() -> None:
    newest = json.dumps([trade(1359) | {"T": START_MS}]).encode()
    asked = []

    def answer(request: Request) -> bytes | RestError:
        asked.append(request)
        return newest if len(request.query) == 2 else TooOld("-4166 no")

    repair, found = drive(REST.repair(trades(1001, 1350, START_MS - 60 * 3_600_000, START_MS)), answer, START_MS * MS)
    assert (repair.state, found, repair.missing) == ("unrepairable", [], ((1001, 1350),))
    assert len(asked) < 20


def row(opened_ms: int) -> list[Any]:
    return [opened_ms, "1", "1", "1", "1", "1", opened_ms + 59_999, "1", 1, "1", "1", "0"]


@given(
    first=st.integers(1, 50),
    count=st.integers(0, 40),
    last=st.one_of(st.none(), st.integers(1, 60)),
)
def test_every_market_of_trades_is_filled_as_far_as_it_goes(first: int, count: int, last: int | None) -> None:
    """Against a model: ids 20..59, one a millisecond."""
    wanted = [n for n in range(20, 60) if first <= n and (n <= last if last is not None else n <= first + count)]
    asked = []

    def answer(request: Request) -> bytes:
        asked.append(request)
        limit, start = (int(dict(request.query)[name]) for name in ("limit", "fromId"))
        return json.dumps([trade(n) for n in range(max(start, 20), 60)][:limit]).encode()

    repair, found = drive(REST.repair(trades(first, last, 0, first + count)), answer, 0)
    assert [event.trade_number for event in found if isinstance(event, Trade)] == wanted
    assert len(asked) <= 2
    if last is not None and last >= first:
        assert (repair.state == "repaired") == (first >= 20 and last < 60)
        assert sum(end - begin + 1 for begin, end in repair.missing) == last - first + 1 - len(wanted)


@given(
    bad=st.sets(st.integers(10, 29), max_size=8), last=st.one_of(st.none(), st.integers(15, 35)), named=st.booleans()
)
def test_a_row_that_cannot_be_read_costs_itself(bad: set[int], last: int | None, named: bool) -> None:
    """Ids 10..29, one a millisecond; of the bad ones the price cannot be read, or nothing at all."""

    def answer(request: Request) -> bytes:
        limit, start = (int(dict(request.query)[name]) for name in ("limit", "fromId"))
        rows = [trade(n) | ({} if n not in bad else {"p": "1e5"} if named else {"a": None}) for n in range(start, 30)]
        return json.dumps(rows[:limit]).encode()

    wanted = [n for n in range(10, 30) if last is None or n <= last]
    readable = [n for n in wanted if n not in bad]
    try:
        repair, found = drive(REST.repair(trades(10, last, 0, 29)), answer, 0)
    except BadAnswer:
        assert not named or set(range(10, 30)) & bad
        return
    assert [event.trade_number for event in found if isinstance(event, Trade)] == readable
    if len(readable) < len(wanted):
        assert repair.state == "partial"
        if named:
            missing = {n for begin, end in repair.missing for n in range(begin, end + 1)}
            assert missing & set(wanted) == set(wanted) - set(readable)
    elif last is None or last <= 29:
        assert repair.state == "repaired"


def trade(number: int) -> dict[str, Any]:
    return {"a": number, "p": "1", "q": "1", "f": 1, "l": 1, "T": number, "m": True}


def test_no_candle_closed_before_the_one_that_was_seen_next() -> None:
    opened = START_MS // 60_000 * 60_000
    hole = candles(None, opened * MS - 1, opened + 1_000, opened + 2_000)
    rows = [row(opened - 60_000), row(opened)]
    repair, found = drive(REST.repair(hole), lambda _: json.dumps(rows).encode(), START_MS * MS)
    assert (repair.state, found) == ("repaired", [])
