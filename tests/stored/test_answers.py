"""What an agent is told: exact, bounded, each row once however it is paged, and never without its completeness."""

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from clickhouse.table_bench import TableBench
from stored.book_recordings import Market
from stored.recordings import MINUTE, NOON, SECOND, candle, coverage, gap, record, trade

from wsadapter.stored import Stored
from wsadapter.stored import answers as limits
from wsadapter.stored.answers import Answer, Answers
from wsadapter.stored.stored import BadQuestion

pytestmark = pytest.mark.integration
TRADE = ("time", "trade_id", "price")


@pytest.fixture
def answers(stored: Stored, bench: TableBench) -> Answers:
    return Answers(stored, bench.settings.database)


def trades(answers: Answers, start: Any = NOON, end: Any = NOON + MINUTE, limit: int = 500) -> Answer:
    return answers.rows("trade", "binance", "BTCUSDT", start, end, TRADE, limit, {"aggregated": True})


def test_rows_say_what_is_missing_between_them_and_of_which_time_they_are(answers: Answers, bench: TableBench) -> None:
    record(bench, [trade(number, NOON + number * SECOND + 7) for number in (1, 2, 9)])
    record(bench, [coverage("trade", NOON, NOON + 3 * SECOND), coverage("trade", NOON + 9 * SECOND, NOON + MINUTE)])
    record(bench, [gap(NOON + 3 * SECOND, NOON + 9 * SECOND)])

    answer = trades(answers)

    assert answer["rows"] == [
        ["2026-09-21T14:14:01.000000007Z", "1", "61800.2", False],
        ["2026-09-21T14:14:02.000000007Z", "2", "61800.2", False],
        ["2026-09-21T14:14:09.000000007Z", "9", "61800.2", True],
    ]
    assert answer["columns"] == [*TRADE, "after_gap"]
    assert answer["range"] == {"start": "2026-09-21T14:14:00Z", "end": "2026-09-21T14:15:00Z"}
    assert answer["completeness"] == {
        "verdict": "incomplete",
        "complete": False,
        "missing": [
            {
                "start": "2026-09-21T14:14:03Z", "end": "2026-09-21T14:14:09Z", "cause": "disconnect",
                "state": "unrepairable",
            }
        ],
        "missing_not_listed": 0,
        "missing_seconds": 6.0,
        "repaired": 0,
    }  # fmt: skip
    assert answer["more"] is None
    assert answer["source"].endswith(".trade")
    json.dumps(answer)


def test_pages_give_each_row_once_and_moments_are_never_parted(answers: Answers, bench: TableBench) -> None:
    """Also where what comes later has an earlier time of the venue: pages go by that."""
    record(bench, [trade(number, NOON + number // 3 * SECOND) for number in range(60)])
    record(bench, [coverage("trade", NOON, NOON + MINUTE)])
    seen: list[str] = []
    start: Any = NOON
    while True:
        answer = trades(answers, start, limit=10)
        assert len(answer["rows"]) <= 10
        assert answer["completeness"]["complete"]
        seen += [row[1] for row in answer["rows"]]
        if answer["more"] is None:
            break
        assert answer["range"]["end"] == answer["more"]["start"]
        start = answer["more"]["start"]
    assert seen == [str(number) for number in range(60)]
    with pytest.raises(BadQuestion, match="more than 2 rows are of one moment"):
        trades(answers, limit=2)


def test_an_answer_is_bounded_in_bytes(answers: Answers, bench: TableBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_BYTES", 2_000)
    record(bench, [trade(number, NOON + number * SECOND // 10) for number in range(200)])
    record(bench, [coverage("trade", NOON, NOON + MINUTE)])
    answer = trades(answers)
    assert 0 < len(json.dumps(answer["rows"])) <= 2_000
    assert 10 < len(answer["rows"]) < 200
    assert trades(answers, answer["more"]["start"])["rows"][0][1] == str(len(answer["rows"]))


def test_a_moment_with_more_rows_than_the_bytes_allow_is_one_page(
    answers: Answers, bench: TableBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_BYTES", 2_000)
    record(bench, [trade(number, NOON + max(0, number - 99) * SECOND // 10) for number in range(200)])
    record(bench, [coverage("trade", NOON, NOON + MINUTE)])
    seen: list[str] = []
    pages: list[int] = []
    start: Any = NOON
    while start is not None:
        answer = trades(answers, start)
        seen += [row[1] for row in answer["rows"]]
        pages.append(len(answer["rows"]))
        start = answer["more"] and answer["more"]["start"]
    assert sorted(seen, key=int) == [str(number) for number in range(200)]
    assert pages[0] == 100
    assert max(pages[1:]) < 50


def test_nothing_recorded_is_no_answer_about_the_market(answers: Answers, bench: TableBench) -> None:
    answer = trades(answers)
    assert (answer["rows"], answer["completeness"]["verdict"]) == ([], "missing")
    assert answer["completeness"]["missing_seconds"] == 60.0


def test_gaps_that_were_repaired_are_told_as_such(answers: Answers, bench: TableBench) -> None:
    record(bench, [coverage("kline", NOON, NOON + 10 * MINUTE, "1m"), candle(NOON)])
    record(bench, [gap(NOON + MINUTE, NOON + 2 * MINUTE, "repaired", "kline")])
    asked = ("kline", "binance", "BTCUSDT", NOON, NOON + 10 * MINUTE, "1m")
    answer = answers.completeness(*asked, repaired=True)
    assert answer["completeness"]["verdict"] == "complete"
    assert [(each["cause"], each["state"]) for each in answer["gaps"]] == [("disconnect", "repaired")]
    assert "gaps" not in answers.completeness(*asked, repaired=False)


def test_gaps_that_overlap_are_told_once_each_however_many(answers: Answers, bench: TableBench) -> None:
    record(bench, [coverage("kline", NOON, NOON + 100 * MINUTE, "1m")])
    record(bench, [gap(NOON + n // 2 * MINUTE, NOON + 90 * MINUTE, "repaired", "kline", f"7:{n}") for n in range(120)])
    asked = ("kline", "binance", "BTCUSDT")
    seen = list[str]()
    more: Any = {"start": NOON, "end": NOON + 100 * MINUTE, "offset": 0}
    for _ in range(3):
        answer = answers.completeness(*asked, more["start"], more["end"], "1m", repaired=True, offset=more["offset"])
        assert answer["completeness"]["verdict"] == "complete"
        seen += [each["start"] for each in answer["gaps"]]
        more = answer["more"]
        if more is None:
            break
    assert more is None
    assert seen == sorted(seen)
    assert len(seen) == 120


def test_candles_without_an_interval_are_no_question(answers: Answers, bench: TableBench, stored: Stored) -> None:
    """One interval that was recorded says nothing of the others."""
    record(bench, [coverage("kline", NOON, NOON + MINUTE, "1m"), candle(NOON)])
    asked = ("kline", "binance", "BTCUSDT", NOON, NOON + MINUTE)
    for question in (
        lambda: answers.completeness(*asked, "", repaired=False),
        lambda: answers.completeness(*asked, "", repaired=True),
        lambda: stored.completeness("binance", "BTCUSDT", "kline", NOON, NOON + MINUTE),
        lambda: stored.rows(*asked),
    ):
        with pytest.raises(BadQuestion, match="interval: candles are asked about with theirs"):
            question()
    assert answers.completeness(*asked, "1h", repaired=False)["completeness"]["verdict"] == "missing"
    assert stored.rows(*asked, where={"interval": "1m"}).complete


def test_a_book_is_exact_and_says_whether_it_is_the_venues(answers: Answers, bench: TableBench) -> None:
    market = Market(random.Random(7), "okx", NOON, levels=40)
    begin = market.snapshot()
    wanted = market.book(3)
    record(bench, [begin, coverage("depth", NOON - SECOND, NOON + MINUTE, exchange="okx")])
    symbol = begin.symbol
    answer = answers.book("okx", symbol, NOON + SECOND, 3)
    assert [(Decimal(price), Decimal(quantity)) for price, quantity in answer["bids"]] == wanted[0]
    assert [(Decimal(price), Decimal(quantity)) for price, quantity in answer["asks"]] == wanted[1]
    assert answer["completeness"]["verdict"] == "complete"
    later = answers.book("okx", symbol, NOON + 2 * MINUTE, 3)
    assert (later["completeness"]["verdict"], later["completeness"]["complete"]) == ("incomplete", False)
    assert later["completeness"]["reason"]
    with pytest.raises(BadQuestion, match="levels"):
        answers.book("okx", symbol, NOON, 0)


def test_what_was_recorded(answers: Answers, bench: TableBench) -> None:
    record(bench, [coverage("trade", NOON, NOON + MINUTE), coverage("kline", NOON, NOON + MINUTE, "1m")])
    answer = answers.recorded("", "", 0)
    assert answer["rows"] == [
        ["binance", "BTCUSDT", "kline", "1m", "2026-09-21T14:14:00Z", "2026-09-21T14:15:00Z"],
        ["binance", "BTCUSDT", "trade", "", "2026-09-21T14:14:00Z", "2026-09-21T14:15:00Z"],
    ]
    assert answer["more"] is None


@pytest.mark.parametrize(
    ("stream", "start", "limit", "says"),
    [
        ("nothing", NOON, 10, "no stream"),
        ("trade", "yesterday-ish", 10, "yesterday-ish"),
        ("trade", NOON, 0, "limit"),
        ("trade", NOON + 2 * MINUTE, 10, "ends before it begins"),
    ],
)
def test_what_cannot_be_asked_is_said(answers: Answers, stream: str, start: Any, limit: int, says: str) -> None:
    with pytest.raises(BadQuestion, match=says):
        answers.rows(stream, "binance", "BTCUSDT", start, NOON + MINUTE, ("time",), limit, {})


def test_who_reads_cannot_write(stored: Stored, bench: TableBench) -> None:
    for write in (f"TRUNCATE TABLE {bench.settings.database}.trade", "CREATE TABLE default.x (a Int8) ENGINE = Memory"):
        with pytest.raises(Exception, match=r"(?i)readonly"):
            stored._client.command(write)
