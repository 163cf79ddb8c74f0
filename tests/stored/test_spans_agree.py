"""Where something is missing (`wsadapter.stored.holes`) and whether something is (view ``complete``) are one answer."""

import random
from typing import Any

import pytest
from clickhouse.table_bench import TableBench
from msgspec import structs
from stored.recordings import MINUTE, NOON, SECOND, coverage, gap, record, rejected_trade

from wsadapter.events import Event, Gap
from wsadapter.events.gaps import GapCause
from wsadapter.stored import Span, Stored
from wsadapter.stored.holes import Covered, GapRow, completeness, marked

SYMBOLS = 40
KAFKA: dict[str, Any] = {"cause": GapCause.KAFKA_RETENTION, "connection": "kafka:websocket.trade:0", "symbol": ""}


def said(bench: TableBench, stream: str = "trade") -> dict[str, str]:
    """Symbol -> verdict on its trades of ten minutes, by the view."""
    rows = bench.sql(
        f"SELECT symbol, verdict FROM {{db}}.complete(exchange='binance', symbol='', stream='{stream}', "
        f"from=fromUnixTimestamp64Nano({NOON}, 'UTC'), to=fromUnixTimestamp64Nano({NOON + 10 * MINUTE}, 'UTC'))"
    )
    return dict(rows)


@pytest.mark.integration
def test_no_missing_span_is_complete_and_any_is_not(bench: TableBench, stored: Stored) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    symbols = [f"S{number}" for number in range(SYMBOLS)]
    events: list[Event] = []
    for symbol in symbols:
        at = NOON - rng.choice((0, MINUTE))
        while at < NOON + 10 * MINUTE:
            length = rng.choice((MINUTE, 3 * MINUTE, 10 * MINUTE))
            events.append(coverage("trade", at, at + length, symbol=symbol))
            at += length
            if rng.random() < 0.5:
                lost = rng.choice((SECOND, MINUTE))
                states = ("repaired", "repaired", "partial", "unrepairable", "open")
                if rng.random() < 0.8:
                    begins = at + rng.choice((0, 0, lost // 2))
                    made = gap(
                        begins,
                        at + lost,
                        rng.choice(states),
                        rng.choice(("trade", "trade", "")),
                        f"1:{len(events)}",
                        symbol=symbol,
                        cause=rng.choice((GapCause.DISCONNECT, GapCause.CONNECT)),
                    )
                    events.append(made)
                at += lost + rng.choice((0, 0, SECOND))
            if rng.random() < 0.1:
                events.append(rejected_trade(len(events), at + rng.choice((0, SECOND)), symbol))
    record(bench, events)

    verdicts = said(bench)
    asked = {symbol: stored.completeness("binance", symbol, "trade", NOON, NOON + 10 * MINUTE) for symbol in symbols}

    assert {symbol: one.verdict for symbol, one in asked.items()} == verdicts
    assert len(set(verdicts.values())) > 1, "both kinds were there"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [
        ([gap(NOON, NOON + MINUTE, **KAFKA)], "incomplete"),
        ([gap(NOON, NOON + MINUTE, symbol="", connection="binance-market-1")], "complete"),
        (
            [gap(NOON, NOON + MINUTE, symbol=""), gap(NOON, NOON + MINUTE, "repaired")],
            "complete",
        ),
        (
            [gap(NOON, NOON + MINUTE, "repaired", symbol=""), gap(NOON, NOON + MINUTE, "unrepairable")],
            "incomplete",
        ),
    ],
    ids=["what Kafka lost", "another connection's", "an import filled it", "it is lost for this symbol"],
)
def test_a_gap_of_all_symbols(bench: TableBench, stored: Stored, gaps: list[Gap], verdict: str) -> None:
    record(bench, [coverage("trade", NOON - MINUTE, NOON + 20 * MINUTE), *gaps])

    assert said(bench) == {"BTCUSDT": verdict}
    assert stored.completeness("binance", "BTCUSDT", "trade", NOON, NOON + 10 * MINUTE).verdict == verdict


@pytest.mark.integration
@pytest.mark.parametrize(
    ("events", "verdicts"),
    [
        ([gap(NOON, NOON + MINUTE)], ("incomplete", "incomplete")),
        ([gap(NOON, NOON + MINUTE), gap(NOON, NOON + MINUTE, "repaired", "raw_trade")], ("incomplete", "complete")),
        ([gap(NOON, NOON + MINUTE, symbol="")], ("complete", "incomplete")),
        ([rejected_trade(1, NOON + SECOND)], ("incomplete", "incomplete")),
    ],
    ids=["of both", "filled by single trades of a file", "of the socket of single trades", "rejected"],
)
def test_two_kinds_of_trades_are_two_series(
    bench: TableBench, stored: Stored, events: list[Event], verdicts: tuple[str, str]
) -> None:
    """A gap that names its symbol, and a row that is rejected, may be of either kind."""
    span = NOON - MINUTE, NOON + 20 * MINUTE
    record(bench, [coverage("trade", *span, connection="another"), coverage("raw_trade", *span), *events])

    for stream, verdict in zip(("trade", "raw_trade"), verdicts, strict=True):
        assert said(bench, stream) == {"BTCUSDT": verdict}
        assert stored.completeness("binance", "BTCUSDT", stream, NOON, NOON + 10 * MINUTE).verdict == verdict


def test_of_several_rows_of_a_gap_the_narrowest_counts() -> None:
    """Without an interval all of them are asked about: what is repaired of one is not of the others."""
    covered = [Covered("c", interval, 0, MINUTE) for interval in ("1m", "1h")]
    wide = GapRow("1:1", "", "kline", "", "c", "disconnect", "unrepairable", 0, SECOND)
    repaired = GapRow("1:1", "BTCUSDT", "kline", "1m", "c", "disconnect", "repaired", 0, SECOND)

    def verdict(interval: str, *gaps: GapRow) -> str:
        return completeness(covered, gaps, [], 0, MINUTE, 10 * MINUTE, interval).verdict

    for gaps in ((wide, repaired), (repaired, wide)):
        assert (verdict("1m", *gaps), verdict("1h", *gaps), verdict("", *gaps)) == (
            "complete", "incomplete", "incomplete",
        )  # fmt: skip
    assert verdict("1m", structs.replace(wide, gap_id="1:2"), repaired) == "incomplete", "another gap"


def test_a_row_is_marked_when_something_is_missing_since_the_one_before() -> None:
    holes = [Span(10, 20, "disconnect", "partial"), Span(42, 44, "sequence", "partial"), Span(43, 50, "stale", "open")]

    assert marked([5, 9, 21, 22], holes, 0) == [False, False, True, False]
    assert marked([10, 20, 21], holes, 0) == [False, True, False], "the last one before a hole is none after it"
    assert marked([21, 15, 41, 60, 61], holes, 0) == [True, False, False, True, False], "an older row after a newer one"
    assert marked([30, 31], holes, 5) == [True, False], "nothing was before it, and the hole is in the range"
    assert marked([30, 45, 46, 55], holes, 25) == [False, True, True, True], "rows of another connection inside a hole"
    assert marked([], holes, 0) == []
