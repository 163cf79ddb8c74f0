"""``complete(...)``: SQL alone tells a series that was quiet from one that was not recorded, on the real engine."""

import time
from collections.abc import Iterator

import pytest
from clickhouse.table_bench import TableBench, message
from msgspec import structs

from wsadapter.clickhouse import catalog
from wsadapter.events import Coverage, Depth, Gap, Kline, Source, Trade, UpdateType
from wsadapter.events.gaps import GapCause, begin, ended, with_state
from wsadapter.events.streams import BY_STREAM
from wsadapter.kafka.dead_letters import missing

pytestmark = pytest.mark.integration
SECOND = 10**9
MINUTE = 60 * SECOND
NOON = 1_790_000_040 * SECOND
"""Long ago."""


@pytest.fixture(scope="module")
def created(clickhouse: str) -> Iterator[TableBench]:
    made = TableBench(clickhouse).create()
    yield made
    made.close()


@pytest.fixture
def bench(created: TableBench) -> TableBench:
    return created.clear()


def coverage(
    from_ns: int, to_ns: int, *, symbol: str = "BTCUSDT", stream: str = "trade", interval: str = "",
    connection: str = "binance-market-0", said_ns: int | None = None,
) -> Coverage:  # fmt: skip
    return Coverage(
        "binance", symbol, None, None, to_ns if said_ns is None else said_ns, Source.WEBSOCKET, connection, None,
        stream, interval, from_ns, to_ns,
    )  # fmt: skip


def gap(
    started_ns: int, ended_ns: int | None, state: str = "open", stream: str = "", gap_id: str = "1:1",
    cause: GapCause = GapCause.DISCONNECT,
) -> Gap:  # fmt: skip
    made = begin(
        cause, started_ns, started_ns, exchange="binance", connection="binance-market-0", stream=stream, gap_id=gap_id
    )
    made = made if ended_ns is None else ended(made, ended_ns)
    return with_state(made, state)


def asked(
    bench: TableBench, from_ns: int, to_ns: int, symbol: str = "BTCUSDT", stream: str = "trade"
) -> list[tuple[str, float, float, int]]:
    """Verdict, covered and unrecorded seconds, gaps in it, of each series."""
    begin_at, end_at = (f"fromUnixTimestamp64Nano(toInt64({at}), 'UTC')" for at in (from_ns, to_ns))
    rows = bench.sql(
        "SELECT verdict, covered_seconds, unrecorded_seconds, toInt64(open + partial + unrepairable) FROM {db}.complete"
        f"(exchange='binance', symbol='{symbol}', stream='{stream}', from={begin_at}, to={end_at})"
    )
    return [(verdict, round(covered, 3), round(rest, 3), gaps) for verdict, covered, rest, gaps in rows]


def test_what_was_never_recorded_is_missing(bench: TableBench) -> None:
    bench.events(coverage(NOON, NOON + 60 * MINUTE))

    assert asked(bench, NOON, NOON + 60 * MINUTE) == [("complete", 3600, 0, 0)]
    assert asked(bench, NOON - 60 * MINUTE, NOON) == [("missing", 0, 3600, 0)], "an hour before"
    assert asked(bench, NOON, NOON + MINUTE, "NOSUCH") == [("missing", 0, 60, 0)]
    assert asked(bench, NOON, NOON + MINUTE, stream="ticker") == [("missing", 0, 60, 0)]
    assert asked(bench, NOON + 30 * MINUTE, NOON + 90 * MINUTE) == [("incomplete", 1800, 1800, 0)]


def test_what_a_ttl_removed_is_not_complete(empty: TableBench) -> None:
    """A row of coverage goes with the rows that it is about: by the day on which it begins."""
    settings = structs.replace(empty.settings, ttl_days={"depth": 30, "book_ticker": 30, "trade": 90})
    catalog.create_or_verify(empty.client, settings)
    day = 86_400 * SECOND
    now_ns = time.time_ns()
    days = {ago: now_ns // day * day - ago * day for ago in (60, 31, 28)}
    for begin_ns in days.values():
        at_ns = begin_ns + day - SECOND
        empty.events(
            *(coverage(begin_ns, begin_ns + day, stream=stream) for stream in ("depth", "book_ticker", "trade")),
            structs.replace(rejected_trade(at_ns), price="1"),
            Depth(
                "binance", "BTCUSDT", at_ns, None, at_ns, Source.WEBSOCKET, "binance-market-0", None,
                UpdateType.SNAPSHOT, 1, None, 1, None, ["1"], ["1"], ["2"], ["1"],
            ),
        )  # fmt: skip
    for table in ("depth", "trade", "coverage"):
        empty.command(f"OPTIMIZE TABLE {{db}}.{table} FINAL")

    def verdicts(stream: str) -> list[str]:
        return [asked(empty, at, at + day, stream=stream)[0][0] for at in days.values()]

    assert (empty.count("depth"), empty.count("trade")) == (1, 3)
    assert verdicts("depth") == verdicts("book_ticker") == ["missing", "missing", "complete"]
    assert verdicts("trade") == ["complete"] * 3


def test_a_series_of_which_an_event_is_a_dead_letter_is_not_complete(bench: TableBench) -> None:
    lost = missing(BY_STREAM["trade"], message(rejected_trade(NOON + 30 * SECOND), 1, 7))
    assert lost is not None
    bench.events(coverage(NOON, NOON + MINUTE), coverage(NOON, NOON + MINUTE, symbol="ETHUSDT"), lost)

    assert asked(bench, NOON, NOON + MINUTE) == [("incomplete", 60, 0, 1)]
    assert asked(bench, NOON + 30 * SECOND, NOON + MINUTE) == [("incomplete", 30, 0, 1)]
    assert asked(bench, NOON, NOON + 30 * SECOND) == [("complete", 30, 0, 0)]
    assert asked(bench, NOON, NOON + MINUTE, "ETHUSDT") == [("complete", 60, 0, 0)]


def test_a_recorder_that_is_dead_is_not_complete(bench: TableBench) -> None:
    now_ns = time.time_ns()
    bench.events(
        coverage(now_ns - 60 * MINUTE, now_ns - 6 * MINUTE),
        coverage(now_ns - 60 * MINUTE, now_ns - 5 * SECOND, symbol="ETHUSDT"),
    )

    ((verdict, _, unrecorded, _),) = asked(bench, now_ns - 30 * MINUTE, now_ns + MINUTE)
    assert (verdict, 360 <= unrecorded < 600) == ("incomplete", True)
    assert asked(bench, now_ns - 3 * MINUTE, now_ns)[0][0] == "missing", "of these nothing"
    ((verdict, _, unrecorded, _),) = asked(bench, now_ns - 30 * MINUTE, now_ns, "ETHUSDT")
    assert (verdict, unrecorded) == ("complete", 0), "one that lives is, however quiet it is"


def test_the_newest_of_a_row_counts(bench: TableBench) -> None:
    """A heartbeat that was too bold is taken back where the ledger says that the connection was lost before."""
    bench.events(coverage(NOON, NOON + 50 * SECOND), coverage(NOON, NOON + 40 * SECOND, said_ns=NOON + 60 * SECOND))

    assert asked(bench, NOON, NOON + 50 * SECOND) == [("incomplete", 40, 10, 0)]


def test_rows_of_several_connections_and_days_are_one_time(bench: TableBench) -> None:
    bench.events(
        coverage(NOON, NOON + 30 * SECOND), coverage(NOON + 30 * SECOND, NOON + 60 * SECOND),
        coverage(NOON + 10 * SECOND, NOON + 50 * SECOND, connection="binance-market-0-r1"),
        coverage(NOON + 70 * SECOND, NOON + 90 * SECOND),
    )  # fmt: skip

    assert asked(bench, NOON, NOON + 60 * SECOND) == [("complete", 60, 0, 0)]
    assert asked(bench, NOON, NOON + 90 * SECOND) == [("incomplete", 80, 10, 0)], "a hole that is in no gap row"


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([gap(NOON + 35 * SECOND, NOON + 60 * SECOND)], ("incomplete", 1)),
        ([gap(NOON + 35 * SECOND, NOON + 60 * SECOND, "repaired")], ("complete", 0)),
        ([gap(NOON + 35 * SECOND, NOON + 60 * SECOND, "partial")], ("complete", 0)),
        (
            [gap(NOON + 35 * SECOND, NOON + 60 * SECOND, state, "trade") for state in ("unrepairable",)],
            ("incomplete", 1),
        ),
        ([gap(NOON + 35 * SECOND, NOON + 60 * SECOND, "repaired", "trade")], ("complete", 0)),
        ([gap(NOON + 35 * SECOND, NOON + 60 * SECOND, "unrepairable", "ticker")], ("incomplete", 0)),
    ],
    ids=["open", "repaired", "its streams say", "unrepairable", "repaired trades", "another stream's"],
)
def test_gaps_in_it(bench: TableBench, gaps: list[Gap], expected: tuple[str, int]) -> None:
    """Killed at 35 s; its coverage was said at 30 s, and it is subscribed again at 60 s."""
    rows = [*gaps]
    if gaps[0].repair_state == "partial":  # of the whole connection; the trades were fetched
        rows.append(gap(NOON + 35 * SECOND, NOON + 60 * SECOND, "repaired", "trade"))
    bench.events(
        coverage(NOON, NOON + 30 * SECOND), coverage(NOON + 60 * SECOND, NOON + 90 * SECOND), *rows
    )  # fmt: skip

    ((verdict, _, _, found),) = asked(bench, NOON, NOON + 90 * SECOND)
    assert (verdict, found) == expected


def test_a_start_that_knows_of_nothing_before_it_accounts_for_nothing_before_it(bench: TableBench) -> None:
    """A new state directory on the same tables: nobody knows when the last recorder had its last event."""
    starts = gap(NOON + 45 * SECOND, NOON + 60 * SECOND, "repaired", "trade", cause=GapCause.CONNECT)
    bench.events(coverage(NOON, NOON + 30 * SECOND), coverage(NOON + 60 * SECOND, NOON + 90 * SECOND), starts)

    assert asked(bench, NOON, NOON + 90 * SECOND) == [("incomplete", 60, 15, 0)]


def test_a_gap_that_lasts_is_in_every_range_behind_its_begin(bench: TableBench) -> None:
    bench.events(coverage(NOON, NOON + 30 * SECOND), gap(NOON + 30 * SECOND, None))

    assert asked(bench, NOON, NOON + 30 * SECOND) == [("complete", 30, 0, 0)]
    assert asked(bench, NOON, NOON + 60 * SECOND) == [("incomplete", 30, 0, 1)]


def test_what_kafka_lost_before_it_was_read_is_of_every_connection(bench: TableBench) -> None:
    """Its connection is the partition, which no series is recorded by."""
    taken = begin(
        GapCause.KAFKA_RETENTION, NOON + 10 * SECOND, NOON + 30 * SECOND, exchange="binance",
        connection="kafka:websocket.trade:0", stream="trade", ended_ns=NOON + 20 * SECOND,
        gap_id="websocket.trade:0:100-250",
    )  # fmt: skip
    recorded = [coverage(NOON, NOON + MINUTE, symbol=symbol) for symbol in ("BTCUSDT", "ETHUSDT")]
    bench.events(*recorded, coverage(NOON, NOON + MINUTE, stream="ticker"), with_state(taken, "unrepairable"))

    assert asked(bench, NOON, NOON + MINUTE, symbol="") == [("incomplete", 60, 0, 1)] * 2
    assert asked(bench, NOON + 30 * SECOND, NOON + MINUTE) == [("complete", 30, 0, 0)]
    assert asked(bench, NOON, NOON + MINUTE, stream="ticker") == [("complete", 60, 0, 0)]


def test_every_interval_and_every_symbol_is_a_series(bench: TableBench) -> None:
    bench.events(
        *(coverage(NOON, NOON + MINUTE, stream="kline", interval=each) for each in ("1m", "1h")),
        coverage(NOON, NOON + 30 * SECOND, symbol="ETHUSDT"),
        coverage(NOON, NOON + MINUTE),
    )

    assert [row[0] for row in asked(bench, NOON, NOON + MINUTE, stream="kline")] == ["complete"] * 2
    assert [row[0] for row in asked(bench, NOON, NOON + MINUTE, symbol="")] == ["complete", "incomplete"]
    assert len(asked(bench, NOON, NOON + MINUTE, symbol="", stream="")) == 4


def rejected_trade(at_ns: int, source: Source = Source.WEBSOCKET, received_ns: int = 0) -> Trade:
    """Of a coin so cheap that the table's twelve decimals do not hold its price."""
    return Trade(
        "binance", "BTCUSDT", at_ns, at_ns, received_ns or at_ns, source, "binance-market-0", None, "1", 1,
        "0.00000000000123", "1", False, 1, 1, True,
    )  # fmt: skip


def rejected_candle(opened_ns: int, received_ns: int) -> Kline:
    price = "0.00000000000123"
    return Kline(
        "binance", "BTCUSDT", None, None, received_ns, Source.REST, "repair", None, "1m", opened_ns,
        opened_ns + MINUTE - 1_000_000, price, price, price, price, "1", None, None, None, None, True, None, None,
    )  # fmt: skip


def test_a_row_that_no_table_can_keep_is_missing(bench: TableBench) -> None:
    """It was received, and it is not in the table that is asked: that is neither quiet nor complete."""
    hour = 60 * MINUTE
    bench.events(
        coverage(NOON, NOON + hour), coverage(NOON, NOON + hour, stream="ticker"), rejected_trade(NOON + MINUTE),
    )  # fmt: skip

    assert bench.count("trade") == 0
    assert [row[0] for row in asked(bench, NOON, NOON + hour)] == ["incomplete"]
    assert [row[0] for row in asked(bench, NOON + 2 * MINUTE, NOON + hour)] == ["complete"], "what follows is there"
    assert [row[0] for row in asked(bench, NOON, NOON + hour, stream="ticker")] == ["complete"], "another stream's"


def test_one_that_was_fetched_is_missing_where_it_happened(bench: TableBench) -> None:
    later = NOON + 30 * MINUTE
    bench.events(
        coverage(NOON, NOON + 60 * MINUTE),
        *(coverage(NOON, NOON + 60 * MINUTE, stream="kline", interval=each) for each in ("1m", "1h")),
        rejected_trade(NOON + MINUTE, Source.REST, later), rejected_candle(NOON + MINUTE, later),
    )  # fmt: skip

    assert [row[0] for row in asked(bench, NOON, NOON + 2 * MINUTE)] == ["incomplete"]
    assert [row[0] for row in asked(bench, NOON, NOON + 2 * MINUTE, stream="kline")] == ["complete", "incomplete"], "1h"
    assert [row[0] for row in asked(bench, later - MINUTE, later + MINUTE)] == ["complete"]
    assert [row[0] for row in asked(bench, later - MINUTE, later + MINUTE, stream="kline")] == ["complete"] * 2
