"""Stored candles with what is missing, and the book at a moment: over HTTP as the page asks, on the real engine, and
the page itself in headless Chromium."""

import asyncio
import re
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import pytest
from browser import CHROMIUM, Browser, browser
from clickhouse.table_bench import TableBench
from eventually import eventually
from roles.monitor.monitor_process import Road, monitor, road
from stored.recordings import CONNECTION, MINUTE, NOON, SECOND, candle, coverage, gap, record

from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import Depth, Source, UpdateType
from wsadapter.roles.monitor import stored_charts
from wsadapter.roles.monitor.http_server import Response
from wsadapter.roles.monitor.stored_charts import AT_ONCE, StoredCharts

LATER = NOON + 3600 * SECOND


def book(at_ns: int, kind: UpdateType, number: int, bids: dict[str, str], asks: dict[str, str]) -> Depth:
    return Depth(
        "binance", "BTCUSDT", at_ns, at_ns, at_ns, Source.WEBSOCKET, CONNECTION, None, kind, 0, number, number,
        number - 1, [*bids], [*bids.values()], [*asks], [*asks.values()],
    )  # fmt: skip


@pytest.fixture(scope="module")
def recorded(clickhouse: str) -> Iterator[TableBench]:
    """Ten minutes of candles, of which two are in a gap; a book and its changes."""
    bench = TableBench(clickhouse).create()
    minutes = [n for n in range(10) if n not in (4, 5)]
    record(
        bench,
        [
            *(candle(NOON + n * MINUTE) for n in minutes),
            coverage("kline", NOON, NOON + 4 * MINUTE, "1m"),
            coverage("kline", NOON + 6 * MINUTE, NOON + 10 * MINUTE, "1m"),
            gap(NOON + 4 * MINUTE, NOON + 6 * MINUTE, stream="kline"),
            coverage("depth", NOON, NOON + 10 * MINUTE),
            book(NOON, UpdateType.SNAPSHOT, 10, {"100": "1", "99": "2"}, {"101": "3", "102": "4"}),
            book(NOON + SECOND, UpdateType.DELTA, 11, {"100": "0"}, {"100.5": "7"}),
            book(NOON + 2 * SECOND, UpdateType.DELTA, 12, {"99.5": "5"}, {"102": "0"}),
            book(NOON + 60 * SECOND, UpdateType.DELTA, 13, {"99.5": "0"}, {}),
        ],
    )
    yield bench
    bench.close()


def fetched(at_ns: int, number: int | None, bids: dict[str, str], asks: dict[str, str]) -> Depth:
    """A whole book over REST that says no time: it has that of its receipt."""
    return Depth(
        "binance_spot", "BTCUSDT", None, None, at_ns, Source.REST, "", None, UpdateType.SNAPSHOT, 0, None, number,
        None, [*bids], [*bids.values()], [*asks], [*asks.values()],
    )  # fmt: skip


@pytest.fixture(scope="module")
def spot(clickhouse: str) -> Iterator[TableBench]:
    """A book that was 200 ms on its way: changes that are not in it have an earlier time, and so have some that are."""
    bench = TableBench(clickhouse).create()
    ms = SECOND // 1000
    changes = [
        book(NOON + 50 * ms, UpdateType.DELTA, 999, {"100": "9"}, {}),
        book(NOON + 150 * ms, UpdateType.DELTA, 1005, {"100": "0"}, {}),
        book(NOON + 250 * ms, UpdateType.DELTA, 1010, {}, {"101": "7"}),
        book(NOON + 350 * ms, UpdateType.DELTA, 1015, {"99": "3"}, {}),
    ]
    for change in changes:
        change.exchange = "binance_spot"
    unnumbered = [book(NOON + at * ms, UpdateType.DELTA, 1, {"100": str(at)}, {}) for at in (250, 350)]
    for change in unnumbered:
        change.symbol, change.first_update_id, change.last_update_id, change.previous_update_id = "B", None, None, None
    whole = fetched(NOON + 300 * ms, None, {"100": "1"}, {"101": "1"})
    whole.symbol, whole.exchange = "B", "binance"
    record(
        bench,
        [
            coverage("depth", NOON, NOON + MINUTE, exchange="binance_spot"), *changes, *unnumbered, whole,
            fetched(NOON + 300 * ms, 1000, {"100": "1"}, {"101": "1"}),
        ],
    )  # fmt: skip
    yield bench
    bench.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is."""
    monkeypatch.setattr(stored_charts, "ANSWER_SECONDS", 120.0)
    monkeypatch.setattr(stored_charts, "SETTINGS", "max_execution_time = 120")


def asked(settings: ClickHouseConfig, path: str, **query: object) -> tuple[int, Any]:
    question = StoredCharts(settings, lambda: LATER).questions()[path]

    async def ask() -> Response:
        return await question({name: str(value) for name, value in query.items()})

    response = asyncio.run(ask())
    return response.status, msgspec.json.decode(response.body)


BTC = {"exchange": "binance", "symbol": "BTCUSDT"}


@pytest.mark.integration
def test_the_candles_of_a_range_with_the_gap_between_them(recorded: TableBench) -> None:
    window = {"from": NOON // SECOND, "to": NOON // SECOND + 600}
    status, found = asked(recorded.settings, "/candles", **BTC, interval="1m", **window)

    assert (status, found["verdict"], found["seconds"]) == (200, "incomplete", 60)
    opened = [candle[0] for candle in found["candles"]]
    assert opened == [NOON // SECOND + 60 * n for n in range(10) if n not in (4, 5)]
    assert found["candles"][0][1:] == [61800.2, 61900, 61700.1, 61800.2, 10.5]
    assert [(span["cause"], span["state"], span["from"], span["to"]) for span in found["gaps"]] == [
        ("disconnect", "unrepairable", NOON / SECOND + 240, NOON / SECOND + 360)
    ]


@pytest.mark.integration
def test_nothing_stored_is_missing_and_not_complete(recorded: TableBench) -> None:
    status, found = asked(recorded.settings, "/candles", exchange="okx", symbol="NOSUCH", interval="1m")
    assert (status, found["verdict"], found["candles"]) == (200, "missing", [])


@pytest.mark.integration
def test_the_series_that_there_are(recorded: TableBench) -> None:
    status, found = asked(recorded.settings, "/stored/series")
    assert (status, found["series"]) == (200, [BTC | {"intervals": ["1m"], "book": True}])


@pytest.mark.integration
@pytest.mark.parametrize(
    ("after_seconds", "bids", "asks", "changes"),
    [
        (0, [["100", "1"], ["99", "2"]], [["101", "3"], ["102", "4"]], 0),
        (1, [["99", "2"]], [["100.5", "7"], ["101", "3"], ["102", "4"]], 1),
        (30, [["99.5", "5"], ["99", "2"]], [["100.5", "7"], ["101", "3"]], 2),
        (90, [["99", "2"]], [["100.5", "7"], ["101", "3"]], 3),
    ],
)
def test_the_book_at_a_moment(
    recorded: TableBench, after_seconds: int, bids: list[list[str]], asks: list[list[str]], changes: int
) -> None:
    status, found = asked(recorded.settings, "/book", **BTC, at=NOON // SECOND + after_seconds)
    assert (status, found["bids"], found["asks"], found["changes"]) == (200, bids, asks, changes)
    assert found["verdict"] == "complete"


@pytest.mark.integration
def test_changes_from_while_a_fetched_book_was_on_its_way_are_in_it(spot: TableBench) -> None:
    status, found = asked(spot.settings, "/book", exchange="binance_spot", symbol="BTCUSDT", at=NOON // SECOND + 30)
    assert (status, found["bids"], found["asks"], found["changes"]) == (200, [["99", "3"]], [["101", "7"]], 3)
    assert found["verdict"] == "complete"


@pytest.mark.integration
def test_without_numbers_only_what_is_later_than_a_fetched_book_changes_it(spot: TableBench) -> None:
    status, found = asked(spot.settings, "/book", exchange="binance", symbol="B", at=NOON // SECOND + 30)
    assert (status, found["bids"], found["changes"]) == (200, [["100", "350"]], 1)


@pytest.mark.integration
@pytest.mark.parametrize("numbered", [True, False])
def test_redundant_connections_change_one_book(spot: TableBench, numbered: bool) -> None:
    """The first copy of each change is stored, whichever of them it came by."""
    rows = [
        book(NOON, UpdateType.SNAPSHOT, 100, {"100": "1", "99": "1"}, {"101": "1", "102": "1"}),
        book(NOON + SECOND, UpdateType.DELTA, 101, {"100": "0"}, {}),
        book(NOON + 2 * SECOND, UpdateType.DELTA, 102, {"98": "5"}, {"101": "0"}),
        book(NOON + 3 * SECOND, UpdateType.DELTA, 103, {"99": "0"}, {"100.5": "3"}),
    ]
    symbol = "N" if numbered else "U"
    for row in rows:
        row.symbol = symbol
        if not numbered:
            row.first_update_id = row.last_update_id = row.previous_update_id = None
    for row in rows[2:]:
        row.connection = f"{CONNECTION}-r2"
    record(spot, [coverage("depth", NOON, NOON + MINUTE, symbol=symbol), *rows])

    status, found = asked(spot.settings, "/book", exchange="binance", symbol=symbol, at=NOON // SECOND + 30)
    assert (status, found["bids"], found["asks"]) == (200, [["98", "5"]], [["100.5", "3"], ["102", "1"]])
    assert (found["changes"], found["verdict"]) == (3, "complete")


@pytest.mark.integration
def test_what_falls_out_of_a_window_of_levels_is_gone(spot: TableBench) -> None:
    """A venue that sends the two best levels never says that another one is cancelled. Its events have no numbers:
    those of one time go by their ordinal."""
    rows = [
        book(NOON, UpdateType.SNAPSHOT, 0, {"100": "1", "99": "1"}, {}),
        book(NOON + SECOND, UpdateType.DELTA, 0, {"101": "1"}, {}),
        book(NOON + 2 * SECOND, UpdateType.DELTA, 0, {"101": "0", "98": "1"}, {}),
        book(NOON + 2 * SECOND, UpdateType.DELTA, 0, {"98": "2"}, {}),
    ]
    rows[0].level_limit, rows[3].ordinal = 2, 1
    for row in rows:
        row.exchange, row.symbol = "kraken", "W"
        row.first_update_id = row.last_update_id = row.previous_update_id = None
    record(spot, [coverage("depth", NOON, NOON + MINUTE, exchange="kraken", symbol="W"), *reversed(rows)])

    status, found = asked(spot.settings, "/book", exchange="kraken", symbol="W", at=NOON // SECOND + 30)
    assert (status, found["bids"], found["verdict"]) == (200, [["100", "1"], ["98", "2"]], "complete")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("symbol", "numbers", "most", "bids", "changes"),
    [
        ("T1", (100, 101, 102), 5_000, ["98", "97", "96", "95", "94", "93"], 2),
        ("T2", (101, 102), 5_000, ["99", "98", "97", "96", "95"], 0),  # nothing that the changes go on from
        ("T3", (100, 101), 5_000, ["99", "98", "97", "96", "95"], 0),  # no changes any more
        ("T4", (100, 101, 102), 1, ["99", "98", "97", "96", "95"], 0),  # too many of them
    ],
)
def test_changes_of_one_feed_are_not_applied_to_the_few_levels_of_another(
    spot: TableBench, monkeypatch: pytest.MonkeyPatch, symbol: str, numbers: tuple[int, ...], most: int,
    bids: list[str], changes: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(stored_charts, "MOST_CHANGES", most)
    rows = {
        100: book(NOON, UpdateType.SNAPSHOT, 100, dict.fromkeys(("100", "99", "98", "97", "96", "95", "94"), "1"), {}),
        101: book(NOON + SECOND, UpdateType.DELTA, 101, {"100": "0"}, {}),
        102: book(NOON + 70 * SECOND, UpdateType.DELTA, 102, {"99": "0", "93": "1"}, {}),
    }
    few = book(NOON + 65 * SECOND, UpdateType.SNAPSHOT, 101, dict.fromkeys(("99", "98", "97", "96", "95"), "1"), {})
    few.level_limit, few.connection = 5, "few-public-0"
    found_rows = [few, *(rows[number] for number in numbers)]
    for row in found_rows:
        row.symbol = symbol
    record(spot, [coverage("depth", NOON, NOON + 2 * MINUTE, symbol=symbol), *found_rows])

    status, found = asked(spot.settings, "/book", exchange="binance", symbol=symbol, at=NOON // SECOND + 80)
    assert (status, [price for price, _ in found["bids"]], found["changes"]) == (200, bids, changes)
    assert found["verdict"] == "complete"


@pytest.mark.integration
def test_no_book_before_the_first_one(recorded: TableBench) -> None:
    status, found = asked(recorded.settings, "/book", **BTC, at=NOON // SECOND - 5)
    assert (status, "no whole book" in found["error"]) == (400, True)


@pytest.mark.parametrize(
    ("path", "query", "word"),
    [
        ("/candles", {"symbol": "B"}, "exchange"),
        ("/candles", {**BTC, "interval": "7m"}, "interval"),
        ("/candles", {**BTC, "from": 1, "to": 10**9}, "from"),
        ("/candles", {**BTC, "to": "x"}, "to"),
        ("/candles", {**BTC, "to": "inf"}, "to"),
        ("/book", {**BTC, "at": "-1"}, "at"),
    ],
)
def test_what_cannot_be_asked_is_said(path: str, query: dict[str, Any], word: str) -> None:
    status, found = asked(ClickHouseConfig(), path, **query)
    assert (status, found["error"].startswith(word)) == (400, True), found


def test_a_server_that_is_away_costs_the_question_an_answer() -> None:
    status, found = asked(ClickHouseConfig(url="http://127.0.0.1:9"), "/candles", **BTC)
    assert (status, "refused" in found["error"]) == (503, True), found


def test_a_server_that_hangs_and_too_many_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_charts, "ANSWER_SECONDS", 0.2)
    charts = StoredCharts(ClickHouseConfig())

    async def ask() -> list[int]:
        hung = asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow() -> str:
            asyncio.run_coroutine_threadsafe(hung.wait(), loop).result()
            return "late"

        statuses = [(await one).status for one in [asyncio.ensure_future(charts._answer(slow)) for _ in range(AT_ONCE)]]
        statuses.append((await charts._answer(lambda: 1)).status)  # those that hang still count
        hung.set()
        while charts._asking:
            await asyncio.sleep(0)
        statuses.append((await charts._answer(lambda: 1)).status)
        return statuses

    assert asyncio.run(ask()) == [504] * AT_ONCE + [503, 200]


@pytest.mark.integration
@pytest.mark.skipif(CHROMIUM is None, reason="chromium and chromedriver are not installed")
def test_the_page_draws_them_shades_the_gap_and_shows_the_book(recorded: TableBench, tmp_path: Path) -> None:
    made = Road(tmp_path)
    made.config = msgspec.structs.replace(made.config, clickhouse=recorded.settings)
    with monitor(made), browser(tmp_path / "profile") as page:
        page.emulate("light", 1000, 900)
        until = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(NOON // SECOND + 600))
        page.go(f"http://127.0.0.1:{made.port}/stored?series=binance%20BTCUSDT&interval=1m&until={until}")
        shows(page, "ask", "#said", "8 candles, incomplete")
        assert "disconnect\tunrepairable" in page.text("#gaps")
        label = page.run("return document.getElementById('chart').ariaLabel")
        assert label.startswith("8 candles of binance BTCUSDT, 1m")
        assert _colours(page, NOON / SECOND + 300) == {True}, "the gap is shaded"
        assert _colours(page, NOON / SECOND + 200) == {False}, "and nothing else is"

        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(NOON // SECOND + 30))
        page.run(f"byId('at').value = '{at}'; byId('ask-book').requestSubmit()")
        shows(page, "ask-book", "#book-said", "2 changes")
        assert "5\t99.5\t100.5\t7" in page.text("#book")
        own = "willReadFrequently"  # of this test's looks at the pixels
        assert [text for text in page.complaints() if own not in text] == []
        page.emulate("dark", 390, 800)
        assert page.run("return document.documentElement.scrollWidth") <= 390
    made.remove()


def shows(page: Browser, form: str, selector: str, text: str) -> None:
    """Asked again where a loaded machine takes longer than the page waits."""

    def seen() -> bool:
        said = page.text(selector)
        if any(word in said for word in ("not answered", "under way", "timed out", "abort")):
            page.run(f"byId('{form}').requestSubmit()")
        return text in said

    eventually(seen, 120, lambda: page.text(selector))


def _colours(page: Browser, at: float) -> set[bool]:
    """Whether the chart's ground is red at a time, just below its upper edge."""
    return {
        page.run(
            "const x = Math.round(chart.valToPos(arguments[0], 'x', true)), y = Math.round(chart.bbox.top) + 3;"
            "const [r, g, b, a] = chart.ctx.getImageData(x, y, 1, 1).data; return a > 0 && r > g && r > b;",
            at,
        )
    }


def test_the_page_loads_from_nowhere_else(tmp_path: Path) -> None:
    with road(tmp_path) as made, monitor(made):
        for path, word in (
            ("stored", "html"),
            ("stored.js", "javascript"),
            ("uPlot.js", "javascript"),
            ("uPlot.css", "css"),
        ):
            with urlopen(f"http://127.0.0.1:{made.port}/{path}") as answer:
                assert (answer.status, word in answer.headers["Content-Type"]) == (200, True)
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                text = answer.read().decode()
            if not path.startswith("uPlot"):
                assert re.findall(r"https?://|@import|url\(|innerHTML|unsafe", text) == []
    licence = resources.files("wsadapter.roles.monitor").joinpath("vendored/uPlot.LICENSE")
    assert "MIT License" in licence.read_text()
