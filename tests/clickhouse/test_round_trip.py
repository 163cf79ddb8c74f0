"""Messages into tables on the real engine: every value as it was, what cannot be kept with its reason."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

import msgspec
import pytest
from clickhouse.table_bench import TableBench, message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from samples import NS, full, sparse, trade

from wsadapter.clickhouse import schema
from wsadapter.clickhouse.conversion import table_columns
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import (
    BookTicker,
    Depth,
    Event,
    FundingRate,
    Kline,
    MarkPrice,
    OpenInterest,
    Source,
    Ticker,
    Trade,
)
from wsadapter.events.streams import BY_EVENT, SPECS, Column

pytestmark = pytest.mark.integration


def as_nanoseconds(text: str) -> int:
    """``2026-09-30 12:29:31.858000005`` as an integer."""
    whole, _, fraction = text.partition(".")
    seconds = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return int(seconds.timestamp()) * 1_000_000_000 + int(fraction)


def stored(column: Column, value: Any) -> Any:
    """A cell of the answer as the event has it, decimals as numbers."""
    if value is None:
        return None
    if column.repeated:
        return [Decimal(text) for text in value]
    if column.decimal:
        return Decimal(value)
    if column.time:
        return as_nanoseconds(value)
    return value


def expected(column: Column, value: Any) -> Any:
    if isinstance(value, IntEnum):
        return value.name
    if column.repeated:
        return [Decimal(text) for text in value]
    return Decimal(value) if column.decimal and value is not None else value


def row_of(bench: TableBench, event: Event) -> dict[str, Any]:
    spec = BY_EVENT[type(event)]
    columns = table_columns(spec)
    shown = [
        f"arrayMap(x -> toString(x), `{c.name}`)"
        if c.repeated
        else f"toString(`{c.name}`)"
        if c.decimal
        else f"`{c.name}`"
        for c in columns
    ]
    (row,) = bench.sql(f"SELECT {', '.join(shown)} FROM {{db}}.{spec.name}")
    return {c.field: stored(c, value) for c, value in zip(columns, row, strict=True)}


@pytest.mark.parametrize("event", full() + sparse(), ids=lambda event: type(event).__name__)
def test_every_value_is_in_the_table_as_it_was(bench: TableBench, event: Event) -> None:
    if isinstance(event, Kline):
        event = structs.replace(event, closed=True)
    bench.insert(BY_EVENT[type(event)].name, [message(event, 2**63 + 1, 2**64 - 1)])
    columns = {c.field: c for c in table_columns(BY_EVENT[type(event)])}
    wanted = {name: expected(columns[name], value) for name, value in structs.asdict(event).items()}

    assert row_of(bench, event) == {"epoch": 2**63 + 1, "position": 2**64 - 1, **wanted}


def test_time_is_the_best_known_and_version_the_receive_time(bench: TableBench) -> None:
    base = trade(1)
    bench.events(
        structs.replace(base, trade_id="a", transaction_time_ns=NS + 1, event_time_ns=NS + 2, receive_time_ns=NS + 3),
        structs.replace(base, trade_id="b", transaction_time_ns=None, event_time_ns=NS + 2, receive_time_ns=NS + 3),
        structs.replace(base, trade_id="c", transaction_time_ns=None, event_time_ns=None, receive_time_ns=NS + 3),
    )
    rows = bench.sql("SELECT trade_id, time, toString(version) FROM {db}.trade ORDER BY trade_id")

    assert [(name, as_nanoseconds(time), int(version)) for name, time, version in rows] == [
        ("a", NS + 1, NS + 3),
        ("b", NS + 2, NS + 3),
        ("c", NS + 3, NS + 3),
    ]


def test_an_absent_field_is_null_and_never_zero(bench: TableBench) -> None:
    bench.events(*sparse())
    for spec in SPECS:
        names = [c.name for c in table_columns(spec) if c.nullable and c.name not in ("epoch", "position")]
        (row,) = bench.sql(f"SELECT {', '.join(f'`{n}`' for n in names)} FROM {{db}}.{spec.name}") or [[None]]
        assert set(row) == {None}, spec.name


def test_zero_and_empty_are_values_where_a_field_is_present(bench: TableBench) -> None:
    event = structs.replace(trade(1), trade_number=0, first_trade_id=0, event_time_ns=0, transaction_time_ns=None)
    bench.events(event)

    assert bench.sql("SELECT trade_number, first_trade_id, event_time IS NULL FROM {db}.trade") == [[0, 0, 0]]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,18})?", fullmatch=True), min_size=1, max_size=50))
def test_decimals_of_eighteen_digits_are_exact(bench: TableBench, texts: list[str]) -> None:
    bench.command("TRUNCATE TABLE {db}.open_interest")
    head = ("okx", "BTC-USDT", None, None, NS, Source.REST, "repair", None)
    events = [structs.replace(OpenInterest(*head, t, t), receive_time_ns=NS + n) for n, t in enumerate(texts)]
    bench.insert("open_interest", [message(event, 1, n) for n, event in enumerate(events)])
    rows = bench.sql(
        "SELECT toString(open_interest), toString(open_interest_value) FROM {db}.open_interest ORDER BY position"
    )

    assert [(Decimal(a), Decimal(b)) for a, b in rows] == [(Decimal(t), Decimal(t)) for t in texts]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,18})?", fullmatch=True), min_size=1, max_size=50))
def test_rates_of_either_sign_are_exact(bench: TableBench, texts: list[str]) -> None:
    bench.command("TRUNCATE TABLE {db}.funding_rate")
    head = ("okx", "BTC-USDT", None)
    events = [FundingRate(*head, NS + n, NS + n, Source.REST, "repair", None, t, None, None)
              for n, t in enumerate(texts)]  # fmt: skip
    bench.insert("funding_rate", [message(event, 1, n) for n, event in enumerate(events)])
    rows = bench.sql("SELECT toString(funding_rate) FROM {db}.funding_rate ORDER BY position")

    assert [Decimal(rate) for (rate,) in rows] == [Decimal(text) for text in texts]


def test_what_cannot_be_kept_is_rejected_with_its_text_and_the_rest_is_kept(bench: TableBench) -> None:
    prices = ["1.5", "abc", "1.1234567890123", "1e5", "", "nan", "9" * 27, "2.5"]
    values = [message(structs.replace(trade(n), price=price), 7, n) for n, price in enumerate(prices)]
    bench.insert("trade", values, "the-token")

    assert bench.sql("SELECT toString(price) FROM {db}.trade ORDER BY position") == [["1.5"], ["2.5"]]
    rows = bench.sql(
        "SELECT position, stream, exchange, symbol, connection, epoch, reason, record, batch FROM {db}.rejected "
        "ORDER BY position"
    )
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {tuple(row[1:6]) for row in rows} == {("trade", "binance", "BTCUSDT", "binance-market-0", 7)}
    assert {row[8] for row in rows} == {bench.token("the-token")}
    for row, price in zip(rows, prices[1:-1], strict=True):
        assert row[6] == f"price: cannot be kept exactly: {price}"
        assert msgspec.json.decode(row[7])["price"] == price
        assert msgspec.json.decode(row[7])["trade_number"] == row[0]


def test_each_decimal_of_each_stream_is_checked(bench: TableBench) -> None:
    """One bad value at a time, in every decimal column, lists included."""
    expected_reasons = []
    for event in full():
        event = structs.replace(event, closed=True) if isinstance(event, Kline) else event
        spec = BY_EVENT[type(event)]
        for column in table_columns(spec):
            if column.decimal:
                bad: Any = ["1", "bad"] if column.repeated else "bad"
                bench.insert(spec.name, [message(structs.replace(event, **{column.field: bad}), 1, 1)])
                expected_reasons.append([spec.name, column.field])
    rows = bench.sql("SELECT DISTINCT stream, splitByChar(':', reason)[1] FROM {db}.rejected")

    assert sorted(rows) == sorted(expected_reasons)
    assert all(bench.count(spec.name) == 0 for spec in SPECS)


def test_a_value_of_an_enum_that_nobody_knows_is_rejected(bench: TableBench) -> None:
    unknown = message(trade(1), 1, 1).replace(b"\x40\x01", b"\x40\x07", 1)
    bench.insert("trade", [unknown, message(trade(2), 1, 2)])

    assert bench.count("trade") == 1
    assert bench.sql("SELECT reason FROM {db}.rejected") == [["source: cannot be kept exactly: 7"]]


def test_an_open_candle_is_kept_only_when_configured(bench: TableBench, with_open_candles: TableBench) -> None:
    closed = next(e for e in full() if isinstance(e, Kline))
    opened = structs.replace(closed, closed=False, open_time_ns=NS + 1)
    broken = structs.replace(opened, open="bad")
    bench.insert("kline", [message(e, 1, n) for n, e in enumerate((closed, opened, broken))])
    assert bench.sql("SELECT closed FROM {db}.kline") == [[True]]
    assert bench.count("rejected") == 0

    every = with_open_candles
    every.insert("kline", [message(e, 1, n) for n, e in enumerate((closed, opened, broken))])
    assert (every.count("kline"), every.count("rejected")) == (2, 1)


def test_rest_wins_over_closed_over_open_whatever_comes_last(with_open_candles: TableBench) -> None:
    bench = with_open_candles
    candle = next(e for e in full() if isinstance(e, Kline))
    rest = structs.replace(candle, source=Source.REST, close="3", receive_time_ns=NS)
    closed = structs.replace(candle, close="2", receive_time_ns=NS + 10)
    opened = structs.replace(candle, closed=False, close="1", receive_time_ns=NS + 20)
    bench.insert("kline", [message(e, 1, n) for n, e in enumerate((rest, closed, opened))])
    assert bench.sql("SELECT toString(close) FROM {db}.kline FINAL") == [["3"]]
    archived = structs.replace(rest, source=Source.ARCHIVE, close="4", receive_time_ns=NS + 1)
    bench.insert("kline", [message(e, 1, n) for n, e in enumerate((archived, closed, opened))])
    assert bench.sql("SELECT toString(close), source FROM {db}.kline FINAL") == [["4", "ARCHIVE"]]
    bench.command("TRUNCATE TABLE {db}.kline")
    bench.insert("kline", [message(e, 1, n) for n, e in enumerate((closed, opened))])
    assert bench.sql("SELECT toString(close) FROM {db}.kline FINAL") == [["2"]]


def test_events_of_one_time_without_an_id_stay_apart(bench: TableBench) -> None:
    ids: dict[type[Event], dict[str, None]] = {BookTicker: {"update_id": None}, Depth: {"last_update_id": None}}
    for event in full():
        if (kind := type(event)) in (Ticker, Depth, MarkPrice, FundingRate, BookTicker, OpenInterest):
            counted = [structs.replace(event, ordinal=n, **ids.get(kind, {})) for n in (0, 1, 2, 1)]
            name = BY_EVENT[kind].name
            bench.insert(name, [message(one, 1, n) for n, one in enumerate(counted)])
            bench.command(f"OPTIMIZE TABLE {{db}}.{name} FINAL")
            assert bench.sql(f"SELECT ordinal FROM {{db}}.{name} ORDER BY ordinal") == [[0], [1], [2]], name


def test_a_settled_rate_and_a_predicted_one_of_the_same_time_stay_apart(bench: TableBench) -> None:
    rate = next(event for event in full() if isinstance(event, FundingRate))
    bench.events(*(structs.replace(rate, settled=settled, ordinal=0) for settled in (False, True, True)))
    bench.command("OPTIMIZE TABLE {db}.funding_rate FINAL")

    assert bench.sql("SELECT settled FROM {db}.funding_rate ORDER BY settled") == [[False], [True]]


def test_the_newest_version_of_a_gap_wins(bench: TableBench) -> None:
    gap = full()[-1]
    bench.events(structs.replace(gap, version=3, repair_state="repaired"), structs.replace(gap, version=2))

    assert bench.sql("SELECT version, repair_state FROM {db}.gap FINAL") == [[3, "repaired"]]


def test_one_insert_is_one_block_whatever_its_size(bench: TableBench) -> None:
    """The token is per block: of an insert that came as two, a repeat after a partial failure would lose or double."""
    bench.command("SYSTEM STOP MERGES {db}.trade")
    values = [message(trade(n), 1, n) for n in range(120_000)]
    for _ in range(2):
        bench.insert("trade", values, "big")
    parts = bench.sql(
        "SELECT toInt64(count()) FROM system.parts WHERE database = '{db}' AND table = 'trade' AND active"
    )

    assert sum(map(len, values)) > 10_000_000
    assert parts == [[1]]
    assert bench.count("trade") == len(values)


def test_a_repeat_under_its_token_changes_nothing_in_any_table(bench: TableBench) -> None:
    values = [message(structs.replace(trade(n), price="bad" if n % 3 else "1"), 1, n) for n in range(9)]
    for _ in range(3):
        bench.insert("trade", values, "again")

    assert (bench.count("trade"), bench.count("rejected")) == (3, 6)


def test_the_same_rows_under_another_token_are_there_twice_until_merged(bench: TableBench) -> None:
    """What layer (a) cannot do, and why there is a watermark."""
    bench.command("SYSTEM STOP MERGES {db}.trade")
    for token in ("one", "two"):
        bench.insert("trade", [message(trade(1), 1, 1)], token)

    assert bench.sql("SELECT toInt64(count()) FROM {db}.trade") == [[2]]
    assert bench.sql("SELECT toInt64(count()) FROM {db}.trade FINAL") == [[1]]


def test_other_rows_under_a_known_token_vanish(bench: TableBench) -> None:
    """Why the token holds the hash of the bytes."""
    bench.insert("trade", [message(trade(1), 1, 1)], "same")
    bench.insert("trade", [message(trade(2), 1, 2)], "same")

    assert bench.sql("SELECT trade_number FROM {db}.trade") == [[1]]


def test_prices_times_quantities_are_right(bench: TableBench) -> None:
    bench.events(structs.replace(trade(1), price="60000", quantity="12345.678"))

    (row,) = bench.sql("SELECT toString(price * quantity) FROM {db}.trade")
    assert Decimal(row[0]) == Decimal("60000") * Decimal("12345.678")


def test_a_negative_rate_is_a_rate(bench: TableBench) -> None:
    event = next(e for e in full() if isinstance(e, FundingRate))
    bench.events(event)

    assert bench.sql("SELECT toString(funding_rate) FROM {db}.funding_rate") == [["-0.000100000000000001"]]


def test_the_summary_counts_the_null_table_and_the_views(bench: TableBench) -> None:
    values = [message(structs.replace(trade(n), price="bad" if n == 3 else "1"), 1, n) for n in range(5)]
    candle = structs.replace(full()[0], closed=False)
    assert isinstance(candle, Kline)

    assert bench.insert("trade", values) == 10
    assert bench.insert("kline", [message(candle, 1, 1)]) == 1


def test_the_longest_ttl_keeps_what_is_new(clickhouse: str) -> None:
    made = TableBench(clickhouse, ttl_days={"trade": 36_500}).create()
    made.insert("trade", [message(trade(1), 1, 1)])
    made.command("OPTIMIZE TABLE {db}.trade FINAL")

    assert made.count("trade") == 1
    made.close()


def test_instrument_takes_rows(bench: TableBench) -> None:
    bench.command(
        "INSERT INTO {db}.instrument (exchange, symbol, contract_size, tick_size, time, version) "
        "VALUES ('binance', 'BTCUSDT', NULL, 0.1, now64(9), 1)"
    )

    assert bench.count("instrument") == 1
    assert schema.INSTRUMENT in schema.names(ClickHouseConfig())


def test_trades_of_both_kinds_are_apart(bench: TableBench) -> None:
    bench.events(trade(1), structs.replace(trade(1), aggregated=False))

    assert bench.sql("SELECT toInt64(count()) FROM {db}.trade FINAL") == [[2]]
    assert Trade.stream_type.value == "trade"
