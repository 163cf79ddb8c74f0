"""docs/queries.md: every query runs on what was recorded of the loopback venue, and says what that venue says."""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.request import urlopen

import pytest
from documents.pages import DOCS
from eventually import eventually
from fresh import fresh
from oracle import http_get, query
from road_site import Site

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread

pytestmark = pytest.mark.integration
FEED = """
[[feed]]
name = "fut"
exchange = "binance"
symbols = ["BTCUSDT", "ETHUSDT"]
streams = [
    "kline", "ticker", "depth", "trade", "funding_rate", "mark_price", "liquidation", "book_ticker", "open_interest",
]
ws_url = "{ws}"
rest_url = "{rest}"
"""
QUERIES = dict(
    re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```sql\n(.*?)```", (DOCS / "queries.md").read_text(), re.M | re.S)
)
MAY_BE_EMPTY = {"What could not be kept"}
BEHIND_MS = 600_000
"""So far is the venue's clock behind ours: however often a minute of its ends at once, it stays so."""


class Recorded:
    """What some minutes of the venue became: the pipeline has stopped, the venue and its REST are there."""

    def __init__(self, site: Site, venue: VenueThread) -> None:
        self.site, self.venue = site, venue

    def ask(self, heading: str) -> list[dict[str, Any]]:
        return self.sql(QUERIES[heading])

    def sql(self, text: str) -> list[dict[str, Any]]:
        text = text.replace("market.", f"{self.site.database}.")
        settings = {"output_format_json_quote_decimals": "1", "output_format_json_quote_64bit_integers": "0"}
        answer = http_get(self.site.clickhouse, {"query": f"{text} FORMAT JSONEachRow", **settings})
        return [json.loads(line, parse_float=Decimal) for line in answer.splitlines()]

    def rest(self, path: str) -> Any:
        with urlopen(f"{self.venue.venue.rest_url}{path}") as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def recorded(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    options = Options(rate=150, symbols=("BTCUSDT", "ETHUSDT"))
    with VenueThread(lambda: LoopbackVenue(options)) as venue:
        venue.call(lambda made: setattr(made.clock, "_base_ms", made.clock.now_ms() - BEHIND_MS))
        feed = FEED.format(ws=venue.venue.url, rest=venue.venue.rest_url)
        site = Site(tmp_path_factory.mktemp("queries"), kafka, clickhouse, feed, database=fresh("q"))
        try:
            site.start().ready()
            made = Recorded(site, venue)
            candles = "SELECT 1 FROM market.kline WHERE interval = '1m' AND symbol = 'BTCUSDT'"
            for closed in (1, 2, 3):
                venue.call(lambda made: made.clock.end_minute_in(1))
                eventually(lambda n=closed: len(made.sql(candles)) >= n, 60, "a candle")  # type: ignore[misc]
            filled = (
                "SELECT (SELECT count() FROM market.funding_settled) >= 4 AS settled, "
                "(SELECT count() FROM market.instrument) >= 2 AS listed, "
                "(SELECT uniq(time, symbol) FROM market.open_interest) >= 4 AS polled, "
                "(SELECT count() FROM market.liquidation) > 0 AS liquidated, "
                "(SELECT count() FROM market.coverage) > 10 AS covered"
            )
            eventually(lambda: all(made.sql(filled)[0].values()), 90, lambda: str(made.sql(filled)))
            assert site.stop() == 0, site.said()
            yield made
        finally:
            site.close()


def test_there_are_twenty() -> None:
    text = (DOCS / "queries.md").read_text()
    assert len(QUERIES) == text.count("```sql") >= 20


@pytest.mark.parametrize("heading", QUERIES)
def test_every_query_has_an_answer(recorded: Recorded, heading: str) -> None:
    assert recorded.ask(heading) or heading in MAY_BE_EMPTY


def test_bars_are_the_venues_candles(recorded: Recorded) -> None:
    first, *rows = recorded.ask("Bars of any length, and the venue's own candles")
    theirs = {each[0]: each for each in recorded.rest("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=10")}
    assert len(rows) >= 2
    for row in rows:
        assert row["is_the_venues"], row
        ((opened,),) = query(
            recorded.site.clickhouse, f"SELECT toUnixTimestamp64Milli(toDateTime64('{row['open_time']}', 9, 'UTC'))"
        )
        candle = theirs[int(opened)]
        assert [Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")] == [
            Decimal(x) for x in candle[1:6]
        ]
        assert Decimal(row["notional"]) == Decimal(candle[7])
        assert row["trade_count"] == row["their_count"] == candle[8]
    assert first["open_time"] < rows[0]["open_time"]


def test_the_spread_is_that_of_the_newest_quote(recorded: Recorded) -> None:
    quotes: dict[str, set[Decimal]] = {}
    of_btc = "exchange = 'binance' AND symbol = 'BTCUSDT'"
    for row in recorded.sql(f"SELECT time, bid_price, ask_price FROM market.book_ticker FINAL WHERE {of_btc}"):
        quotes.setdefault(row["time"], set()).add(Decimal(row["ask_price"]) - Decimal(row["bid_price"]))
    times = sorted(quotes)
    rows = recorded.ask("The spread at each trade")
    assert len(rows) == 100
    for row in rows:
        assert Decimal(row["spread"]) in quotes[times[bisect_right(times, row["time"]) - 1]]


def test_the_book_has_its_levels_in_order(recorded: Recorded) -> None:
    rows = recorded.ask("The book at a time")
    bids, asks = ([Decimal(row["price"]) for row in rows if row["side"] == side] for side in ("bid", "ask"))
    assert len(bids) == len(asks) == 20
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]


def test_funding_is_what_the_venue_says(recorded: Recorded) -> None:
    rows = {row["symbol"]: row for row in recorded.ask("Funding paid over a day")}
    begin_ms = recorded.sql("SELECT toUnixTimestamp(now() - INTERVAL 1 DAY) AS at")[0]["at"] * 1000
    assert rows.keys() == {"BTCUSDT", "ETHUSDT"}
    for symbol, row in rows.items():
        settled = recorded.rest(f"/fapi/v1/fundingRate?symbol={symbol}&limit=100")
        paid = [each for each in settled if each["fundingTime"] > begin_ms]
        assert row["payments"] == len(paid) >= 2
        assert Decimal(row["rate"]) == sum(Decimal(each["fundingRate"]) for each in paid)
        assert Decimal(row["per_coin"]) == sum(Decimal(e["fundingRate"]) * Decimal(e["markPrice"]) for e in paid)


def test_an_hour_of_which_a_minute_was_recorded_is_not_complete(recorded: Recorded) -> None:
    rows = recorded.ask("Is this hour complete")
    assert {row["verdict"] for row in rows} == {"incomplete"}
    assert {"trade", "kline", "depth", "open_interest"} <= {row["stream"] for row in rows}
    assert all(row["covered_seconds"] > 0 and row["unrecorded_seconds"] > 1000 for row in rows)


def test_gaps_are_those_of_the_start(recorded: Recorded) -> None:
    causes = {row["cause"] for row in recorded.ask("Which gaps")}
    assert "connect" in causes


def test_latency_is_by_the_venues_clock(recorded: Recorded) -> None:
    rows = [row for row in recorded.ask("How late events come") if row["stream"] == "trade"]
    assert rows[-1]["p50_ms"] > 0
    assert all(row["least_ms"] <= row["p99_ms"] and row["above_the_fastest"] >= 0 for row in rows)


def test_each_row_is_there_once(recorded: Recorded) -> None:
    (row,) = recorded.ask("Rows that are there twice")
    assert row["in_parts"] >= row["once"] == row["keys"] > 0


def test_the_delta_adds_up(recorded: Recorded) -> None:
    rows = recorded.ask("Cumulative volume delta, and what was paid")
    trades = recorded.sql(
        "SELECT quantity, price, buyer_is_maker FROM market.trade FINAL WHERE symbol = 'BTCUSDT' AND time < "
        f"toDateTime64('{rows[-1]['open_time']}', 9, 'UTC')"
    )
    signed = [Decimal(t["quantity"]) * (-1 if t["buyer_is_maker"] else 1) for t in trades]
    assert Decimal(rows[-2]["cvd"]) == sum(signed)
    paid = sum(quantity * Decimal(trade["price"]) for quantity, trade in zip(signed, trades, strict=True))
    assert Decimal(rows[-2]["cvd_paid"]) == paid


def test_the_basis_is_beside_the_open_interest_of_its_moment(recorded: Recorded) -> None:
    for row in recorded.ask("Basis and open interest"):
        assert Decimal(row["basis"]) == Decimal(row["mark_price"]) - Decimal(row["index_price"])
        assert Decimal(row["open_interest_value"]) == Decimal(row["base_open_interest"]) * Decimal(row["mark_price"])
