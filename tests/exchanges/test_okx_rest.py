"""OKX over REST: pages that end before an id or a time and are full of older rows; errors with HTTP 200."""

import json
from decimal import Decimal
from typing import Any

import pytest
from exchanges.driving import drive
from frames_path import frames

from wsadapter.config.model import Feed
from wsadapter.events import Depth, FundingRate, Kline, MarketEvent, Source, Trade, UpdateType
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.okx import Okx
from wsadapter.exchanges.okx_rest import (
    BOOKS,
    FUNDINGS,
    KLINES,
    LISTINGS,
    RAW_TRADES,
    TICKERS,
    TRADES,
    OkxRest,
    listing,
)
from wsadapter.exchanges.pages import PageRequest
from wsadapter.exchanges.rest_api import (
    BadAnswer,
    ErrorKind,
    Filled,
    Hole,
    Instrument,
    Request,
    RequestRefused,
    Series,
    canonical_name,
)
from wsadapter.listings.kept import in_dollars

MS = 1_000_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
START_MS = 1_790_000_040_000
NOW_NS = 1_795_000_000_000 * MS
SWAP = "BTC-USDT-SWAP"
REST = OkxRest()


def answer(*data: object, code: str = "0", message: str = "") -> bytes:
    return json.dumps({"code": code, "msg": message, "data": data}).encode()


def trade_ms(identity: int) -> int:
    """Three trades a second."""
    return START_MS + identity // 3 * 1000


class Venue:
    """Minutes and rates without end, trades from number 1 on; answers as the documentation says."""

    def __init__(
        self, newest: int = 1000, without: tuple[int, ...] = (), now_ms: int = 1_794_000_000_000, oldest: int = 1
    ) -> None:
        self.newest, self.without, self.now_ms, self.oldest = newest, without, now_ms, oldest
        self.asked: list[dict[str, str]] = []

    def answer(self, request: Request) -> bytes:
        query = dict(request.query)
        self.asked.append(query)
        assert query["instId"] == SWAP
        name = request.path.rpartition("/")[2].replace("-", "_")
        return answer(*getattr(self, name)(query, int(query["limit"])))

    def history_candles(self, query: dict[str, str], limit: int) -> list[list[str]]:
        newest = min((int(query["after"]) - 1) // MINUTE_MS, self.now_ms // MINUTE_MS)
        times = [minute * MINUTE_MS for minute in range(newest, newest - limit, -1)]
        return [
            [str(ms), "1.0", "2.0", "0.5", "1.50", "10", "0.1", "15.5", "01"[ms + MINUTE_MS <= self.now_ms]]
            for ms in times
            if ms not in self.without
        ]

    def history_trades(self, query: dict[str, str], limit: int) -> list[dict[str, str]]:
        after = int(query.get("after", 1 << 60))
        common = {"instId": SWAP, "px": "102537.90", "sz": "0.10", "side": "sell"}
        numbers = [n for n in range(self.newest, self.oldest - 1, -1) if n not in self.without]
        wanted = [n for n in numbers if (n if query["type"] == "1" else trade_ms(n)) < after]
        return [{"tradeId": str(n), "ts": str(trade_ms(n)), **common} for n in wanted[:limit]]

    def funding_rate_history(self, query: dict[str, str], limit: int) -> list[dict[str, str]]:
        newest = (int(query["after"]) - 1) // (8 * HOUR_MS)
        rates = [str(number * 8 * HOUR_MS) for number in range(newest, newest - limit, -1)]
        return [{"instId": SWAP, "fundingRate": "0.1", "realizedRate": "-0.0001", "fundingTime": ms} for ms in rates]

    def fill(self, hole: Hole) -> tuple[Filled, list[MarketEvent]]:
        filled, events = drive(REST.repair(hole), self.answer, NOW_NS)
        assert filled.published == len(events)
        return filled, events


def trades(first: int | None, last: int | None, started_ms: int = 0, ended_ms: int = 0, word: str = "trade") -> Hole:
    return Hole(word, SWAP, started_ms * MS, ended_ms * MS, first, last)


def numbers(events: list[MarketEvent]) -> list[int]:
    return [int(event.trade_id) for event in events if isinstance(event, Trade)]


# ------------------------------------------------------------------------------------------------- trades


def test_missing_trades_come_in_order_page_by_page() -> None:
    venue = Venue()
    repair, events = venue.fill(trades(501, 749))

    assert (repair.state, numbers(events)) == ("repaired", list(range(501, 750)))
    assert [(each["type"], each["after"], each["limit"]) for each in venue.asked] == [
        ("1", "601", "100"), ("1", "701", "100"), ("1", "750", "49"),
    ]  # fmt: skip
    first = events[0]
    assert isinstance(first, Trade)
    assert (first.price, first.quantity, first.buyer_is_maker, first.source) == ("102537.90", "0.10", True, Source.REST)
    assert (first.aggregated, first.first_trade_id, first.last_trade_id, first.trade_number) == (True, 501, 501, None)
    assert first.transaction_time_ns == trade_ms(501) * MS


def test_single_trades_are_those_of_the_other_stream() -> None:
    _, events = Venue().fill(trades(7, 8, word="raw_trade"))

    assert [(e.trade_number, e.aggregated, e.first_trade_id) for e in events if isinstance(e, Trade)] == [
        (7, False, None), (8, False, None),
    ]  # fmt: skip


def test_by_time_it_is_those_behind_the_last_one_before_it() -> None:
    venue = Venue()
    repair, events = venue.fill(trades(None, None, trade_ms(300), trade_ms(450)))

    assert repair.state == "repaired"
    assert numbers(events) == list(range(300, 453)), "to the end of the last millisecond"
    assert venue.asked[0] == {"instId": SWAP, "type": "2", "after": str(trade_ms(300)), "limit": "1"}


@pytest.mark.parametrize(
    ("oldest", "newest", "ended", "days", "state", "last"),
    [
        (700, 5760, 9000, 88, "repaired", 5760),  # listed since then: all of that time is kept
        (700, 9000, 5760, 88, "repaired", 5762),
        (1, 5760, 9000, 100, "repaired", 5760),  # the first trade of all is there
        (700, 5760, 9000, 100, "partial", 5760),  # listed since then, or not kept any longer
    ],
)
def test_where_no_trade_is_older_than_the_hole_all_that_there_are_come(
    oldest: int, newest: int, ended: int, days: int, state: str, last: int
) -> None:
    venue, began_ms = Venue(newest, oldest=oldest), trade_ms(1) - 24 * HOUR_MS
    hole = trades(None, None, began_ms, trade_ms(ended))
    repair, events = drive(REST.repair(hole), venue.answer, (began_ms + days * 24 * HOUR_MS) * MS)

    assert (repair.state, numbers(events)) == (state, list(range(oldest, last + 1)))
    assert bool(repair.reason) == (state == "partial")
    assert len(venue.asked) < 100


def test_an_open_hole_ends_with_the_newest_trade() -> None:
    repair, events = Venue(newest=320).fill(trades(300, None, trade_ms(300), trade_ms(900)))

    assert (repair.state, numbers(events)) == ("repaired", list(range(300, 321)))


def test_trades_that_the_venue_does_not_have_are_named() -> None:
    repair, events = Venue(without=(505, 506, 549)).fill(trades(501, 549))

    assert (repair.state, repair.missing) == ("partial", ((505, 506), (549, 549)))
    assert numbers(events) == [n for n in range(501, 549) if n not in (505, 506)]
    repair, events = Venue(newest=520).fill(trades(501, 700))
    assert (repair.state, numbers(events)) == ("partial", list(range(501, 521)))
    assert repair.missing == ((521, 600), (601, 700))


def test_older_than_what_the_venue_keeps_is_unrepairable() -> None:
    class Short(Venue):
        def history_trades(self, query: dict[str, str], limit: int) -> list[dict[str, str]]:
            return []

    for hole in (trades(501, 510), trades(None, None, 1, 2)):
        assert Short().fill(hole)[0].state == "unrepairable"


def test_a_trade_that_cannot_be_read_is_missing_alone() -> None:
    class Spoiled(Venue):
        def history_trades(self, query: dict[str, str], limit: int) -> list[dict[str, str]]:
            found = super().history_trades(query, limit)
            for row in found:
                if row["tradeId"] in ("499", "505", "510"):
                    row["px"] = "NaN"
            return found

    repair, events = Spoiled().fill(trades(501, 510))
    assert (repair.state, numbers(events)) == ("partial", [501, 502, 503, 504, 506, 507, 508, 509])
    assert repair.missing == ((505, 505), (510, 510))
    assert repair.reason
    assert Spoiled().fill(trades(500, 504))[0].state == "repaired", "that one is older"


# ------------------------------------------------------------------------------------------------- candles, rates, book


def candles(first_ms: int, last_ms: int | None, ended_ms: int = 0) -> Hole:
    last = None if last_ms is None else last_ms * MS
    return Hole("kline", SWAP, first_ms * MS, ended_ms * MS, first_ms * MS, last, "1m")


def test_missing_candles_come_in_order_page_by_page() -> None:
    venue = Venue()
    last_ms = START_MS + 249 * MINUTE_MS
    repair, events = venue.fill(candles(START_MS, last_ms))

    assert repair.state == "repaired"
    assert [event.open_time_ns // MS for event in events if isinstance(event, Kline)] == list(
        range(START_MS, last_ms + 1, MINUTE_MS)
    )
    first = events[0]
    assert isinstance(first, Kline)
    assert (first.open, first.close, first.volume, first.quote_volume) == ("1.0", "1.50", "10", "15.5")
    assert (first.close_time_ns, first.closed) == ((START_MS + MINUTE_MS - 1) * MS, True)
    assert {query["bar"] for query in venue.asked} == {"1m"}


def test_the_row_says_whether_its_candle_is_closed() -> None:
    now = START_MS + 3 * MINUTE_MS - 1
    _, events = Venue(now_ms=now).fill(candles(START_MS, None, START_MS + 10 * MINUTE_MS))

    assert [event.open_time_ns // MS - START_MS for event in events if isinstance(event, Kline)] == [0, MINUTE_MS]
    with pytest.raises(BadAnswer, match="not closed yet"):
        Venue(now_ms=now).fill(candles(START_MS, START_MS + 2 * MINUTE_MS))


def test_a_candle_that_the_venue_does_not_have_leaves_the_hole_partial() -> None:
    repair, events = Venue(without=(START_MS + MINUTE_MS,)).fill(candles(START_MS, START_MS + 2 * MINUTE_MS))

    assert (repair.state, len(events)) == ("partial", 2)


@pytest.mark.parametrize("days", [1, 30])
def test_settled_rates_are_those_that_were_realized(days: int) -> None:
    started = START_MS - START_MS % (24 * HOUR_MS)
    hole = Hole("funding_rate", SWAP, started * MS, (started + days * 24 * HOUR_MS - 1) * MS)
    repair, events = Venue().fill(hole)

    assert (repair.state, len(events)) == ("repaired", 3 * days)
    assert [event.transaction_time_ns for event in events if isinstance(event, FundingRate)] == [
        (started + number * 8 * HOUR_MS) * MS for number in range(3 * days)
    ]
    assert {(e.funding_rate, e.settled) for e in events if isinstance(e, FundingRate)} == {("-0.0001", True)}


def test_the_present_book_is_a_snapshot() -> None:
    row = {"asks": [["41006.8", "0.60038921", "0", "1"]], "bids": [], "ts": "1629966436396", "seqId": 3235851742}
    repair, (event,) = drive(REST.repair(Hole("depth", SWAP, 0, 1)), lambda _: answer(row), NOW_NS)

    assert repair.state == "partial"
    assert isinstance(event, Depth)
    assert (event.update_type, event.level_limit, event.last_update_id) == (UpdateType.SNAPSHOT, 400, 3235851742)
    assert (list(event.ask_price), list(event.bid_price)) == (["41006.8"], [])


def test_what_the_venue_keeps_nothing_of_is_not_repaired() -> None:
    for word in ("ticker", "liquidation", "mark_price", "book_ticker"):
        assert REST.repair(Hole(word, SWAP, 0, 1)) is None
    assert REST.repair(Hole("kline", SWAP, 0, 1, interval="8h")) is None


# ------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (200, "51001", ErrorKind.FINAL), (400, "51000", ErrorKind.FINAL), (429, "50011", ErrorKind.LIMITED),
        (200, "50011", ErrorKind.LIMITED), (429, "50013", ErrorKind.AGAIN), (503, "50001", ErrorKind.AGAIN),
        (500, "50026", ErrorKind.AGAIN),
    ],
)  # fmt: skip
def test_errors_have_a_code_whatever_the_status(status: int, code: str, kind: ErrorKind) -> None:
    refusal = REST.refusal(status, answer(code=code, message="Instrument ID … doesn't exist."))

    assert refusal is not None
    assert (refusal.code, refusal.kind) == (code, kind)
    assert refusal.message.isascii()


@pytest.mark.parametrize("body", [answer([]), b"", b"<html>", b"[]", b"null", b'{"code":0}', b"\xff", b"[" * 100_000])
def test_what_is_no_error_of_the_api_is_none(body: bytes) -> None:
    assert REST.refusal(200, body) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"code":"0","data":5}', answer(code="51001", message="x"), answer([1]), answer(5), b"\xff",
     answer(["1", "nan", *["1"] * 7])],
)  # fmt: skip
@pytest.mark.parametrize("page", [KLINES, TRADES[0], RAW_TRADES[1], FUNDINGS, BOOKS])
def test_hostile_answers_are_bad_answers(page: Any, body: bytes) -> None:
    with pytest.raises(BadAnswer):
        page.parse(PageRequest(SWAP, 100, "1m"), body, NOW_NS)


def test_rows_out_of_order_or_of_another_symbol_are_bad() -> None:
    two = Venue().history_trades({"type": "1", "after": "9"}, 2)
    for rows in (two[::-1], [two[0], two[0]], [each | {"instId": "ETH-USDT-SWAP"} for each in two]):
        with pytest.raises(BadAnswer):
            TRADES[0].parse(PageRequest(SWAP, 100), answer(*rows), NOW_NS)


# ------------------------------------------------------------------------------------------------- listing and plan


def listed(kind: str) -> dict[str, Instrument]:
    """Of the example body of this kind."""
    found: dict[str, Instrument] = {}
    for line in frames("okx/nautilus_rest_fixtures.jsonl").read_bytes().splitlines():
        document = json.loads(line)
        rows = document.get("data", []) if isinstance(document, dict) else []
        if rows and isinstance(rows[0], dict) and rows[0].get("instType") == kind and "lotSz" in rows[0]:
            found |= {each.symbol: each for each in listing(kind).parse(line, NOW_NS).instruments}
            assert len(found) == len(rows)
    return found


def test_a_linear_swap_counts_in_its_base() -> None:
    swap = listed("SWAP")["ETH-USDT-SWAP"]

    assert (swap.base_asset, swap.quote_asset, swap.margin_asset) == ("ETH", "USDT", "USDT")
    assert (swap.contract_size, swap.multiplier, swap.contract_currency, swap.kind) == ("0.1", "1", "ETH", "perpetual")
    assert canonical_name(swap) == "ETH/USDT:USDT"
    assert (swap.step_size, swap.min_quantity, swap.status) == ("0.01", "0.01", "live")
    assert (swap.onboard_time_ns, swap.delivery_time_ns) == (1_573_557_408_000 * MS, None)


def test_an_inverse_swap_counts_in_dollars() -> None:
    swap = listed("SWAP")["BTC-USD-SWAP"]

    assert (swap.contract_size, swap.contract_currency, swap.margin_asset) == ("100", "USD", "BTC")


def test_a_future_expires() -> None:
    future = listed("FUTURES")["BTC-USD-241220"]

    assert future.delivery_time_ns == 1_734_681_600_000 * MS
    assert canonical_name(future) == "BTC/USD:BTC-241220"


def test_spot_counts_in_its_base() -> None:
    spot = listed("SPOT")["BTC-USD"]

    assert (spot.base_asset, spot.quote_asset, spot.margin_asset) == ("BTC", "USD", None)
    assert (spot.contract_size, spot.multiplier, spot.contract_currency) == ("1", None, "BTC")
    assert (spot.step_size, canonical_name(spot)) == ("0.00000001", "BTC/USD")


def test_what_is_announced_is_listed_with_what_is_known() -> None:
    row = {"instType": "SWAP", "instId": "NEW-USDT-SWAP", "state": "preopen", "instFamily": "NEW-USDT"}
    (found,) = LISTINGS[0].parse(answer(row), NOW_NS).instruments

    assert (found.base_asset, found.contract_size, found.tick_size) == ("NEW", None, None)


UM = {"instType": "FUTURES", "instId": "BTC-USD_UM-261030", "settleCcy": "USD", "state": "live"}
UM |= {"instFamily": "BTC-USD_UM", "uly": "BTC-USD", "expTime": "1793347200000"}
XPERP = UM | {"instId": "BTC-USD_UM_XPERP-310404", "instFamily": "BTC-USD_UM_XPERP", "expTime": "1933056000000"}


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (UM, "BTC/USD:USD-261030"),
        (UM | {"uly": ""}, "BTC/USD:USD-261030"),
        (UM | {"uly": "", "instFamily": ""}, "BTC/USD:USD-261030"),
        (XPERP, "BTC/USD:USD-310404"),
        (XPERP | {"uly": ""}, "BTC/USD:USD-310404"),
        (UM | {"instType": "OPTION", "stk": "100000", "optType": "C"}, "BTC/USD:USD-261030-100000-C"),
    ],
)
def test_contracts_margined_in_dollars_are_of_their_pair(row: dict[str, str], name: str) -> None:
    (found,) = LISTINGS[1].parse(answer(row), NOW_NS).instruments

    assert (found.base_asset, found.quote_asset, found.margin_asset) == ("BTC", "USD", "USD")
    assert canonical_name(found) == name
    said = answer({"instId": found.symbol, "last": "83766.8", "volCcy24h": "1000"})
    assert in_dollars([found], TICKERS[1].parse(said, NOW_NS)) == {found.symbol: Decimal("83766800")}


def test_each_kind_is_asked_for_and_options_by_their_underlyings() -> None:
    asked: list[tuple[str, str]] = []

    def reply(request: Request) -> bytes:
        query = dict(request.query)
        asked.append((query["instType"], query.get("uly", "")))
        if request.path.endswith("underlying"):
            return answer(["BTC-USD", "ETH-USD"])
        return answer({"instType": asked[-1][0], "instId": f"A-B-{len(asked)}", "state": "live"})

    traded, _ = drive(REST.instruments(), reply, NOW_NS)  # type: ignore[arg-type]

    assert asked == [
        ("SWAP", ""), ("FUTURES", ""), ("SPOT", ""), ("OPTION", ""), ("OPTION", "BTC-USD"), ("OPTION", "ETH-USD"),
    ]  # fmt: skip
    assert [each.symbol for each in traded.instruments] == [f"A-B-{n}" for n in (1, 2, 3, 5, 6)]  # type: ignore[attr-defined]


def test_where_options_are_refused_the_others_are_listed() -> None:
    steps, reply = REST.instruments(), answer({"instType": "SWAP", "instId": "A-B-SWAP", "state": "live"})
    fetch = next(steps)
    for _ in range(3):
        assert not fetch.request.path.endswith("underlying")
        fetch = steps.send(fetch.parse(reply, NOW_NS))
    with pytest.raises(StopIteration) as end:
        steps.throw(RequestRefused("51000"))
    assert len(end.value.value.instruments) == 3
    for body in (b"[]", answer("BTC-USD"), answer([1]), b'{"code":"1","msg":""}'):
        with pytest.raises(BadAnswer):
            fetch.parse(body, NOW_NS)


def test_a_recorded_option_is_named_over_all_venues() -> None:
    option = listed("OPTION")["BTC-USD-241217-92000-C"]

    assert (canonical_name(option), option.kind, option.step_size) == ("BTC/USD:BTC-241217-92000-C", "option", "1")


def test_an_option_is_named_over_all_venues() -> None:
    row = {
        "instType": "OPTION", "instId": "BTC-USD-261225-100000-C", "uly": "BTC-USD", "instFamily": "BTC-USD",
        "settleCcy": "BTC", "ctVal": "1", "ctMult": "0.01", "ctValCcy": "BTC", "optType": "C", "stk": "100000",
        "listTime": "1727424000000", "expTime": "1798185600000", "tickSz": "0.0001", "lotSz": "1", "minSz": "1",
        "state": "live",
    }  # fmt: skip
    (option,) = LISTINGS[0].parse(answer(row), NOW_NS).instruments

    assert canonical_name(option) == "BTC/USD:BTC-261225-100000-C"
    assert (option.kind, option.base_asset, option.quote_asset, option.margin_asset) == ("option", "BTC", "USD", "BTC")
    assert (option.contract_size, option.multiplier, option.contract_currency) == ("1", "0.01", "BTC")
    (announced,) = LISTINGS[0].parse(answer(row | {"expTime": "", "stk": ""}), NOW_NS).instruments
    assert canonical_name(announced) == ""


def test_the_series_of_a_connection() -> None:
    words = ("trade", "raw_trade", "depth", "kline", "liquidation")
    plans = Okx.plan(Feed("o", "okx", (SWAP, "ETH-USDT-SWAP"), words, depth_levels=5))
    series = [each for plan in plans for each in REST.series(plan)]

    assert Series("depth", SWAP, levels=5) in series
    assert Series("kline", SWAP, "1m") in series
    assert {(each.stream, each.symbol) for each in series} == {
        (word, symbol) for word in words for symbol in (SWAP, "ETH-USDT-SWAP")
    }
    assert len(series) == 10


def test_it_is_found_by_name_and_the_demo_has_its_own_host() -> None:
    rest = load_rest("okx")

    assert isinstance(rest, OkxRest)
    assert rest.base(False) != rest.base(True)
