"""The statements: fixed names and types, identifiers, settings, options."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.clickhouse import schema
from wsadapter.clickhouse.conversion import IDENTIFIER, literal, quoted
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events.descriptions import FIELDS, OTHERWISE, STREAMS
from wsadapter.events.streams import BY_STREAM, SPECS, columns

SETTINGS = ClickHouseConfig()
EXPECTED = {
    "kline": {
        "open_time": "DateTime64(9,'UTC')", "open": "Decimal(38,12)", "quote_volume": "Nullable(Decimal(38,12))",
        "trade_count": "Nullable(Int64)", "closed": "Bool", "interval": "LowCardinality(String)", "version": "UInt64",
        "source": "LowCardinality(String)", "event_time": "Nullable(DateTime64(9,'UTC'))",
    },
    "ticker": {"price_change_percent": "Nullable(Decimal(38,18))", "last_price": "Decimal(38,12)", "ordinal": "Int32"},
    "depth": {
        "update_type": "LowCardinality(String)", "level_limit": "Int64", "last_update_id": "Nullable(Int64)",
        "bid_price": "Array(Decimal(38,12))", "ask_quantity": "Array(Decimal(38,12))",
    },
    "trade": {"trade_id": "String", "trade_number": "Nullable(Int64)", "aggregated": "Bool", "price": "Decimal(38,12)"},
    "funding_rate": {
        "funding_rate": "Decimal(38,18)", "mark_price": "Nullable(Decimal(38,12))", "settled": "Bool",
        "ordinal": "Int32",
    },
    "mark_price": {"funding_rate": "Nullable(Decimal(38,18))", "mark_price": "Decimal(38,12)"},
    "liquidation": {"side": "LowCardinality(String)", "ordinal": "Int64", "order_type": "Nullable(String)"},
    "book_ticker": {"update_id": "Nullable(Int64)", "bid_price": "Nullable(Decimal(38,12))"},
    "open_interest": {"open_interest": "Decimal(38,18)", "open_interest_value": "Nullable(Decimal(38,18))"},
    "coverage": {"from": "DateTime64(9,'UTC')", "to": "DateTime64(9,'UTC')", "connection": "LowCardinality(String)"},
    "gap": {"gap_id": "String", "version": "UInt64", "ended": "Nullable(DateTime64(9,'UTC'))"},
}  # fmt: skip
KEYS = {
    "trade": "(`exchange`, `symbol`, `aggregated`, `time`, `trade_id`)",
    "depth": "(`exchange`, `symbol`, `update_type`, `level_limit`, `time`, ifNull(last_update_id, 0), `ordinal`)",
    "book_ticker": "(`exchange`, `symbol`, `time`, ifNull(update_id, 0), `ordinal`)",
    "ticker": "(`exchange`, `symbol`, `time`, `ordinal`)",
    "mark_price": "(`exchange`, `symbol`, `time`, `ordinal`)",
    "funding_rate": "(`exchange`, `symbol`, `time`, `settled`, `ordinal`)",
    "open_interest": "(`exchange`, `symbol`, `time`, `ordinal`)",
    "liquidation": "(`exchange`, `symbol`, `time`, `side`, `price`, `quantity`, `ordinal`)",
    "kline": "(`exchange`, `symbol`, `interval`, `open_time`)",
    "gap": "(`exchange`, `symbol`, `stream`, `interval`, `gap_id`)",
    "coverage": "(`exchange`, `symbol`, `stream`, `interval`, `connection`, `from`)",
}


def statement(name: str, settings: ClickHouseConfig = SETTINGS) -> str:
    return schema.statements(settings)[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_columns_have_the_fixed_types(name: str) -> None:
    types = {column: kind for column, kind, _ in schema.event_table(BY_STREAM[name]).columns}

    assert {column: types[column] for column in EXPECTED[name]} == EXPECTED[name]


@pytest.mark.parametrize("name", KEYS)
def test_sorting_and_partition_keys_are_the_fixed_ones(name: str) -> None:
    text = statement(name)

    assert f"ORDER BY {KEYS[name]}\n" in text
    assert f"PARTITION BY toYYYYMM(`{ {'kline': 'open_time', 'coverage': 'from'}.get(name, 'time') }`)\n" in text
    assert "ENGINE = ReplacingMergeTree(version)\n" in text


def test_every_table_with_rows_remembers_insert_tokens() -> None:
    for table in schema.tables(SETTINGS):
        if table.engine != "Null":
            assert "non_replicated_deduplication_window = 10000" in table.sql("market"), table.name


def test_all_fixed_tables_are_there() -> None:
    fixed = (
        "kline ticker depth trade funding_rate mark_price liquidation book_ticker open_interest gap rejected "
        "instrument schema_version coverage complete ohlcv funding_settled funding_predicted latency "
        "trade_base trade_f64"
    )

    assert set(fixed.split()) <= schema.names(SETTINGS)


def test_what_rows_go_through_is_in_a_database_of_its_own() -> None:
    for name, text in schema.statements(SETTINGS).items():
        is_inner = name.endswith(("_in", "_mv"))
        assert text.split("`")[1] == ("market_inner" if is_inner else "market"), name
    long = ClickHouseConfig(database="d" * 64)
    assert f"`{'d' * 64}_inner`.`trade_in`" in schema.ddl(long)


def test_every_table_and_column_has_a_comment() -> None:
    for table in schema.tables(SETTINGS):
        if table.engine != "Null":
            assert table.about, table.name
            assert {name for name, _, _ in table.columns} == table.texts.keys(), table.name
    assert all(len(text) < 120 and "\n" not in text for text in (*FIELDS.values(), *OTHERWISE.values()))
    used = {name for spec in SPECS for name in (*(c.name for c in columns(spec.event)), "epoch", "position", "time")}
    assert used | {"version"} == FIELDS.keys(), "none of them is of a field that is gone"
    assert {name for name, _ in OTHERWISE} <= STREAMS.keys() == {spec.name for spec in SPECS}


def test_no_ttl_unless_configured() -> None:
    assert "TTL" not in schema.ddl(SETTINGS)
    settings = ClickHouseConfig(ttl_days={"trade": 30, "kline": 365, "rejected": 7})
    assert "TTL toDate(`time`) + INTERVAL 30 DAY\n" in statement("trade", settings)
    assert "TTL toDate(`open_time`) + INTERVAL 365 DAY\n" in statement("kline", settings)
    assert "INTERVAL 7 DAY" in statement("rejected", settings)
    assert "TTL" not in statement("depth", settings)


def test_coverage_is_kept_as_long_as_the_rows_that_it_is_about() -> None:
    """Streams that are kept as long have one rule: the server tells rules apart by their times alone."""
    days = {"depth": 30, "book_ticker": 30, "trade": 90, "gap": 7, "rejected": 7}

    def rules(**more: int) -> list[str]:
        made = statement("coverage", ClickHouseConfig(ttl_days={**days, **more}))
        return made.split("\nTTL ")[1].split("\n")[0].split(", toDate")

    assert rules() == [
        "toDate(`from`) + INTERVAL 30 DAY DELETE WHERE stream IN ('depth', 'book_ticker')",
        "(`from`) + INTERVAL 90 DAY DELETE WHERE stream IN ('trade', 'raw_trade')",
    ]
    assert rules(coverage=60) == [
        "toDate(`from`) + INTERVAL 60 DAY",
        "(`from`) + INTERVAL 30 DAY DELETE WHERE stream IN ('depth', 'book_ticker')",
    ]
    assert "TTL" not in statement("coverage", ClickHouseConfig(ttl_days={"gap": 7}))


def test_open_candles_are_filtered_by_both_views_unless_configured() -> None:
    for view in ("kline_mv", "kline_rejected_mv"):
        assert "AND raw.`closed`" in statement(view)
        assert "AND raw.`closed`" not in statement(view, ClickHouseConfig(open_candles=True))


def test_a_changed_view_has_another_fingerprint() -> None:
    here = {view.name: view.fingerprint for view in schema.views(SETTINGS)}
    there = {view.name: view.fingerprint for view in schema.views(ClickHouseConfig(open_candles=True))}

    assert {name for name in here if here[name] != there[name]} == {"kline_mv", "kline_rejected_mv"}


def test_the_script_is_all_statements_in_order() -> None:
    databases = schema.databases(SETTINGS)
    assert schema.ddl(SETTINGS).split(";\n\n")[:-1] == [*databases, *schema.statements(SETTINGS).values()]
    names = [*schema.statements(SETTINGS)]
    assert names == [s.split("`")[3] for s in schema.ddl(SETTINGS).split(";\n\n")[2:-1]]
    assert names.index("trade_mv") > max(names.index("trade"), names.index("trade_in"))
    assert (
        len(names)
        == len(set(names))
        == 4 * len(SPECS) + 2 * len(schema.ARCHIVED) + 4 + len(schema.query_views("market"))
    )


@settings(deadline=None)
@given(st.text(max_size=80))
def test_only_plain_words_become_identifiers(text: str) -> None:
    if IDENTIFIER.fullmatch(text):
        assert quoted(text) == f"`{text}`"
    else:
        with pytest.raises(ValueError, match="identifier"):
            quoted(text)


@pytest.mark.parametrize("text", ["a`b", "a;b", "a.b", "a\nb", "a\0b", "", "1a", "a" * 81, "ä", "a\n"])
def test_what_could_break_out_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        quoted(text)


@settings(deadline=None)
@given(st.text())
def test_literals_hold_their_text(text: str) -> None:
    made = literal(text)
    inner = made[1:-1].replace("\\\\", "\0" if "\0" not in text else "\1")

    assert made[0] == made[-1] == "'"
    assert "'" not in inner.replace("\\'", "")
