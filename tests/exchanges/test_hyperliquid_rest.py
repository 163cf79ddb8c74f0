"""Hyperliquid over REST: everything is asked in a body; ``null`` is an error."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from exchanges.driving import drive
from frames_path import frames

from wsadapter.config.model import Feed
from wsadapter.events import Depth, FundingRate, Kline, MarketEvent, Source, Trade, UpdateType
from wsadapter.events.gaps import RepairState
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.hyperliquid import Hyperliquid
from wsadapter.exchanges.hyperliquid_rest import BOOK, KLINES, PAIRS, PERPETUALS, RECENT_TRADES, HyperliquidRest
from wsadapter.exchanges.pages import PageRequest
from wsadapter.exchanges.rest_api import BadAnswer, Fetch, Filled, Hole, Request, RequestRefused, Series, canonical_name

MS = 1_000_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
START_MS = 1_790_000_040_000
NOW_NS = (START_MS + 10**10) * MS
REST = HyperliquidRest()


class Venue:
    """Minutes without end, fundings of each hour, the newest trades; answers as the documentation says."""

    def __init__(self, trades: Sequence[int] = (), without: Sequence[int] = ()) -> None:
        self.traded, self.without = trades, without
        self.asked: list[dict[str, Any]] = []

    def answer(self, request: Request) -> bytes:
        asked = json.loads(request.body)
        self.asked.append(asked)
        assert (request.path, request.query) == ("/info", ())
        return json.dumps(getattr(self, asked["type"])(asked.get("req", asked))).encode()

    def candleSnapshot(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        first = -(-asked["startTime"] // MINUTE_MS) * MINUTE_MS
        return [{"t": ms, "T": ms + MINUTE_MS - 1, "s": asked["coin"], "i": asked["interval"], "n": 3,
                 **dict.fromkeys("ochl", "84143.0"), "v": "14.27847"}
                for ms in range(first, asked["endTime"] + 1, MINUTE_MS) if ms not in self.without][-5000:]  # fmt: skip

    def recentTrades(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"coin": asked["coin"], "side": "B", "px": "1.50", "sz": "0.1", "time": ms, "tid": ms, "hash": "0x0"}
                for ms in sorted(self.traded, reverse=True)]  # fmt: skip

    def fundingHistory(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        hours = range(asked["startTime"] // HOUR_MS, asked["endTime"] // HOUR_MS + 1)
        times = [hour * HOUR_MS + 76 for hour in hours]
        return [{"coin": asked["coin"], "fundingRate": "-0.0000125", "premium": "0.0", "time": ms}
                for ms in times if asked["startTime"] <= ms <= asked["endTime"]][:500]  # fmt: skip

    def l2Book(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"coin": asked["coin"], "time": START_MS, "levels": [[{"n": 1, "sz": "2", "px": "84143.0"}], []]}

    def fill(self, hole: Hole) -> tuple[Filled, list[MarketEvent]]:
        filled, events = drive(REST.repair(hole), self.answer, NOW_NS)
        assert filled.published == len(events)
        return filled, events


def candles(first_ms: int, last_ms: int) -> Hole:
    return Hole("kline", "xyz:TSLA", 0, 0, first_ms * MS, last_ms * MS, "1m")


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
    assert (first.symbol, first.close, first.trade_count, first.closed) == ("xyz:TSLA", "84143.0", 3, True)
    assert first.source is Source.REST
    assert len(venue.asked) == 3
    assert venue.asked[0]["req"] == {
        "coin": "xyz:TSLA", "interval": "1m", "startTime": START_MS, "endTime": START_MS + 999 * MINUTE_MS,
    }  # fmt: skip


SOON_NS = (START_MS + 3000 * MINUTE_MS) * MS


@pytest.mark.parametrize(
    ("without", "minutes", "count"),
    [((1,), 3, 2), ((0, 1, 2), 3, 0), ((2,), 3, 2), (range(10, 2490), 2500, 20), (range(2500), 2500, 0)],
)
def test_where_nobody_traded_there_is_no_candle_and_none_is_missing(
    without: Sequence[int], minutes: int, count: int
) -> None:
    venue = Venue(without=[START_MS + minute * MINUTE_MS for minute in without])
    hole = candles(START_MS, START_MS + (minutes - 1) * MINUTE_MS)
    repair, events = drive(REST.repair(hole), venue.answer, SOON_NS)

    assert (repair.state, len(events), repair.missing) == ("repaired", count, ())


def test_what_is_older_than_the_venue_keeps_is_missing() -> None:
    repair, events = Venue(without=[START_MS + MINUTE_MS]).fill(candles(START_MS, START_MS + 2 * MINUTE_MS))

    assert (repair.state, len(events)) == ("partial", 2)
    venue = Venue(without=range(START_MS, START_MS + 3000 * MINUTE_MS, MINUTE_MS))
    repair, events = venue.fill(candles(START_MS, START_MS + 2499 * MINUTE_MS))
    assert (repair.state, len(events)) == ("unrepairable", 0)


def test_by_time_too_what_is_older_than_the_venue_keeps_is_missing() -> None:
    now_ms = START_MS + 6000 * MINUTE_MS
    venue = Venue(without=range(START_MS - MINUTE_MS, now_ms - 5000 * MINUTE_MS, MINUTE_MS))
    hole = Hole("kline", "xyz:TSLA", START_MS * MS, now_ms * MS, interval="1m")
    repair, events = drive(REST.repair(hole), venue.answer, now_ms * MS)
    assert (repair.state, len(events)) == ("partial", 5000)

    hole = Hole("kline", "xyz:TSLA", START_MS * MS, (START_MS + 10 * MINUTE_MS) * MS, interval="1m")
    repair, events = drive(REST.repair(hole), venue.answer, now_ms * MS)
    assert (repair.state, len(events)) == ("unrepairable", 0)


@pytest.mark.parametrize(
    ("started", "ended", "outcome", "count"),
    [(1, 15, "repaired", 2), (0, 15, "partial", 3), (-50, -40, "unrepairable", 0)],
)
def test_trades_reach_back_as_far_as_the_newest_page(started: int, ended: int, outcome: str, count: int) -> None:
    hole = Hole("trade", "BTC", (START_MS + started) * MS, (START_MS + ended) * MS)
    repair, events = Venue([START_MS, START_MS + 10, START_MS + 12, START_MS + 20]).fill(hole)

    assert (repair.state, len(events)) == (outcome, count)
    times = [event.transaction_time_ns or 0 for event in events]
    assert times == sorted(times)
    assert all(isinstance(event, Trade) and not event.buyer_is_maker and event.price == "1.50" for event in events)


def test_settled_rates_of_a_hole_longer_than_a_page() -> None:
    started, days = START_MS - START_MS % 86_400_000, 30
    hole = Hole("funding_rate", "BTC", started * MS, (started + days * 86_400_000 - 1) * MS)
    repair, events = Venue().fill(hole)

    assert (repair.state, len(events)) == ("repaired", 24 * days)
    assert all(isinstance(event, FundingRate) and event.settled for event in events)


def test_the_present_book_is_a_snapshot() -> None:
    repair, (event,) = Venue().fill(Hole("depth", "BTC", 0, 1, levels=20))

    assert isinstance(event, Depth)
    assert (event.update_type, event.level_limit, list(event.bid_price)) == (UpdateType.SNAPSHOT, 20, ["84143.0"])
    assert repair.state == "partial"


@pytest.mark.parametrize("stream", ["mark_price", "book_ticker", "open_interest"])
def test_streams_without_a_history_have_no_repair(stream: str) -> None:
    assert REST.repair(Hole(stream, "BTC", 0, 1)) is None


def test_series_are_the_words_that_were_asked_for() -> None:
    feed = Feed("h", "hyperliquid", ("BTC",), ("depth", "funding_rate", "open_interest"), depth_levels=5)
    (plan,) = Hyperliquid.plan(feed)

    assert REST.series(plan) == [
        Series("depth", "BTC", levels=5), Series("funding_rate", "BTC"), Series("open_interest", "BTC"),
    ]  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b"null", b"5", b"[5]", b'{"a":1}', b'[{"time":"x"}]'])
def test_bad_answers_raise_nothing_else(body: bytes) -> None:
    for page in (KLINES, RECENT_TRADES, BOOK):
        with pytest.raises(BadAnswer):
            page.parse(PageRequest("BTC", 1000, "1m"), body, NOW_NS)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [(200, b"null", 200), (500, b"null", 500), (422, b"Failed to deserialize the JSON body into the target type", 422),
     (400, b"\xff", 400), (200, b"[]", None), (429, b"", None), (503, b"<html>", None), (500, b"<html>", None)],
)  # fmt: skip
def test_an_error_in_every_shape(status: int, body: bytes, code: int | None) -> None:
    refusal = REST.refusal(status, body)

    assert (refusal.code if refusal else None) == code
    assert refusal is None or refusal.kind == "final"


def test_nothing_that_is_said_by_something_before_the_api_is_final() -> None:
    refusal = REST.refusal(502, b"null")
    assert refusal is not None
    assert refusal.kind == "again"


@pytest.mark.parametrize("stream", ["funding_rate", "trade", "depth"])
def test_what_it_does_not_know_is_never_repaired_and_says_why(stream: str) -> None:
    filling = REST.repair(Hole(stream, "GONE", START_MS * MS, (START_MS + HOUR_MS) * MS))
    assert filling is not None
    assert isinstance(next(filling), Fetch)
    with pytest.raises(StopIteration) as ended:
        filling.throw(RequestRefused("500 nothing of this name"))
    assert ended.value.value == Filled(RepairState.UNREPAIRABLE, reason="500 nothing of this name")


def test_perpetuals() -> None:
    first, dex = frames("hyperliquid/examples_rest.jsonl").read_bytes().splitlines()
    found = {one.symbol: one for one in PERPETUALS.parse(first, NOW_NS).instruments}
    btc = found["BTC"]
    assert (btc.step_size, btc.status, btc.kind, btc.funding_interval) == ("0.00001", "listed", "perpetual", 3600)
    assert canonical_name(btc) == "BTC/USDC:USDC"
    es, nq = PERPETUALS.parse(dex, NOW_NS).instruments
    assert (es.status, nq.symbol, nq.status) == ("listed", "unit:NQ", "delisted")
    body = b'{"universe":[{"name":"kPEPE","szDecimals":0},{"name":5,"szDecimals":1}]}'
    (pepe,) = PERPETUALS.parse(body, NOW_NS).instruments
    assert (pepe.symbol, pepe.base_asset, pepe.multiplier, pepe.step_size) == ("kPEPE", "PEPE", "1000", "1")


def test_pairs() -> None:
    tokens = [{"name": name, "szDecimals": n, "index": n, "weiDecimals": 8} for n, name in enumerate(("USDC", "PURR"))]
    pairs = [{"name": "PURR/USDC", "tokens": [1, 0], "index": 0}, {"name": "@7", "tokens": [9, 0], "index": 7}]
    (pair,) = PAIRS.parse(json.dumps({"tokens": tokens, "universe": pairs}).encode(), NOW_NS).instruments

    assert (pair.symbol, pair.base_asset, pair.quote_asset, pair.step_size) == ("PURR/USDC", "PURR", "USDC", "0.1")
    assert canonical_name(pair) == "PURR/USDC"


def test_the_registry_knows_it() -> None:
    rest = load_rest("hyperliquid")

    assert isinstance(rest, HyperliquidRest)
    assert rest.base(True) == "https://api.hyperliquid-testnet.xyz"
    step = next(rest.instruments())
    assert json.loads(step.request.body) == {"type": "meta"}
