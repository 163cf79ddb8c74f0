"""Tables are made when missing, left alone when right, and refused by name when not; then nothing is written."""

import threading

import pytest
from clickhouse.table_bench import TableBench, message
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from msgspec import structs
from samples import NS, full, trade

from wsadapter.clickhouse import catalog as clickhouse
from wsadapter.clickhouse import client as clickhouse_client
from wsadapter.clickhouse import schema
from wsadapter.clickhouse.client import MINIMUM_VERSION, connect, version_number
from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import SchemaMismatch, ServiceUnavailable
from wsadapter.events import Kline
from wsadapter.events.streams import SPECS

pytestmark = pytest.mark.integration


def existing(bench: TableBench) -> set[str]:
    return {name for (name,) in bench.sql("SELECT name FROM system.tables WHERE database IN ('{db}', '{db}_inner')")}


def test_everything_is_made_once_and_left_alone_then(empty: TableBench) -> None:
    empty.create()
    made = existing(empty)
    empty.insert("trade", [message(trade(1), 1, 1)])
    empty.create()

    assert made == schema.names(empty.settings)
    assert empty.count("trade") == 1
    assert clickhouse.Verifier(empty.client, empty.settings).wrong() == {}


def test_what_a_crash_left_half_made_is_completed(empty: TableBench) -> None:
    for statement in [*schema.databases(empty.settings), *schema.statements(empty.settings).values()][:9]:
        empty.command(statement)
    empty.create()

    assert existing(empty) == schema.names(empty.settings)


def test_what_another_instance_makes_meanwhile_is_no_mismatch(
    empty: TableBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, asked = clickhouse._query, []

    def asking(client: Client, query: str) -> bytes:
        answer = ask(client, query)
        asked.append(query)
        if len(asked) == 1:  # between the two looks at the catalog
            empty.create()
        return answer

    monkeypatch.setattr(clickhouse, "_query", asking)
    empty.create()

    assert existing(empty) == schema.names(empty.settings)


ALTERED = {
    "ALTER TABLE {db}.trade DROP COLUMN trade_id": None,  # refused: it is in the sorting key
    "ALTER TABLE {db}.trade DROP COLUMN quantity": "trade: column quantity Decimal(38,12) is missing",
    "ALTER TABLE {db}.ticker MODIFY COLUMN last_price Float64 CODEC(ZSTD(1))": "ticker: column last_price is Float64",
    "ALTER TABLE {db}.mark_price MODIFY COLUMN index_price Nullable(Decimal(38,18))": "mark_price: column index_price",
    "ALTER TABLE {db}.gap MODIFY SETTING non_replicated_deduplication_window = 0": "gap: setting non_replicated",
    "DROP TABLE {db}_inner.depth_in": "depth_in is missing",
    "DROP VIEW {db}_inner.book_ticker_mv": "book_ticker_mv is missing",
    "DROP VIEW {db}_inner.liquidation_rejected_mv": "liquidation_rejected_mv is missing",
    "ALTER TABLE {db}_inner.kline_mv MODIFY COMMENT 'mine'": "kline_mv was made by another version",
}


def test_each_difference_is_named_and_only_its_streams_wait(empty: TableBench) -> None:
    empty.create()
    for statement, words in ALTERED.items():
        if words is None:
            with pytest.raises(DatabaseError):
                empty.command(statement)
        else:
            empty.command(statement)
    there = clickhouse.catalog(empty.client, empty.settings)
    found = clickhouse.Expected(empty.settings).mismatches(there, missing=True)
    texts = [text for _, text in found]
    expected = [
        f"{empty.settings.database}{'_inner' if '_inner' in altered else ''}.{words}"
        for altered, words in ALTERED.items()
        if words
    ]

    assert len(texts) == len(expected)
    for words in expected:
        assert any(words in text for text in texts), words
    assert set(clickhouse.Verifier(empty.client, empty.settings).wrong()) == {
        "trade", "ticker", "mark_price", "gap", "depth", "book_ticker", "liquidation", "kline"
    }  # fmt: skip


def test_without_the_table_of_rejects_everything_waits(empty: TableBench) -> None:
    empty.create()
    empty.command("DROP TABLE {db}.rejected")

    assert set(clickhouse.Verifier(empty.client, empty.settings).wrong()) == {spec.name for spec in SPECS}


def test_every_difference_is_said_at_once_and_nothing_is_made(empty: TableBench) -> None:
    database = empty.settings.database
    empty.command(f"CREATE DATABASE {database}")
    empty.command("CREATE TABLE {db}.trade (exchange String, price Float64) ENGINE = MergeTree ORDER BY exchange")
    empty.command("CREATE TABLE {db}.depth (a Int8) ENGINE = Log")

    with pytest.raises(SchemaMismatch) as caught:
        empty.create()

    said = str(caught.value)
    for words in (
        "trade: column symbol", "trade: column price is Float64", "trade: column exchange is String",
        "trade: engine is MergeTree", "trade: sorting key is (exchange)", "trade: partition key is none",
        "depth: engine is", "depth: column update_type",
    ):  # fmt: skip
        assert words in said
    assert existing(empty) == {"trade", "depth"}


def test_another_sorting_key_and_engine_are_differences(empty: TableBench) -> None:
    made = schema.statements(empty.settings)["ticker"]
    empty.command(f"CREATE DATABASE {empty.settings.database}")
    empty.command(
        made.replace("(`exchange`, `symbol`, `time`, `ordinal`)", "(`symbol`, `time`)").replace(
            "ReplacingMergeTree(version)", "MergeTree"
        )
    )

    with pytest.raises(
        SchemaMismatch, match=r"ticker: engine is MergeTree(.|\n)*ticker: sorting key is \(symbol, time\)"
    ):
        empty.create()


def test_what_an_operator_added_is_no_difference(empty: TableBench) -> None:
    empty.create()
    empty.command("ALTER TABLE {db}.trade ADD COLUMN note String DEFAULT 'x'")
    empty.command("ALTER TABLE {db}.trade MODIFY TTL toDateTime(time) + INTERVAL 3000 DAY")
    empty.command("CREATE TABLE {db}.mine (a Int8) ENGINE = Log")
    empty.create()
    empty.insert("trade", [message(trade(1), 1, 1)])

    assert empty.sql("SELECT note FROM {db}.trade") == [["x"]]


def candle(number: int, closed: bool) -> bytes:
    made = next(event for event in full() if isinstance(event, Kline))
    return message(structs.replace(made, open_time_ns=NS + number, closed=closed), 1, number)


def test_a_toggle_of_open_candles_changes_the_views_in_place_and_back(empty: TableBench) -> None:
    toggled = ClickHouseConfig(url=empty.settings.url, database=empty.settings.database, open_candles=True)
    empty.create()
    running = clickhouse.Verifier(empty.client, empty.settings)
    assert running.wrong() == {}

    assert clickhouse.create_or_verify(empty.client, toggled) == ["kline_mv", "kline_rejected_mv"]
    empty.insert("kline", [candle(1, closed=False), candle(2, closed=True)])
    assert empty.count("kline") == 2
    assert set(running.wrong()) == {"kline"}, "a consumer with the other setting pauses"
    assert clickhouse.Verifier(empty.client, toggled).wrong() == {}

    assert clickhouse.create_or_verify(empty.client, empty.settings) == ["kline_mv", "kline_rejected_mv"]
    empty.insert("kline", [candle(3, closed=False), candle(4, closed=True)])
    assert empty.count("kline") == 3
    assert clickhouse.create_or_verify(empty.client, empty.settings) == []
    assert running.wrong() == {}


def test_a_crash_between_a_views_text_and_its_comment_is_made_good(empty: TableBench) -> None:
    toggled = ClickHouseConfig(url=empty.settings.url, database=empty.settings.database, open_candles=True)
    empty.create()
    (view,) = (v for v in schema.views(toggled) if v.name == "kline_mv")
    empty.command(view.replacing(empty.settings.database)[0])

    assert clickhouse.create_or_verify(empty.client, toggled) == ["kline_mv", "kline_rejected_mv"]
    assert clickhouse.Verifier(empty.client, toggled).wrong() == {}


def test_no_row_is_lost_or_doubled_while_a_views_text_changes(empty: TableBench) -> None:
    """Inserts beside the changes: each candle is closed, so both texts take it, and each has a view at any moment."""
    toggled = ClickHouseConfig(url=empty.settings.url, database=empty.settings.database, open_candles=True)
    empty.create()
    over, sent = threading.Event(), 0

    def change() -> None:
        client = connect(empty.settings)
        try:
            for number in range(8):
                clickhouse.create_or_verify(client, (toggled, empty.settings)[number % 2])
        finally:
            over.set()
            client.close()

    changes = threading.Thread(target=change)
    changes.start()
    while not over.is_set():
        empty.insert("kline", [candle(sent, closed=True)])
        sent += 1
    changes.join()

    assert sent > 1
    assert empty.count("kline") == sent


def test_a_view_made_by_hand_is_refused_by_name(empty: TableBench) -> None:
    empty.create()
    empty.command("ALTER TABLE {db}_inner.kline_mv MODIFY COMMENT 'mine'")

    with pytest.raises(SchemaMismatch, match=r"kline_mv .*by hand .*'mine'"):
        empty.create()


def test_a_server_that_is_too_old_is_named(bench: TableBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse_client, "MINIMUM_VERSION", (99, 1))

    with pytest.raises(SchemaMismatch, match=r"ClickHouse at http.* is version '\d+.\d+.*'; 99\.1 or newer is needed"):
        connect(bench.settings)


@pytest.mark.parametrize(
    ("text", "number"), [("25.6.3.1-lts", (25, 6, 3, 1)), ("26.9.2.1", (26, 9, 2, 1)), ("head", ()), ("25.8", (25, 8))]
)
def test_version_numbers(text: str, number: tuple[int, ...]) -> None:
    assert version_number(text) == number
    assert (version_number("25.10.1") >= MINIMUM_VERSION) is True
    assert (version_number("25.5.9") >= MINIMUM_VERSION) is False


def test_a_server_that_is_not_there_is_not_there() -> None:
    with pytest.raises(ServiceUnavailable, match=r"http://127\.0\.0\.1:1 does not answer"):
        connect(ClickHouseConfig(url="http://127.0.0.1:1"))
