"""What is configured is expected: nothing recorded is never complete. The rules alone, then on the engine."""

import time

import pytest
from audit.audit_bench import MINUTE, SECOND, START, AuditBench, coverage, gap, minute, trade, when

from wsadapter.audit.configured import Configured, configured
from wsadapter.audit.presence import Presence, Range, Span, presence
from wsadapter.audit.rows import CoverageRow, GapRow, Scope
from wsadapter.config.model import Feed
from wsadapter.errors import ExitCode

HOUR = 60 * MINUTE
NOW = START + 2 * HOUR
TRADE = Configured(("binance", "trade", "BTCUSDT", ""), 600 * SECOND)
LIQUIDATION = Configured(("binance", "liquidation", "BTCUSDT", ""), None)


def covered(from_ns: int, to_ns: int, one: Configured = TRADE, connection: str = "c", first_ns: int = 0) -> CoverageRow:
    exchange, stream, symbol, interval = one.key
    return CoverageRow(exchange, stream, symbol, interval, connection, from_ns, to_ns, first_ns)


def lost(started_ns: int, ended_ns: int | None, cause: str = "disconnect", connection: str = "c") -> GapRow:
    return GapRow(
        "binance", "", "", "", connection, cause, "1:1", started_ns, ended_ns, None, None, None, "unrepairable"
    )


def judged(
    *rows: CoverageRow, recorded: Span | None = (START, NOW), gaps: tuple[GapRow, ...] = (), one: Configured = TRADE,
    since_ns: int | None = START, end_ns: int = NOW,
) -> Presence:  # fmt: skip
    found = {one.key: recorded} if recorded else {}
    return presence([one], found, rows, gaps, Range(since_ns, end_ns, NOW))


def spans(found: Presence) -> list[tuple[int, int, str]]:
    """From and to in seconds since `START`, and what explains it."""
    holes = ((one.hole.started_ns - START, one.hole.ended_ns - START, one.by) for one in found.holes)
    return [(started // SECOND, ended // SECOND, by) for started, ended, by in holes]


def test_one_that_is_covered_to_the_end_is_whole_however_quiet() -> None:
    alive = covered(START - HOUR, NOW - 12 * SECOND)
    assert judged(alive) == judged(alive, recorded=(START + MINUTE, START + 2 * MINUTE)) == Presence()
    assert judged(alive, recorded=None) == Presence(quiet=(TRADE.key,))


def test_a_recorder_that_is_dead_now() -> None:
    dead = covered(START - HOUR, NOW - 6 * MINUTE)
    assert spans(judged(dead)) == [(7200 - 360, 7200, "")]
    assert judged(dead, recorded=None, since_ns=NOW - 3 * MINUTE).missing == (TRADE.key,)
    assert judged(dead, recorded=None, since_ns=NOW - 3 * MINUTE, one=LIQUIDATION).missing == (LIQUIDATION.key,)
    # and without any coverage, by its rows: no longer than its patience
    assert spans(judged(recorded=(START, NOW - 12 * MINUTE))) == [(7200 - 120 + 45, 7200, "")]
    assert judged(recorded=(START, NOW - 9 * MINUTE)) == Presence()
    assert judged(recorded=(START, NOW - 9 * MINUTE), one=LIQUIDATION) == Presence()


def test_an_end_in_a_gap_that_lasts_is_explained() -> None:
    ends = covered(START - HOUR, NOW - 6 * MINUTE)
    assert spans(judged(ends, gaps=(lost(NOW - 6 * MINUTE, None),))) == [(7200 - 360, 7200, "disconnect")]
    assert spans(judged(ends, gaps=(lost(NOW - 6 * MINUTE, NOW - 5 * MINUTE),))) == [(7200 - 300, 7200, "")]
    assert spans(judged(ends, gaps=(lost(NOW - 6 * MINUTE, None, connection="other"),))) == [(7200 - 360, 7200, "")]


def test_a_hole_within_is_one_where_no_gap_is() -> None:
    both = covered(START - HOUR, START + 10 * MINUTE), covered(START + 20 * MINUTE, NOW)
    assert spans(judged(*both)) == [(600, 1200, "")]
    # killed, its coverage was said 12 s before its last event
    killed = lost(START + 10 * MINUTE + 12 * SECOND, START + 20 * MINUTE, "restart")
    assert judged(*both, gaps=(killed,)) == Presence()


def test_a_start_that_knows_of_nothing_before_it_explains_nothing_before_it() -> None:
    """A new state directory on the same tables: its gap begins with the start, whenever the last recorder ended."""
    both = covered(START - HOUR, START + 10 * MINUTE), covered(START + 10 * MINUTE + 15 * SECOND, NOW)
    known = lost(START + 10 * MINUTE + 14 * SECOND, START + 10 * MINUTE + 15 * SECOND, "restart")
    unknown = lost(START + 10 * MINUTE + 14 * SECOND, START + 10 * MINUTE + 15 * SECOND, "connect")

    assert judged(*both, gaps=(known,)) == Presence(), "it delivered until then"
    assert spans(judged(*both, gaps=(unknown,))) == [(600, 614, "")]


def test_what_is_before_the_first_recording_is_said() -> None:
    begun = covered(START + HOUR, NOW, first_ns=START + HOUR)
    assert spans(judged(begun, recorded=(START + HOUR, NOW))) == [(0, 3600, "start")]
    assert judged(begun, recorded=(START + HOUR, NOW), since_ns=None) == Presence()
    again = covered(START + HOUR, NOW, first_ns=START - 24 * HOUR)
    assert spans(judged(again, recorded=(START + HOUR, NOW))) == [(0, 3600, "")], "it was recorded before"


def test_of_a_time_before_coverage_its_rows_say() -> None:
    upgraded = covered(START + HOUR, NOW, first_ns=START + HOUR)
    assert judged(upgraded) == Presence()


def test_what_is_configured_and_not_covered_is_missing() -> None:
    other = covered(START - HOUR, NOW, Configured(("binance", "ticker", "BTCUSDT", ""), MINUTE))
    for one in (TRADE, LIQUIDATION):
        assert judged(other, recorded=None, one=one).missing == (one.key,)
    assert judged(recorded=None).missing == (TRADE.key,), "nothing at all, and longer than it is ever silent"


def test_what_a_feed_asks_for() -> None:
    feed = Feed(
        "f", "binance", ("BTCUSDT", "ETHUSDT"), ("kline", "trade", "raw_trade", "liquidation", "open_interest"), ("1m",)
    )
    found = {one.key[1:]: one.patience_ns for one in configured([feed, feed], Scope(NOW))}
    assert found.keys() == {
        (stream, symbol, interval)
        for symbol in ("BTCUSDT", "ETHUSDT")
        for stream, interval in (("kline", "1m"), ("trade", ""), ("liquidation", ""), ("open_interest", ""))
    }
    assert found["liquidation", "BTCUSDT", ""] is None
    assert (found["trade", "BTCUSDT", ""], found["kline", "BTCUSDT", "1m"]) == (600 * SECOND, 660 * SECOND)
    some = configured([feed], Scope(NOW, symbol="ETHUSDT", stream="trade"))
    assert [one.key for one in some] == [("binance", "trade", "ETHUSDT", "")]
    assert configured([feed], Scope(NOW, exchange="bybit")) == []


def test_a_hole_over_what_kafka_lost_is_explained() -> None:
    taken = GapRow(
        "binance", "", "trade", "", "kafka:websocket.trade:0", "kafka_retention", "t:0:1-2", START + MINUTE,
        START + 2 * MINUTE, None, None, None, "unrepairable",
    )  # fmt: skip
    rows = covered(START - HOUR, START + MINUTE), covered(START + 2 * MINUTE, NOW)

    assert judged(*rows, gaps=(taken,)) == Presence()
    assert spans(judged(*rows)) == [(60, 120, "")]


@pytest.mark.integration
def test_single_trades_are_covered_by_their_own_word_and_by_that_of_earlier_versions(bench: AuditBench) -> None:
    bench.record(symbols=["BTCUSDT"], streams=["raw_trade"])
    now_ns = time.time_ns()
    before = coverage(now_ns - HOUR, now_ns - MINUTE)

    def verdict() -> str:
        return str(bench.audit("--since", "10m", "--stream", "trade")[1]["verdict"])

    bench.insert("coverage", [before])
    assert verdict() == "missing", "it ends a minute ago"
    bench.insert("coverage", [coverage(now_ns - MINUTE, now_ns - SECOND, "raw_trade", source="ARCHIVE")])
    assert verdict() == "missing", "a file is not what is configured"
    bench.insert("coverage", [coverage(now_ns - MINUTE, now_ns - SECOND, "raw_trade", source="WEBSOCKET")])
    (one,) = bench.audit("--since", "10m")[1]["series"]
    assert (one["stream"], one["verdict"]) == ("trade", "quiet")


@pytest.mark.integration
def test_a_series_that_is_configured_and_has_no_rows(bench: AuditBench) -> None:
    bench.record(symbols=["BTCUSDT", "ETHUSDT"], streams=["trade", "kline", "liquidation"])
    assert bench.audit("--since", "5m")[1]["verdict"] == "missing"
    now_ns = time.time_ns()
    bench.insert("trade", [trade(number, now_ns - (100 - number) * SECOND) for number in range(100)])
    alive = {"to_ns": now_ns - 3 * SECOND, "from_ns": now_ns - HOUR}
    bench.insert("coverage", [coverage(stream=stream, **alive) for stream in ("trade", "liquidation")])
    bench.insert("coverage", [coverage(stream="kline", interval="1m", **alive)])

    code, found = bench.audit("--since", "90s")

    assert (code, found["verdict"]) == (ExitCode.LOSS, "missing")
    assert {(one["symbol"], one["stream"]): one["verdict"] for one in found["series"]} == {
        ("BTCUSDT", "trade"): "complete", ("BTCUSDT", "kline"): "quiet", ("BTCUSDT", "liquidation"): "quiet",
        **{("ETHUSDT", stream): "missing" for stream in ("trade", "kline", "liquidation")},
    }  # fmt: skip
    shown = bench.run("audit", "--since", "90s").stdout
    assert "3 that are configured have no rows" in shown
    code, found = bench.audit("--since", "90s", "--symbol", "BTCUSDT")
    assert (code, found["verdict"]) == (ExitCode.OK, "complete")


@pytest.mark.integration
def test_a_recorder_that_stopped_six_minutes_ago(bench: AuditBench) -> None:
    bench.record(symbols=["BTCUSDT"], streams=["trade"])
    stopped_ns = time.time_ns() - 6 * MINUTE
    bench.insert("trade", [trade(number, stopped_ns - (1000 - number) * SECOND) for number in range(1000)])
    bench.insert("coverage", [coverage(stopped_ns - HOUR, stopped_ns)])

    code, found = bench.audit("--since", "3m")
    assert (code, found["verdict"]) == (ExitCode.LOSS, "missing")
    assert [one["verdict"] for one in found["series"]] == ["missing"]
    code, found = bench.audit("--since", "10m")
    assert (code, found["verdict"]) == (ExitCode.LOSS, "unexplained")
    assert [one["first_missing"] for one in found["holes"]] == [None]
    assert bench.audit("--since", "10m", "--until", "7m")[1]["verdict"] == "complete"
    bench.insert("gap", [gap(stopped_ns, None)])
    assert bench.audit("--since", "10m")[1]["holes"][0]["explained_by"]["cause"] == "disconnect"


@pytest.mark.integration
def test_an_hour_long_ago(bench: AuditBench) -> None:
    bench.record(symbols=["BTCUSDT"], streams=["kline"])
    bench.insert("kline", [minute(number) for number in range(60)])
    at = when(START - 24 * HOUR)
    assert at is not None

    code, found = bench.audit("--since", at.replace(" ", "T"), "--until", (when(START - HOUR) or "").replace(" ", "T"))

    assert (code, found["verdict"]) == (ExitCode.LOSS, "missing")
