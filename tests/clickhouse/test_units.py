"""Quantities in units of the base asset: exact, and nothing where nothing is known."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from clickhouse.table_bench import TableBench, message
from msgspec import structs
from samples import NS, full

from wsadapter.clickhouse import catalog, schema
from wsadapter.clickhouse.units import BASE_COLUMNS
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import Event
from wsadapter.events.streams import BY_STREAM, columns
from wsadapter.exchanges.rest_api import Instrument
from wsadapter.roles.repairer.instruments import lines

pytestmark = pytest.mark.integration

COIN = Instrument(
    "binance", "COIN", NS, "TRADING", None, "BTC", "USDT", None, "1", "BTC", None, None, None, None, None, None, None,
    kind="spot",
)  # fmt: skip
INSTRUMENTS = (
    COIN,
    structs.replace(COIN, symbol="LINEAR", kind="perpetual", margin_asset="USDT", contract_size="0.0001",
                    multiplier="10", open_interest_sides=2),
    structs.replace(COIN, symbol="INVERSE", kind="perpetual", margin_asset="BTC", quote_asset="USD",
                    contract_size="100", contract_currency="USD"),
    structs.replace(COIN, symbol="UNSAID", kind="perpetual", contract_size=None),
    structs.replace(COIN, symbol="NAMELESS", base_asset="", contract_currency=""),
)  # fmt: skip
FACTORS: dict[str, Decimal | None] = {
    "COIN": Decimal(1), "LINEAR": Decimal("0.001"), "INVERSE": None, "UNSAID": None, "NAMELESS": None, "UNLISTED": None,
}  # fmt: skip


@pytest.fixture
def filled(bench: TableBench) -> TableBench:
    bench.client.raw_insert(f"{bench.settings.database}.instrument", insert_block=lines(INSTRUMENTS), fmt="JSONEachRow")
    kept = [event for event in full() if event.stream_type.value in BASE_COLUMNS]
    for event in kept:
        several: list[Event] = [structs.replace(event, symbol=symbol) for symbol in FACTORS]
        bench.insert(event.stream_type.value, [message(one, 1, n) for n, one in enumerate(several)])
    return bench


def test_each_quantity_is_that_of_the_base_asset_or_nothing(filled: TableBench) -> None:
    for event in full():
        for column in BASE_COLUMNS.get(word := event.stream_type.value, ()):
            rows = filled.sql(f"SELECT symbol, toString(base_{column}) FROM {{db}}.{word}_base ORDER BY symbol")
            assert dict(map(tuple, rows)).keys() == FACTORS.keys(), "a row of the table is a row of the view"
            for symbol, text in rows:
                own, factor = getattr(event, column), FACTORS[symbol]
                found: Any = None if text is None else Decimal(text) if "[" not in text else [
                    None if one == "NULL" else Decimal(one) for one in text.strip("[]").split(",")
                ]  # fmt: skip
                if isinstance(own, list):
                    assert found == [None if factor is None else Decimal(one) * factor for one in own], (word, symbol)
                else:
                    assert found == (None if factor is None else Decimal(own) * factor), (word, symbol)


def test_names_over_all_venues_and_sides_of_open_interest(filled: TableBench) -> None:
    assert filled.sql(
        "SELECT symbol, canonical, base_currency, toString(base_one_sided) FROM {db}.open_interest_base ORDER BY symbol"
    ) == [
        ["COIN", "BTC/USDT", "BTC", None],
        ["INVERSE", "BTC/USD:BTC", "BTC", None],
        ["LINEAR", "BTC/USDT:USDT", "BTC", "42.308594"],
        ["NAMELESS", "", "", None],
        ["UNLISTED", "", "", None],
        ["UNSAID", "", "BTC", None],
    ]


def test_every_column_of_the_table_is_there_under_its_name(filled: TableBench) -> None:
    for word in BASE_COLUMNS:
        names = [*(column.name for column in columns(BY_STREAM[word].event)), "time"]
        select = ", ".join(f"`{name}`" for name in names)
        assert filled.sql(f"SELECT {select} FROM {{db}}.{word}_base ORDER BY symbol") == filled.sql(
            f"SELECT {select} FROM {{db}}.{word} ORDER BY symbol"
        )


def test_a_large_quantity_is_exact(filled: TableBench) -> None:
    (event,) = (event for event in full() if event.stream_type == "trade")
    largest = "9" * 25 + "." + "9" * 12
    filled.events(structs.replace(event, symbol="LINEAR", quantity=largest, trade_id="large"))

    ((found,),) = filled.sql("SELECT toString(base_quantity) FROM {db}.trade_base WHERE trade_id = 'large'")
    assert found == "9" * 22 + "." + "9" * 15


def test_a_filter_reads_only_what_the_table_would(filled: TableBench) -> None:
    plan = filled.sql(
        "EXPLAIN indexes = 1, json = 1 SELECT sum(base_quantity) FROM {db}.trade_base "
        "WHERE exchange = 'binance' AND symbol = 'COIN' AND time > now() - 60"
    )
    text = json.dumps(plan)
    assert "PrimaryKey" in text
    for name in ("exchange", "symbol", "time"):
        assert f'\\"{name}\\"' in text.partition("PrimaryKey")[2], name


def test_a_view_with_another_text_is_replaced_and_a_strangers_is_left_alone(empty: TableBench) -> None:
    empty.create()
    name = f"{empty.settings.database}.trade_base"
    comment = "SELECT comment FROM system.tables WHERE database = '{db}' AND name = 'trade_base'"
    ((present,),) = empty.sql(comment)
    assert present.startswith("wsadapter ")
    assert "units of base_currency" in present
    empty.command(f"CREATE OR REPLACE VIEW {name} AS SELECT 1 AS one COMMENT 'wsadapter 00: of an earlier one'")
    empty.create()
    assert empty.sql(comment) == [[present]]
    empty.command(f"CREATE OR REPLACE VIEW {name} AS SELECT 1 AS one COMMENT 'mine'")
    empty.create()
    assert empty.sql(comment) == [["mine"]]
    empty.command(f"DROP VIEW {name}")
    assert catalog.Verifier(empty.client, empty.settings).wrong() == {}, "nothing waits for it"
    empty.create()
    assert empty.sql(comment) == [[present]]


def test_the_script_has_them(bench: TableBench) -> None:
    made: Callable[[str], bool] = schema.ddl(ClickHouseConfig()).__contains__
    assert all(made(f"CREATE VIEW IF NOT EXISTS `market`.`{word}_base`\n(") for word in BASE_COLUMNS)
