"""Candles, trades and the rest in one call, on the real engine: exact, each once, and with what is missing."""

import random
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clickhouse.table_bench import TableBench
from msgspec import structs
from samples import full, sparse
from stored.recordings import MINUTE, NOON, SECOND, candle, coverage, gap, record, rejected_trade, trade

from wsadapter.errors import ServiceUnavailable
from wsadapter.events import Kline, Source
from wsadapter.events.streams import SPECS
from wsadapter.stored import Stored
from wsadapter.stored.answers import Answers
from wsadapter.stored.rows import ReaderExtraMissing
from wsadapter.stored.stored import BadQuestion

pytestmark = pytest.mark.integration


def test_trades_are_there_once_with_the_gap_between_them(bench: TableBench, stored: Stored) -> None:
    trades = [trade(number, NOON + number * SECOND) for number in (1, 2, 3, 10, 11)]
    record(
        bench,
        [
            *trades,
            coverage("trade", NOON, NOON + 4 * SECOND),
            coverage("trade", NOON + 9 * SECOND, NOON + MINUTE),
            gap(NOON + 3 * SECOND, NOON + 9 * SECOND),
        ],
    )
    record(bench, [trade(2, NOON + 2 * SECOND, source=Source.REST)])  # another copy of one

    rows = stored.trades("binance", "BTCUSDT", NOON, NOON + MINUTE)

    frame = rows.pandas()
    assert [*frame["trade_number"]] == [1, 2, 3, 10, 11]
    assert [*frame["after_gap"]] == [False, False, False, True, False]
    assert [*frame["price"]] == [61800.2] * 5
    assert (rows.complete, rows.verdict) == (False, "incomplete")
    (hole,) = rows.missing
    assert (hole.start_ns, hole.end_ns, hole.cause) == (NOON + 3 * SECOND, NOON + 9 * SECOND, "disconnect")
    assert rows.gap_table.to_pylist()[0]["state"] == "unrepairable"
    assert stored.trades("binance", "BTCUSDT", NOON, NOON + 3 * SECOND).complete
    assert rows.polars()["after_gap"].to_list() == [*frame["after_gap"]]


def test_what_nobody_recorded_is_a_gap_that_has_no_row(bench: TableBench, stored: Stored) -> None:
    record(
        bench,
        [
            trade(1, NOON + SECOND),
            trade(2, NOON + 59 * SECOND),
            coverage("trade", NOON, NOON + 2 * SECOND),
            coverage("trade", NOON + 58 * SECOND, NOON + MINUTE),
        ],
    )

    rows = stored.trades("binance", "BTCUSDT", NOON, NOON + MINUTE)

    assert not rows.complete
    assert [(span.start_ns, span.end_ns, span.cause) for span in rows.gaps] == [
        (NOON + 2 * SECOND, NOON + 58 * SECOND, "unrecorded")
    ]
    assert rows.arrow["after_gap"].to_pylist() == [False, True]
    nothing = stored.trades("binance", "NOSUCH", NOON, NOON + MINUTE)
    assert (len(nothing), nothing.verdict, [span.cause for span in nothing.gaps]) == (0, "missing", ["unrecorded"])


def test_rows_that_the_table_cannot_keep_are_missing(bench: TableBench, stored: Stored) -> None:
    covered = [coverage("kline", NOON, NOON + MINUTE, "1m"), coverage("trade", NOON, NOON + MINUTE)]
    cheap = [rejected_trade(number, NOON + number * SECOND) for number in (3, 4, 5)]
    record(bench, [trade(1, NOON + SECOND), trade(9, NOON + 9 * SECOND), *cheap, *covered])

    rows = stored.trades("binance", "BTCUSDT", NOON, NOON + MINUTE)

    assert (len(rows), rows.verdict) == (2, "incomplete")
    assert [(span.start_ns, span.end_ns, span.cause) for span in rows.missing] == [
        (NOON + number * SECOND, NOON + number * SECOND + 1, "rejected") for number in (3, 4, 5)
    ]
    assert rows.arrow["after_gap"].to_pylist() == [False, True]
    assert stored.trades("binance", "BTCUSDT", NOON + 6 * SECOND, NOON + MINUTE).complete
    assert stored.candles("binance", "BTCUSDT", NOON, NOON + MINUTE).complete, "another stream's"


def test_what_is_repaired_is_said_and_marks_nothing(bench: TableBench, stored: Stored) -> None:
    record(
        bench,
        [
            *(trade(number, NOON + number * SECOND) for number in range(1, 9)),
            coverage("trade", NOON, NOON + MINUTE),
            gap(NOON + 3 * SECOND, NOON + 5 * SECOND, "repaired"),
        ],
    )

    rows = stored.trades("binance", "BTCUSDT", NOON, NOON + MINUTE)

    assert rows.complete
    assert ([span.state for span in rows.gaps], rows.missing) == (["repaired"], ())
    assert not any(rows.arrow["after_gap"].to_pylist())


def test_a_row_that_was_fetched_later_is_placed_by_its_own_time(bench: TableBench, stored: Stored) -> None:
    late = trade(4, NOON + 4 * SECOND, source=Source.REST)
    late.receive_time_ns = NOON + 40 * SECOND
    record(
        bench,
        [
            trade(1, NOON + SECOND),
            late,
            trade(9, NOON + 9 * SECOND),
            coverage("trade", NOON, NOON + MINUTE),
            gap(NOON + 5 * SECOND, NOON + 8 * SECOND, "partial"),
        ],
    )

    assert stored.trades("binance", "BTCUSDT", NOON, NOON + MINUTE).arrow["after_gap"].to_pylist() == [
        False,
        False,
        True,
    ]


def test_exact_decimals_and_the_nearest_floats(bench: TableBench, stored: Stored) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    texts = [f"{rng.randrange(10 ** rng.randrange(1, 9))}.{rng.randrange(10**8):08d}" for _ in range(2_000)]
    texts += ["61800.2", "0.1", "0.000000000001", "99999999999999999999999999.999999999999"]
    record(bench, [trade(number, NOON + number * 1_000_000, price=text) for number, text in enumerate(texts)])
    asked: Any = ("binance", "BTCUSDT", NOON, NOON + MINUTE)

    exact = stored.trades(*asked, columns=("price",), exact=True).arrow["price"].to_pylist()
    floats = stored.trades(*asked, columns=("price",)).arrow["price"].to_pylist()

    assert exact == [Decimal(text) for text in texts]
    assert floats == [float(text) for text in texts]


def test_candles_of_an_interval(bench: TableBench, stored: Stored) -> None:
    opened = [NOON + minute * MINUTE for minute in (0, 1, 4, 5)]
    record(
        bench,
        [
            *(candle(at) for at in opened),
            candle(NOON, interval="5m"),
            coverage("kline", NOON, NOON + 6 * MINUTE, "1m"),
            coverage("kline", NOON, NOON + MINUTE, "5m"),
            gap(NOON + 130 * SECOND, NOON + 250 * SECOND, stream="kline"),
        ],
    )

    rows = stored.candles("binance", "BTCUSDT", NOON, datetime.fromtimestamp((NOON + 6 * MINUTE) / 1e9, UTC))

    assert [row["open_time"].timestamp() * 1e9 for row in rows.arrow.select(["open_time"]).to_pylist()] == opened
    assert (rows.verdict, len(rows.missing)) == ("incomplete", 1)
    assert stored.candles("binance", "BTCUSDT", NOON, NOON + MINUTE).complete
    assert stored.candles("binance", "BTCUSDT", NOON, NOON + 5 * MINUTE, interval="5m").verdict == "incomplete"
    assert stored.candles("binance", "BTCUSDT", NOON, NOON + 5 * MINUTE, interval="1h").verdict == "missing"


def test_a_limit_says_that_there_is_more_and_asks_only_of_what_it_gave(bench: TableBench, stored: Stored) -> None:
    record(
        bench,
        [
            *(trade(number, NOON + number * SECOND) for number in range(1, 9)),
            coverage("trade", NOON, NOON + 20 * SECOND),
        ],
    )

    first = stored.trades("binance", "BTCUSDT", NOON, NOON + MINUTE, limit=3)
    rest = stored.trades("binance", "BTCUSDT", first.end_ns, NOON + MINUTE, limit=100)

    assert (len(first), first.truncated, first.complete) == (3, True, True)
    assert (len(rest), rest.truncated, rest.complete) == (5, False, False)


def test_pages_lose_no_row_that_came_late(bench: TableBench, stored: Stored) -> None:
    """They go by the venue's time, in whose order rows are: not by when they came."""
    late = [structs.replace(trade(n, NOON + n * SECOND), receive_time_ns=NOON + (n + 7) * SECOND) for n in range(1, 9)]
    record(bench, [*late, coverage("trade", NOON, NOON + 30 * SECOND)])

    seen: list[str] = []
    begin = NOON
    while True:
        page = stored.trades("binance", "BTCUSDT", begin, NOON + MINUTE, limit=3)
        seen += page.arrow.column("trade_id").to_pylist()
        if not page.truncated:
            break
        begin = page.end_ns
    assert seen == [str(n) for n in range(1, 9)]


@pytest.mark.parametrize("spec", [spec for spec in SPECS if not spec.ours], ids=lambda spec: spec.name)
def test_every_stream_gives_every_column(bench: TableBench, stored: Stored, spec: Any) -> None:
    events = [event for event in (*full(), *sparse()) if type(event) is spec.event]
    record(bench, events)
    columns = sorted(
        c for (c,) in bench.sql(f"SELECT name FROM system.columns WHERE database='{{db}}' AND table='{spec.name}'")
    )

    for event in events:
        where = {"interval": event.interval} if isinstance(event, Kline) else {}
        rows = stored.rows(spec.name, event.exchange, event.symbol, 0, 2**62, where=where, columns=columns, exact=True)
        assert len(rows) == (0 if isinstance(event, Kline) and not event.closed else 1)
        usual = stored.rows(spec.name, event.exchange, event.symbol, 0, 2**62, where=where)
        assert {"exchange", "position"}.isdisjoint(usual.arrow.column_names)
        assert (len(usual.pandas()), len(usual.polars())) == (len(rows), len(rows))


def test_trades_of_venues_that_aggregate_and_of_those_that_do_not(bench: TableBench, stored: Stored) -> None:
    single, other = trade(7, NOON + SECOND), trade(5, NOON + SECOND)
    single.aggregated, single.exchange = False, "bybit"
    other.aggregated = False
    record(bench, [single, other, trade(1, NOON + SECOND)])

    def numbers(exchange: str, **options: Any) -> list[int]:
        rows = stored.trades(exchange, "BTCUSDT", NOON, NOON + MINUTE, **options)
        return [*rows.arrow["trade_number"].to_pylist()]

    assert (numbers("bybit"), numbers("bybit", raw=True)) == ([7], [7])
    assert (numbers("binance"), numbers("binance", raw=True)) == ([1], [5]), "never both: a sum would count twice"


@pytest.mark.parametrize("is_raw", [False, True])
def test_a_kind_of_trades_that_was_never_recorded_is_missing(bench: TableBench, stored: Stored, is_raw: bool) -> None:
    """Neither kind says anything of the other; asked for both, those that were recorded count."""
    one = trade(1, NOON + SECOND)
    one.aggregated = not is_raw
    record(bench, [one, coverage("raw_trade" if is_raw else "trade", NOON, NOON + MINUTE)])

    def asked(raw: bool) -> tuple[int, str]:
        rows = stored.trades("binance", "BTCUSDT", NOON, NOON + MINUTE, raw=raw)
        return len(rows), rows.verdict

    assert (asked(is_raw), asked(not is_raw)) == ((1, "complete"), (0, "missing"))
    assert stored.rows("trade", "binance", "BTCUSDT", NOON, NOON + MINUTE).complete
    answers = Answers(stored, "market")
    for raw, verdict in ((is_raw, "complete"), (not is_raw, "missing")):
        where = answers.kind_of_trades("binance", raw)
        told = answers.rows("trade", "binance", "BTCUSDT", NOON, NOON + MINUTE, (), 10, where)
        assert told["completeness"]["verdict"] == verdict
    (series,) = stored.recorded()
    told = answers.completeness(series.stream, "binance", "BTCUSDT", NOON, NOON + MINUTE, "", repaired=False)
    assert told["completeness"]["complete"], "by the word that recorded says"


def test_what_an_earlier_version_called_trade_is_renamed_as_the_page_says(bench: TableBench, stored: Stored) -> None:
    connections = ("binance-public-0", "binance-market-0")
    record(bench, [coverage("trade", NOON, NOON + MINUTE, connection=one) for one in connections])
    page = (Path(__file__).parents[2] / "docs" / "repair.md").read_text()
    statement = f"INSERT{page.partition('`INSERT')[2].partition('`')[0]}"

    assert stored.trades("binance", "BTCUSDT", NOON, NOON + MINUTE, raw=True).verdict == "missing"
    bench.command(statement.replace("market.", f"{bench.settings.database}."))

    assert stored.trades("binance", "BTCUSDT", NOON, NOON + MINUTE, raw=True).complete
    renamed = bench.sql("SELECT toString(connection) FROM {db}.coverage FINAL WHERE stream = 'raw_trade'")
    assert [connection for (connection,) in renamed] == [connections[0]]


def test_of_both_kinds_of_trades_the_worse_counts(bench: TableBench, stored: Stored) -> None:
    raw = coverage("raw_trade", NOON, NOON + MINUTE, connection="binance-public-0")
    lost = gap(NOON + SECOND, NOON + 2 * SECOND, symbol="", connection="binance-public-0")
    record(bench, [coverage("trade", NOON, NOON + MINUTE), raw, lost])

    verdicts = [stored.trades("binance", "BTCUSDT", NOON, NOON + MINUTE, raw=raw).verdict for raw in (False, True)]
    assert verdicts == ["complete", "incomplete"]
    assert stored.rows("trade", "binance", "BTCUSDT", NOON, NOON + MINUTE).verdict == "incomplete"


def test_what_is_recorded(bench: TableBench, stored: Stored) -> None:
    record(
        bench,
        [
            coverage("trade", NOON, NOON + MINUTE),
            coverage("trade", NOON + 2 * MINUTE, NOON + 3 * MINUTE),
            coverage("kline", NOON, NOON + MINUTE, "1m"),
        ],
    )

    assert [(one.stream, one.interval, one.from_ns, one.to_ns) for one in stored.recorded()] == [
        ("kline", "1m", NOON, NOON + MINUTE),
        ("trade", "", NOON, NOON + 3 * MINUTE),
    ]
    assert stored.recorded("okx") == stored.recorded("binance", "ETHUSDT") == []


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (lambda s: s.rows("trades", "binance", "BTCUSDT", 0), "no stream 'trades'"),
        (lambda s: s.trades("binance", "BTCUSDT", 5, 5), "ends before it begins"),
        (lambda s: s.trades("binance", "BTCUSDT", "yesterday"), "is not a duration"),
        (lambda s: s.trades("binance", "BTCUSDT", 0, columns=("prise",)), "no column prise"),
        (lambda s: s.trades("binance", "BTCUSDT", 0, limit=0), "limit"),
    ],
)
def test_a_bad_question_is_refused_in_words(stored: Stored, question: Any, message: str) -> None:
    with pytest.raises(BadQuestion, match=message):
        question(stored)


def test_names_are_values_and_never_sql(bench: TableBench, stored: Stored) -> None:
    record(bench, [trade(1, NOON + SECOND)])

    assert len(stored.trades("binance' OR 1 = 1 --", "BTC'USDT\\", NOON, NOON + MINUTE)) == 0


def test_no_tables_and_no_server(bench: TableBench) -> None:
    with Stored(bench.settings.url, database="nosuch") as empty, pytest.raises(ServiceUnavailable, match="nosuch"):
        empty.trades("binance", "BTCUSDT", NOON)
    with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1:1"):
        Stored("http://127.0.0.1:1").recorded()


@pytest.mark.parametrize("missing", ["pyarrow", "pandas", "polars"])
def test_what_is_not_installed_is_said(stored: Stored, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    rows = stored.trades("binance", "BTCUSDT", NOON, NOON + MINUTE)
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(ReaderExtraMissing, match=rf"{missing} is not installed: pip install 'wsadapter\[reader\]'"):
        _ = {"pyarrow": lambda: rows.gap_table, "pandas": rows.pandas, "polars": rows.polars}[missing]()
