"""The status page in a real browser (headless Chromium), over a real monitor process with 200 symbols."""

import gzip
import http.client
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser, browser
from eventually import eventually
from roles.monitor.monitor_process import CONNECTION, Road, monitor, road

from wsadapter.metrics import GAP_CAUSES, LATENCIES, RECEIVED, latency_labels
from wsadapter.shm.stats_page import Histogram

SYMBOLS = [f"sym{number:03d}usdt" for number in range(200)]
CHANNELS = (
    "aggTrade",
    "bookTicker",
    "depth@100ms",
    "depth20@100ms",
    "kline_1m",
    "markPrice@1s",
    "ticker",
    "forceOrder",
)
SUBSCRIPTIONS = [f"{symbol}@{channel}" for symbol in SYMBOLS for channel in CHANNELS]
MAX_BYTES_A_SECOND = 20_000
HOUR_EVERY = 10
"""Updates between two that ask for the last hour."""
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium and chromedriver are not installed")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    with road(tmp_path_factory.mktemp("state"), SUBSCRIPTIONS) as made, monitor(made):
        yield made


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture
def page(watched: Road, chromium: Browser) -> Browser:
    calm(watched)
    chromium.emulate("light", 1280, 900)
    chromium.go(f"http://127.0.0.1:{watched.port}/")
    shows(chromium, "#verdict", "ready since")
    return chromium


def alive(watched: Road) -> None:
    """However long a browser takes on this machine, nobody falls silent."""
    watched.everything_up()
    for page in watched.pages.values():
        page["heartbeat_ns"] = time.monotonic_ns() + 3_600 * 10**9


def calm(watched: Road) -> None:
    alive(watched)
    ingest = watched.pages[CONNECTION]
    ingest["gap_position"] = 0
    now = time.time_ns()
    ingest["last_receive_ns"] = now
    for name in SUBSCRIPTIONS:
        ingest[f'stream_state{{stream="{name}"}}'] = 2
        ingest[f'stream_last_ns{{stream="{name}"}}'] = now


def shows(page: Browser, selector: str, text: str) -> None:
    eventually(lambda: text in page.text(selector), 60, f"{selector} shows {text}: {page.text(selector)}")


def test_200_symbols_cost_little_a_second(watched: Road) -> None:
    """What one update of the page costs on the wire, headers included, as a browser asks for it."""
    calm(watched)
    wire = 0.0
    for path in ("/status/now", "/status/hour", "/status/subscriptions"):
        connection = http.client.HTTPConnection("127.0.0.1", watched.port, timeout=30)
        connection.request("GET", path, headers={"Accept-Encoding": "gzip, deflate, br"})
        answer = connection.getresponse()
        body = answer.read()
        size = len(body) + sum(len(name) + len(value) + 4 for name, value in answer.getheaders())
        content = json.loads(gzip.decompress(body))
        connection.close()
        if path == "/status/now":
            wire, states, layout = size, content["states"], content["layout"]
            assert "streams" not in content
        elif path == "/status/hour":
            wire += size / HOUR_EVERY
            assert len(content["symbols"]) == len(SYMBOLS)
        else:
            assert content["layout"] == layout
            assert [row[2] for row in content["subscriptions"]] == SUBSCRIPTIONS
    assert states == "2" * len(SUBSCRIPTIONS)
    assert wire < MAX_BYTES_A_SECOND / 2


@needs_browser
def test_the_verdict_since_when_and_the_problems_come_first(watched: Road, page: Browser) -> None:
    order = page.run("return [...document.querySelectorAll('main h2, main summary')].map(x => x.innerText)")
    assert order[:6] == ["Problems", "Pipeline", "Open gaps", "Last errors", "Latency", "Last hour"]
    assert page.text("#no-problem") == "none"
    assert "1 of 1 connections up" in page.text("#pipeline")

    ingest = watched.pages[CONNECTION]
    ingest["connection_up"] = 0
    ingest["gap_started_ns"], ingest["gap_cause"] = time.time_ns() - 90 * 10**9, GAP_CAUSES.index("disconnect")
    ingest["gap_position"] = 8
    ingest['decode_errors_total{kind="json"}'] += 3

    shows(page, "#verdict", "not ready since")
    shows(page, "#reasons", f"{CONNECTION}: not connected")
    shows(page, "#reasons", "1 gap open")
    shows(page, "#gaps", "the whole connection\tdisconnect")
    shows(page, "#errors", "Frames or events that the decoder refused")
    shows(page, "#pipeline", "0 of 1 connections up")
    assert page.complaints() == []


@needs_browser
def test_how_late_events_are(watched: Road, page: Browser) -> None:
    serializer = watched.pages["serializer-0"]
    labels = latency_labels("trade", RECEIVED, "binance")
    Histogram(serializer, "latency_seconds", labels, LATENCIES).observe(3_000_000, 1_000_000)

    shows(page, "#latency", "venue to receipt\tbinance\t3.8 ms\t5.0 ms\tnot known")
    assert page.complaints() == []


@needs_browser
def test_one_bad_stream_of_1600_is_the_first_row_and_the_filter_finds_any(watched: Road, page: Browser) -> None:
    watched.pages[CONNECTION][f'stream_state{{stream="{SUBSCRIPTIONS[-3]}"}}'] = 3
    shows(page, "#subscriptions tbody tr", SUBSCRIPTIONS[-3])
    assert page.run("return document.querySelectorAll('#subscriptions tbody tr').length") == 100
    assert "100 shown" in page.text("#subscriptions-note")

    page.run("document.getElementById('filter').focus()")
    page.keys("sym042 kline")
    shows(page, "#subscriptions-note", "1 of 1,600")
    assert page.text("#subscriptions tbody tr").startswith("sym042usdt@kline_1m")


@needs_browser
def test_the_strip_of_the_last_hour_says_in_words_what_it_shows(watched: Road, page: Browser) -> None:
    watched.pages[CONNECTION][f'stream_state{{stream="{SUBSCRIPTIONS[8 * 17]}"}}'] = 3
    page.run("document.getElementById('filter').focus()")
    page.keys("sym017")
    bar = "document.querySelector('#hour tbody tr [role=img]')"

    def is_seen() -> bool:
        page.run("turn = 0")  # asks at the next update, not in ten seconds
        return page.run(f"return {bar}?.dataset.strip.match(/[23]/) != null") is True

    eventually(is_seen, 60, "the silent stream is a minute that is not whole")
    assert page.text("#hour tbody tr").startswith("SYM017USDT")
    label = page.run(f"return {bar}.ariaLabel")
    assert re.fullmatch(
        r"binance SYM017USDT: \d+ minutes? recorded, \d+ in part, \d+ not recorded, \d+ not seen", label
    )
    assert "200 symbols" in page.text("#hour-note")
    assert "gradient" in page.run("return document.querySelector('#hour tbody tr [role=img]').style.background")
    assert page.complaints() == []


@needs_browser
def test_patched_in_place_focus_selection_and_elements_stay(watched: Road, page: Browser) -> None:
    page.run(
        "window.row = document.querySelector('#connections tbody tr'); document.getElementById('filter').focus();"
        "window.told = []; new MutationObserver(found => told.push(...found))"
        ".observe(document.getElementById('verdict'), { childList: true, characterData: true, subtree: true });"
        "getSelection().selectAllChildren(row.cells[0]);"
    )
    watched.pages[CONNECTION]["frames_total"] += 4321
    for name in SUBSCRIPTIONS[:3]:
        watched.pages[CONNECTION][f'stream_state{{stream="{name}"}}'] = 3
    shows(page, "#connections", "4,321")
    shows(page, "#pipeline", "3 of 1600 subscriptions not live")

    assert page.run("return row === document.querySelector('#connections tbody tr')")
    assert page.run("return document.activeElement.id") == "filter"
    assert page.run("return getSelection().toString()").strip() == CONNECTION
    assert page.run("return told.length") == 0  # a screen reader is told a verdict once


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_phone_and_both_schemes(page: Browser, scheme: str, width: int) -> None:
    page.emulate(scheme, width, 800)
    assert page.run("return document.documentElement.scrollWidth") <= width
    wide = "return [...document.querySelectorAll('.wide')].filter(x => x.scrollWidth > x.clientWidth).length"
    assert page.run(wide) == 0
    background = page.run("return getComputedStyle(document.documentElement).colorScheme")
    assert background == "light dark"
    assert page.run("return matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")


@needs_browser
def test_what_a_screen_reader_gets(page: Browser) -> None:
    nodes = page.accessibility()
    for role in ("table", "meter", "searchbox", "checkbox", "button", "region", "navigation", "link"):
        named = [node["name"] for node in nodes if node["role"] == role]
        assert all(named), (role, named)
    assert [node["name"] for node in nodes if node["role"] == "table"]
    live = "return [...document.querySelectorAll('[aria-live], [role=status], [role=alert]')].map(x => x.id)"
    assert page.run(live) == ["verdict"]


@needs_browser
def test_a_monitor_that_does_not_answer_is_said(tmp_path: Path, page: Browser) -> None:
    with road(tmp_path) as made:
        with monitor(made):
            alive(made)
            page.go(f"http://127.0.0.1:{made.port}/")
            shows(page, "#verdict", "ready since")
        shows(page, "#verdict", "no answer from the monitor")
        assert page.run("return document.getElementById('verdict').className") == "bad"
