"""The audit of tables on the real engine: complete data passes, each kind of hole is found, a gap row explains it."""

import json
import random
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from audit.audit_bench import (
    MINUTE,
    SECOND,
    START,
    AuditBench,
    Row,
    candle,
    coverage,
    depth,
    gap,
    minute,
    run,
    trade,
    when,
)

from wsadapter.audit import queries as audit_queries
from wsadapter.audit import tables as audit
from wsadapter.errors import ExitCode

pytestmark = pytest.mark.integration

CHAIN = [depth(1, 90, 100), depth(2, 100, 117), depth(3, 117, 130), depth(4, 130, 131)]


def only(found: dict[str, Any], stream: str) -> dict[str, Any]:
    (series,) = [one for one in found["series"] if one["stream"] == stream]
    assert isinstance(series, dict)
    return series


def complete(bench: AuditBench) -> None:
    bench.insert("trade", [trade(number) for number in range(100, 160)])
    bench.insert("depth", CHAIN)
    bench.insert("kline", [minute(number) for number in range(10)])
    bench.insert("ticker", [{**trade(0), "time": when(START + at * SECOND)} for at in (0, 2, 9)])


def test_complete_data_is_complete(bench: AuditBench) -> None:
    complete(bench)

    code, found = bench.audit()

    assert (code, found["verdict"], found["unexplained"], found["holes"]) == (ExitCode.OK, "complete", 0, [])
    assert {one["stream"]: one["verdict"] for one in found["series"]} == {
        "trade": "complete", "depth": "complete", "kline": "complete", "ticker": "counted",
    }  # fmt: skip
    assert only(found, "ticker")["largest_silence_seconds"] == 7.0
    assert only(found, "trade")["rows"] == only(found, "trade")["rows_final"] == 60
    assert found["live"] is None


def test_empty_tables_are_not_complete(bench: AuditBench) -> None:
    done = bench.run("audit")

    assert done.exit_code == ExitCode.LOSS
    assert "tables: empty: no rows in this range" in done.stdout
    assert bench.audit()[1]["verdict"] == "empty"


@pytest.mark.parametrize("missing", [{120}, {101, 102, 103}, {110, 140, 141}])
def test_missing_trades(bench: AuditBench, missing: set[int]) -> None:
    bench.insert("trade", [trade(number) for number in range(100, 160) if number not in missing])

    code, found = bench.audit()

    assert (code, found["verdict"]) == (ExitCode.LOSS, "unexplained")
    assert only(found, "trade")["missing"] == len(missing)
    assert {n for hole in found["holes"] for n in range(hole["first_missing"], hole["last_missing"] + 1)} == missing


@pytest.mark.parametrize(
    "numbers",
    [
        [*range(65_530, 65_536), *range(65_540, 65_545)],  # across two blocks
        [*range(65_530, 65_536), *range(65_540, 131_080), *range(196_610, 196_620)],  # a hole wider than a block
        [*range(60_000, 65_536), *range(65_540, 131_072), *range(131_072, 131_080), 131_082],  # full ones between
    ],
)
def test_holes_at_the_borders_of_blocks(bench: AuditBench, numbers: list[int]) -> None:
    bench.insert("trade", [trade(number, START + number * 1_000_000) for number in numbers])

    _, found = bench.audit()

    expected = [(a + 1, b - 1) for a, b in pairwise(numbers) if b != a + 1]
    assert sorted((hole["first_missing"], hole["last_missing"]) for hole in found["holes"]) == expected


def test_random_series_against_a_plain_loop(bench: AuditBench) -> None:
    """Each symbol is a case: numbers over several blocks, some runs missing, some rows twice."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    rows, expected = [], set()
    for case in range(40):
        symbol, number, before = f"S{case}USDT", rng.randrange(2**33), None
        for _ in range(rng.randrange(1, 60)):
            number += rng.choice([1, 1, 1, 1, 1, 2, 40, 65_536, 200_000])
            if before is not None and number > before + 1:
                expected.add((symbol, before + 1, number - 1))
            at_ns = START + rng.randrange(1000) * SECOND
            rows += [trade(number, at_ns, symbol)] * rng.choice([1, 1, 1, 2])
            before = number
    rng.shuffle(rows)
    half = len(rows) // 2
    bench.insert("trade", rows[:half])
    bench.insert("trade", rows[half:])

    found = bench.audit()[1]["holes"]

    assert {(hole["symbol"], hole["first_missing"], hole["last_missing"]) for hole in found} == expected
    assert len(found) == len(expected)


def test_more_holes_than_are_looked_at_fail(bench: AuditBench, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (audit, audit_queries):
        monkeypatch.setattr(module, "MAX_HOLES", 3)
    bench.insert("trade", [trade(2 * number) for number in range(10)])
    bench.insert("gap", [gap(START, START + 100 * SECOND)])

    code, found = bench.audit()

    assert (code, found["truncated"], found["unexplained"]) == (ExitCode.LOSS, ["trade"], 0)


def test_raw_and_aggregated_trades_and_symbols_are_apart(bench: AuditBench) -> None:
    bench.insert("trade", [trade(number) for number in range(10)])
    bench.insert("trade", [trade(number, aggregated=False) for number in range(1000, 1010)])
    bench.insert("trade", [trade(number, symbol="币安人生USDT") for number in range(500, 510)])

    code, found = bench.audit()

    assert code == ExitCode.OK
    assert {(one["symbol"], one["kind"]) for one in found["series"]} == {
        ("BTCUSDT", "aggregated"), ("BTCUSDT", "raw"), ("币安人生USDT", "aggregated"),
    }  # fmt: skip


def test_between_two_numberings_nothing_is_missing(bench: AuditBench) -> None:
    """A symbol that is listed again begins with 1; within each numbering a hole is one."""
    bench.insert("trade", [trade(10**6 + number, START + number * SECOND) for number in range(20)])
    bench.insert("trade", [trade(number, START + (4000 + number) * SECOND) for number in range(1, 20) if number != 7])

    holes = bench.audit()[1]["holes"]

    assert [(hole["first_missing"], hole["last_missing"]) for hole in holes] == [(7, 7)]


def test_trades_of_one_millisecond_in_any_order(bench: AuditBench) -> None:
    # as text '1000' sorts before '999'
    bench.insert("trade", [trade(number, START) for number in (1001, 998, 999, 1000)])

    assert bench.audit()[0] == ExitCode.OK


def test_trades_whose_ids_are_no_numbers_are_counted(bench: AuditBench) -> None:
    named = {"aggregated": False, "trade_number": None}
    bench.insert("trade", [trade(number) for number in range(3)])
    bench.insert("trade", [{**trade(at, symbol="ETHUSDT"), **named, "trade_id": f"2ee8-{at}"} for at in (0, 4, 9)])

    code, found = bench.audit()

    assert code == ExitCode.OK
    checks = {(one["symbol"], one["verdict"], one["check"], one["largest_silence_seconds"]) for one in found["series"]}
    assert checks == {("BTCUSDT", "complete", "sequence", None), ("ETHUSDT", "counted", None, 5.0)}


def test_a_broken_chain(bench: AuditBench) -> None:
    bench.insert("depth", [row for row in CHAIN if row["last_update_id"] != 117])

    code, found = bench.audit()

    assert code == ExitCode.LOSS
    (hole,) = found["holes"]
    assert (hole["stream"], hole["kind"], hole["first_missing"], hole["last_missing"]) == ("depth", "delta", 101, 117)
    assert hole["missing"] is None


def test_a_book_without_previous_ids_goes_by_its_first(bench: AuditBench) -> None:
    rows = [depth(n, None, 100 + 3 * n) for n in range(5)]
    bench.insert("depth", rows)
    assert bench.audit()[0] == ExitCode.OK

    bench.clear()
    bench.insert("depth", rows[:2] + rows[3:])
    assert bench.audit()[0] == ExitCode.LOSS


def test_a_chain_over_hours_with_ids_that_begin_anew(bench: AuditBench) -> None:
    bench.insert("depth", [depth(n * 900, 10 * n, 10 * n + 10) for n in range(12)])
    assert bench.audit()[0] == ExitCode.OK

    bench.insert("depth", [depth(n * 900, 10 * (n - 12) + 1, 10 * (n - 12) + 11) for n in range(12, 20)])
    assert [hole["first_missing"] for hole in bench.audit()[1]["holes"]] == [1]


def test_repeats_in_a_chain_are_no_holes(bench: AuditBench) -> None:
    bench.insert("depth", CHAIN)
    bench.insert("depth", CHAIN[1:3])
    bench.insert("trade", [trade(number) for number in range(10)])
    bench.insert("trade", [trade(number, START + 5 * SECOND) for number in range(3, 6)])

    assert bench.audit()[0] == ExitCode.OK


def test_books_have_no_chain(bench: AuditBench) -> None:
    bench.insert("depth", [{**row, "update_type": "SNAPSHOT", "level_limit": 20} for row in (CHAIN[0], CHAIN[3])])

    code, found = bench.audit()

    assert code == ExitCode.OK
    assert (only(found, "depth")["kind"], only(found, "depth")["verdict"]) == ("top 20", "counted")


def test_missing_candles(bench: AuditBench) -> None:
    bench.insert("kline", [minute(number) for number in range(10) if number not in (4, 5)])

    code, found = bench.audit()

    assert code == ExitCode.LOSS
    (hole,) = found["holes"]
    assert (hole["interval"], hole["missing"]) == ("1m", 2)
    assert hole["first_missing"] == when_iso(START + 4 * MINUTE)


def when_iso(at_ns: int) -> str:
    return str(when(at_ns)).replace(" ", "T") + "Z"


def test_months_differ_in_length(bench: AuditBench) -> None:
    days = [31, 28, 31, 30, 31]
    opens = [1_767_225_600 * SECOND]  # 2026-01-01
    for count in days:
        opens.append(opens[-1] + count * 86_400 * SECOND)
    candles = [candle(a, b, "1M") for a, b in pairwise(opens)]
    bench.insert("kline", candles)
    assert bench.audit()[0] == ExitCode.OK

    bench.clear()
    bench.insert("kline", [candles[0], candles[3]])
    _, found = bench.audit()
    assert [hole["missing"] for hole in found["holes"]] == [2]


def test_an_open_candle_fills_no_place(bench: AuditBench) -> None:
    bench.insert("kline", [minute(0), minute(1, closed=False), minute(2)])

    assert bench.audit()[0] == ExitCode.LOSS


@pytest.mark.parametrize(
    "row",
    [
        gap(START + 120 * SECOND + 1, START + 122 * SECOND),
        gap(START + 121 * SECOND, START + 121 * SECOND, stream="trade", symbol="BTCUSDT", connection="another"),
        gap(START, START + 1, stream="trade", symbol="BTCUSDT", first_missing=121, last_missing=121),
        gap(START + 120 * SECOND, None, stream="trade"),
        gap(START + 999 * SECOND, START + 999 * SECOND, exchange="", connection="kafka:t:0", stream="trade",
            cause="kafka_retention"),
    ],
    ids=["connection", "symbol", "ids", "open", "retention"],
)  # fmt: skip
def test_a_gap_explains_a_hole(bench: AuditBench, row: Row) -> None:
    bench.insert("trade", [trade(number) for number in range(100, 160) if number != 121])
    bench.insert("gap", [row])

    code, found = bench.audit()

    assert (code, found["verdict"], found["unexplained"]) == (ExitCode.OK, "explained", 0)
    assert found["holes"][0]["explained_by"] == {"cause": row["cause"], "gap_id": row["gap_id"]}
    assert only(found, "trade")["verdict"] == "explained"


@pytest.mark.parametrize(
    "row",
    [
        gap(START + 130 * SECOND, START + 150 * SECOND),
        gap(START + 120 * SECOND, START + 122 * SECOND, exchange="bybit"),
        gap(START + 120 * SECOND, START + 122 * SECOND, symbol="ETHUSDT"),
        gap(START + 120 * SECOND, START + 122 * SECOND, stream="depth"),
        gap(START + 120 * SECOND, START + 122 * SECOND, connection="binance-public-0"),
        gap(START + 120 * SECOND, START + 122 * SECOND, stream="trade", symbol="BTCUSDT", first_missing=5,
            last_missing=9),
        gap(START - 9000 * SECOND, None),
    ],
    ids=["time", "exchange", "symbol", "stream", "connection", "ids", "open-long-ago"],
)  # fmt: skip
def test_a_gap_elsewhere_explains_nothing(bench: AuditBench, row: Row) -> None:
    bench.insert("trade", [trade(number) for number in range(100, 160) if number != 121])
    bench.insert("gap", [row])

    assert bench.audit()[0] == ExitCode.LOSS


def test_only_the_newest_state_of_a_gap_counts(bench: AuditBench) -> None:
    bench.insert("trade", [trade(number) for number in range(100, 160) if number != 121])
    first = gap(START + 10 * SECOND, None)
    bench.insert("gap", [first])
    bench.insert("gap", [{**first, "version": 2, "ended": when(START + 11 * SECOND)}])

    assert bench.audit()[0] == ExitCode.LOSS


REPAIRED: dict[str, Any] = {"repair_state": "repaired"}
AROUND = (START + 120 * SECOND, START + 122 * SECOND)


@pytest.mark.parametrize(
    "row",
    [
        gap(*AROUND, **REPAIRED),
        gap(*AROUND, stream="trade", symbol="BTCUSDT", connection="", **REPAIRED),
        gap(START, START + 1, stream="trade", symbol="BTCUSDT", first_missing=119, last_missing=121, **REPAIRED),
    ],
    ids=["connection", "symbol", "ids"],
)
def test_a_hole_in_what_was_repaired_is_not_explained(bench: AuditBench, row: Row) -> None:
    bench.insert("trade", [trade(number) for number in range(100, 160) if number != 121])
    bench.insert("gap", [row])

    code, found = bench.audit()
    assert (code, found["verdict"], found["unexplained"]) == (ExitCode.LOSS, "unexplained", 1)
    assert (found["holes"][0]["explained_by"], found["holes"][0]["repaired_but_missing"]) == (None, row["gap_id"])
    shown = bench.run("audit").stdout
    assert "repaired, but missing" in shown
    assert row["gap_id"] in shown

    bench.insert("trade", [trade(121, source="REST")])
    assert bench.audit()[1]["verdict"] == "complete"


def test_numbers_that_the_venue_gave_to_no_trade_are_explained(bench: AuditBench) -> None:
    """Nothing is missing there, so the gap is ``repaired`` from its beginning; no row will ever have the number."""
    bench.insert("trade", [trade(number) for number in range(100, 160) if number not in (121, 130, 131)])
    fillers = [
        gap(START, START, stream="trade", symbol="BTCUSDT", cause="filler", first_missing=number, last_missing=number,
            missing_count=0, **REPAIRED)
        for number in (121, 130)
    ]  # fmt: skip
    bench.insert("gap", fillers)
    assert bench.audit()[1]["unexplained"] == 1, "131 is named by none"
    bench.insert("gap", [{**fillers[0], "gap_id": "1:131", "first_missing": 131, "last_missing": 131}])

    code, found = bench.audit()
    assert (code, found["verdict"]) == (ExitCode.OK, "explained")
    assert {hole["explained_by"]["cause"] for hole in found["holes"]} == {"filler"}


@pytest.mark.parametrize("state", ["open", "partial", "unrepairable"])
def test_any_other_state_explains(bench: AuditBench, state: str) -> None:
    """Also where another gap around the hole is said to be repaired, as of the twin of a connection."""
    bench.insert("trade", [trade(number) for number in range(100, 160) if number not in (121, 141, 142)])
    late: Row = {"stream": "trade", "symbol": "BTCUSDT"}
    bench.insert(
        "gap",
        [
            gap(*AROUND, connection="binance-market-0-b", **REPAIRED),
            gap(*AROUND, **REPAIRED),
            gap(*AROUND, repair_state=state),
            gap(START, START, first_missing=141, last_missing=141, **late, **REPAIRED),
            gap(START, START, first_missing=141, last_missing=142, **late, repair_state=state),
        ],
    )
    assert bench.audit()[1]["verdict"] == "explained"


def test_a_gap_of_a_connection_says_it_of_each_stream(bench: AuditBench) -> None:
    bench.insert("trade", [trade(number) for number in range(100, 160) if number != 121])
    whole = gap(*AROUND, repair_state="partial")
    bench.insert("gap", [whole, {**whole, "stream": "ticker", "repair_state": "unrepairable"}])
    assert bench.audit()[1]["unexplained"] == 1, "it carried no trades"

    bench.insert("gap", [{**whole, "stream": "trade", "symbol": "ETHUSDT", "repair_state": "partial"}])
    assert bench.audit()[1]["unexplained"] == 1, "that is another symbol's"

    said = {**whole, "stream": "trade", "symbol": "BTCUSDT"}
    bench.insert("gap", [said])
    assert bench.audit()[1]["holes"][0]["explained_by"]["gap_id"] == whole["gap_id"]

    bench.insert("gap", [{**said, "version": 2, **REPAIRED}])
    for filters in ((), ("--stream", "trade"), ("--symbol", "BTCUSDT")):
        assert bench.audit(*filters)[1]["holes"][0]["repaired_but_missing"] == whole["gap_id"]


def complete_by_the_doc(bench: AuditBench, stream: str = "trade", interval: str = "") -> bool:
    text = (Path(__file__).parents[2] / "docs" / "repair.md").read_text()
    query = text.partition("```sql\n")[2].partition("```")[0]
    query = query.replace("market.", f"{bench.settings.database}.").replace("'trade'", f"'{stream}'")
    answer: Any = bench.client.raw_query(query, fmt="JSONEachRow")
    rows = [json.loads(line) for line in bytes(answer).splitlines()]
    (verdict,) = (row["verdict"] for row in rows if row["interval"] == interval)
    return bool(verdict == "complete")


def test_the_query_of_the_documentation(bench: AuditBench) -> None:
    now = time.time_ns()
    lately = now - 600 * SECOND, now - 590 * SECOND
    about: Row = {"stream": "trade", "symbol": "BTCUSDT"}
    assert not complete_by_the_doc(bench), "nothing was recorded"
    series = ({"stream": "trade"}, {"stream": "ticker"}, *({"stream": "kline", "interval": i} for i in ("1m", "1h")))
    bench.insert("coverage", [coverage(now - 7200 * SECOND, now, **each) for each in series])
    assert complete_by_the_doc(bench)

    whole = gap(*lately)
    bench.insert("gap", [whole])
    assert not complete_by_the_doc(bench), "nobody knows yet"
    bench.insert(
        "gap",
        [
            {**whole, "version": 3, "repair_state": "partial"},
            {**whole, "version": 3, "stream": "ticker", "repair_state": "unrepairable"},
            {**whole, "version": 3, "stream": "trade", "symbol": "ETHUSDT", "repair_state": "partial"},
            {**whole, "version": 3, **about, **REPAIRED},
            {**whole, "version": 3, "stream": "kline", "interval": "1h", "repair_state": "partial"},
            {**whole, "version": 3, "stream": "kline", "interval": "1m", **REPAIRED},
            gap(now - 9000 * SECOND, now - 8000 * SECOND, repair_state="partial"),
            gap(now - 9000 * SECOND, now - 8000 * SECOND, **about),
            gap(*lately, exchange="bybit", **about),
        ],
    )
    assert complete_by_the_doc(bench)
    assert not complete_by_the_doc(bench, "ticker")
    assert not complete_by_the_doc(bench, "kline", "1h")
    assert complete_by_the_doc(bench, "kline", "1m")

    for row in (
        gap(now - 60 * SECOND, None, cause="stale", **about),
        gap(*lately, cause="sequence", repair_state="partial", **about),
        gap(now, now, exchange="", cause="kafka_retention", stream="trade", repair_state="unrepairable"),
    ):
        bench.insert("gap", [row])
        assert not complete_by_the_doc(bench)
        bench.insert("gap", [{**row, "version": 2, **REPAIRED}])
        assert complete_by_the_doc(bench)


def test_only_a_part_of_what_is_missing_is_explained(bench: AuditBench) -> None:
    bench.insert("trade", [trade(number) for number in range(100, 160) if number not in (121, 122)])
    about: Row = {"stream": "trade", "symbol": "BTCUSDT"}
    bench.insert("gap", [gap(START, START, first_missing=121, last_missing=121, **about)])
    bench.insert("gap", [gap(START, START, first_missing=122, last_missing=122, **about, **REPAIRED)])

    code, found = bench.audit()
    assert (code, found["holes"][0]["repaired_but_missing"] is not None) == (ExitCode.LOSS, True)


def test_a_state_that_is_repaired_later_takes_the_explanation_back(bench: AuditBench) -> None:
    bench.insert("kline", [minute(number) for number in range(10) if number != 4])
    row = gap(START + 290 * SECOND, START + 310 * SECOND)
    bench.insert("gap", [row])
    assert bench.audit()[0] == ExitCode.OK

    bench.insert("gap", [{**row, "version": 3, **REPAIRED}])
    assert bench.audit()[0] == ExitCode.LOSS


def test_a_snapshot_mends_no_chain(bench: AuditBench) -> None:
    """So the gap of a book is ``partial`` at best, and that explains."""
    snapshot = {**depth(2, None, 118), "update_type": "SNAPSHOT", "level_limit": 1000, "source": "REST"}
    bench.insert("depth", [*CHAIN[:1], snapshot, *CHAIN[2:]])
    row = gap(START + 2 * SECOND, START + 3 * SECOND, connection="binance-public-0", repair_state="partial")
    bench.insert("gap", [row])
    assert bench.audit()[1]["verdict"] == "explained"

    bench.insert("gap", [{**row, "version": 3, **REPAIRED}])
    assert bench.audit()[0] == ExitCode.LOSS


def test_gaps_explain_a_chain_and_candles(bench: AuditBench) -> None:
    bench.insert("depth", CHAIN[:1] + CHAIN[2:])
    bench.insert("kline", [minute(number) for number in range(10) if number != 4])
    bench.insert("gap", [gap(START + 2 * SECOND, START + 3 * SECOND, connection="binance-public-0")])
    assert [bool(hole["explained_by"]) for hole in bench.audit()[1]["holes"]] == [False, True]

    bench.insert("gap", [gap(START + 270 * SECOND, START + 310 * SECOND, stream="kline", interval="1m")])
    assert bench.audit()[0] == ExitCode.OK


def test_a_gap_far_from_the_close_does_not_explain_a_candle(bench: AuditBench) -> None:
    hour = 60 * MINUTE
    bench.insert("kline", [candle(START + n * hour, START + (n + 1) * hour, "1h") for n in (0, 1, 3)])
    bench.insert("gap", [gap(START + 2 * hour + 5 * MINUTE, START + 2 * hour + 6 * MINUTE)])
    assert bench.audit()[0] == ExitCode.LOSS

    bench.insert("gap", [gap(START + 3 * hour - SECOND, START + 3 * hour + SECOND)])
    assert bench.audit()[0] == ExitCode.OK


def test_rejected_rows_explain_what_they_are(bench: AuditBench) -> None:
    bench.insert("trade", [trade(number) for number in range(100, 160) if number not in (121, 122)])
    kept = {"stream": "trade", "exchange": "binance", "symbol": "BTCUSDT", "reason": "price", "record": "{}"}
    bench.insert("rejected", [{**kept, "receive_time": when(START + 121 * SECOND)}])
    assert bench.audit()[0] == ExitCode.LOSS

    bench.insert("rejected", [{**kept, "receive_time": when(START + 122 * SECOND)}])
    code, found = bench.audit()
    assert code == ExitCode.OK
    assert found["holes"][0]["explained_by"]["cause"] == "rejected"


def test_repeats_are_shown(bench: AuditBench) -> None:
    for _ in range(2):
        bench.insert("trade", [trade(number) for number in range(10)])
        bench.insert("depth", CHAIN)
        bench.insert("kline", [minute(0), minute(1)])

    code, found = bench.audit()

    assert code == ExitCode.OK
    assert {one["stream"]: (one["rows"], one["rows_final"], one["duplicates"]) for one in found["series"]} == {
        "trade": (20, 10, 10), "depth": (8, 4, 4), "kline": (4, 2, 2),
    }  # fmt: skip


def test_what_came_by_rest_has_the_venues_time(bench: AuditBench) -> None:
    late = when(START + 90_000 * SECOND)
    rest: Row = {"source": "REST", "connection": "repair", "receive_time": late}
    bench.insert("trade", [trade(1), trade(2, **rest), trade(3, **rest), trade(5)])
    bench.insert("gap", [gap(START + 2 * SECOND, START + 5 * SECOND)])

    code, found = bench.audit()

    assert code == ExitCode.OK
    assert found["holes"][0]["started"] == when_iso(START + 3 * SECOND)


def test_a_range_of_time(bench: AuditBench) -> None:
    bench.insert("trade", [trade(number) for number in range(100) if number not in (20, 60)])

    def holes(*arguments: str) -> list[int]:
        return [hole["first_missing"] for hole in bench.audit(*arguments)[1]["holes"]]

    middle = when_iso(START + 40 * SECOND)
    assert holes() == [20, 60]
    assert holes("--since", middle) == [60]
    assert holes("--until", middle) == [20]
    # a hole that the range's edge cuts is in it: no row of the range itself could tell
    assert holes("--since", when_iso(START + 60 * SECOND)) == [60]
    assert holes("--until", when_iso(START + 20 * SECOND)) == [20]
    assert bench.audit("--since", when_iso(START + 61 * SECOND + 1))[0] == ExitCode.OK
    code, found = bench.audit("--since", middle)
    assert (code, only(found, "trade")["rows"], found["range"]["since"]) == (ExitCode.LOSS, 59, middle)


def test_filters(bench: AuditBench) -> None:
    bench.insert("trade", [trade(1), trade(3)])
    bench.insert("trade", [trade(number, symbol="ETHUSDT") for number in range(5)])
    bench.insert("kline", [minute(0), minute(1)])

    assert bench.audit("--symbol", "ETHUSDT")[0] == ExitCode.OK
    assert bench.audit("--stream", "kline")[0] == ExitCode.OK
    assert bench.audit("--exchange", "bybit")[1]["series"] == []
    assert bench.run("audit", "--symbol", "x' OR 1=1 --").exit_code == ExitCode.USAGE
    code, found = bench.audit("--exchange", "binance", "--symbol", "BTCUSDT", "--stream", "trade")
    assert code == ExitCode.LOSS
    assert [one["stream"] for one in found["series"]] == ["trade"]


def test_the_json(bench: AuditBench) -> None:
    bench.insert("trade", [trade(1), trade(3)])

    _, found = bench.audit("--since", "2026-01-01")

    assert found["range"] == {"since": "2026-01-01T00:00:00.000000000Z", "until": None}
    assert set(found) == {
        "verdict", "range", "filters", "unexplained", "truncated", "dead_letters", "stuck", "series", "holes", "live",
    }  # fmt: skip
    assert set(found["series"][0]) == {
        "exchange", "stream", "symbol", "interval", "kind", "rows", "rows_final", "duplicates", "first", "last",
        "check", "missing", "holes", "unexplained", "largest_silence_seconds", "dead_letters", "stuck",
        "verdict",
    }  # fmt: skip
    assert found["holes"] == [
        {
            "exchange": "binance", "stream": "trade", "symbol": "BTCUSDT", "interval": "", "kind": "aggregated",
            "first_missing": 2, "last_missing": 2, "missing": 1,
            "started": when_iso(START + SECOND + 5_000_000), "ended": when_iso(START + 3 * SECOND + 5_000_000),
            "explained_by": None, "repaired_but_missing": None,
        }
    ]  # fmt: skip


def test_the_table(bench: AuditBench) -> None:
    bench.insert("trade", [trade(number, symbol="[bold]X") for number in (1, 2, 5)])

    done = bench.run("audit")

    assert done.exit_code == ExitCode.LOSS
    assert "[bold]X" in done.stdout
    assert "tables: unexplained: 1 series (1 checked), 1 holes, 1 unexplained" in done.stdout
    assert "no monitor answers" in done.stdout


def test_a_monitor_is_needed_with_live(bench: AuditBench) -> None:
    done = bench.run("audit", "--live")

    assert (done.exit_code, done.stdout) == (ExitCode.UNAVAILABLE, "")


def test_without_clickhouse_or_tables(bench: AuditBench, clickhouse: str) -> None:
    text = bench.config.read_text()
    for command in ("audit", "gaps"):
        away = bench.config.with_name("away.toml")
        away.write_text(text.replace(clickhouse, "http://127.0.0.1:9"))
        done = run(command, "--config", str(away))
        assert (done.exit_code, done.stdout) == (ExitCode.UNAVAILABLE, "")

        away.write_text(text.replace(bench.settings.database, "nothing_here"))
        done = run(command, "--config", str(away))
        assert done.exit_code == ExitCode.UNAVAILABLE
        assert "no tables of ours in database nothing_here" in done.stderr


def test_gaps_are_listed(bench: AuditBench) -> None:
    bench.insert(
        "gap",
        [
            gap(START, START + 90 * SECOND),
            gap(START + 100 * SECOND, None, cause="stale", stream="trade", symbol="BTCUSDT"),
            gap(START + 50 * SECOND, START + 51 * SECOND, cause="ring_full", stream="depth", symbol="ETHUSDT",
                first_missing=4, last_missing=6, missing_count=3),
        ],
    )  # fmt: skip

    done = bench.run("gaps")
    assert done.exit_code == ExitCode.OK
    head, *lines = done.stdout.splitlines()
    assert head.split() == [
        "started", "ended", "duration", "exchange", "connection", "symbol", "stream", "cause", "missing", "state",
    ]  # fmt: skip
    assert [line.split()[-3] for line in lines] == ["disconnect", "3", "stale"]
    assert "1 m 30 s binance  binance-market-0 *" in lines[0]
    assert "3 (4-6)" in lines[1]
    assert " open " in lines[2]

    def causes(*arguments: str) -> list[str]:
        rows = json.loads(bench.run("gaps", "--json", *arguments).stdout)
        return [row["cause"] for row in rows]

    assert causes() == ["disconnect", "ring_full", "stale"]
    assert causes("--symbol", "BTCUSDT") == ["disconnect", "stale"]
    assert causes("--stream", "depth") == ["disconnect", "ring_full"]
    assert causes("--cause", "stale") == ["stale"]
    assert causes("--since", when_iso(START + 60 * SECOND)) == ["disconnect", "stale"]
    assert causes("--until", when_iso(START + 100 * SECOND)) == ["disconnect", "ring_full"]
    assert causes("--exchange", "bybit") == []


def test_a_hole_of_many_streams_is_one_hole(bench: AuditBench) -> None:
    whole = gap(START, START + 10 * SECOND, repair_state="partial")
    parts = [
        {**whole, "stream": "trade", "repair_state": "repaired"},
        {**whole, "stream": "ticker", "repair_state": "unrepairable"},
        {**whole, "stream": "kline", "interval": "1m", "symbol": "BTCUSDT", "repair_state": "repaired"},
    ]
    bench.insert("gap", [whole, *parts, gap(START + 60 * SECOND, START + 70 * SECOND)])

    done = bench.run("gaps")
    assert (len(done.stdout.splitlines()), done.stderr) == (3, "2 gaps\n")
    assert done.stdout.splitlines()[1].split()[-1] == "partial"

    def states(*arguments: str) -> list[str]:
        return [one["repair_state"] for one in json.loads(bench.run("gaps", "--json", *arguments).stdout)]

    assert states() == ["partial", "open"]
    assert states("--stream", "trade") == ["repaired", "open"], "what its own row says"
    (first, _) = json.loads(bench.run("gaps", "--json").stdout)
    assert {(one["stream"], one["repair_state"]) for one in first["parts"]} == {
        ("trade", "repaired"), ("ticker", "unrepairable"), ("kline", "repaired"),
    }  # fmt: skip


@pytest.mark.parametrize("command", ["audit", "gaps"])
def test_a_symbol_that_nobody_knows_is_refused_with_the_near_ones(bench: AuditBench, command: str) -> None:
    bench.insert("trade", [trade(1, symbol="DELISTEDUSDT")])

    for wrong, near in (("btcusdt", "BTCUSDT"), ("BTC-USDT", "BTCUSDT"), ("ETHUSD_PERPX", "ETHUSD_PERP")):
        done = bench.run(command, "--symbol", wrong)
        assert (done.exit_code, done.stdout) == (ExitCode.USAGE, "")
        assert "nobody records it" in done.stderr
        assert near in done.stderr
    assert bench.run(command, "--symbol", "NOSUCHTHING").exit_code == ExitCode.USAGE
    assert bench.run(command, "--exchange", "nowhere").exit_code == ExitCode.USAGE
    assert bench.run(command, "--symbol", "DELISTEDUSDT").exit_code == ExitCode.OK, "it has rows"
