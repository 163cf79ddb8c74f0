"""``clickhouse.cluster``: the engine parses every statement; what they mean is run on one server, without Keeper.

The engine has no cluster. A proxy before it takes ON CLUSTER and the replicas' paths away and has engine Alias, which
writes and reads through to another table, for a Distributed face of one shard. What rests on Keeper and on shards is
not run here (docs/clickhouse-clusters.md).
"""

import re
from collections.abc import Iterator

import pytest
from clickhouse.table_bench import TableBench, message
from http_proxy import HttpProxy
from oracle import query
from samples import trade

from wsadapter.clickhouse import catalog, endpoints, schema
from wsadapter.clickhouse.cluster import WINDOW_SECONDS
from wsadapter.clickhouse.conversion import literal
from wsadapter.clickhouse.grants import grants
from wsadapter.clickhouse.migration import migrate
from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import SchemaMismatch
from wsadapter.events.streams import SPECS

CLUSTER = "recorders"
SETTINGS = ClickHouseConfig(cluster=CLUSTER, ttl_days={"depth": 30})
STORED = (*(spec.name for spec in SPECS), schema.REJECTED, schema.BOOK_CHECKPOINT)
_FACE = re.compile(
    rb"(CREATE TABLE IF NOT EXISTS [^\n]*)\n\(\n.*?\n\)\n"
    rb"ENGINE = Distributed\('recorders', '(\w+)', '(\w+)', [^\n]*\)\n"
    rb"COMMENT [^\n]*",
    re.DOTALL,
)


def of_one_server(body: bytes) -> bytes:
    """A statement, as a server without a cluster takes it."""
    body = body.replace(b" ON CLUSTER `recorders`", b"")
    body = _FACE.sub(rb"\1 ENGINE = Alias('\2', '\3') SETTINGS allow_experimental_alias_table_engine = 1", body)
    body = re.sub(rb"Replicated(ReplacingMergeTree)\('[^']*', '[^']*'(?:, )?(\w*)\)", rb"\1(\2)", body)
    windows = rb"replicated_deduplication_window = (\d+), replicated_deduplication_window_seconds = \d+"
    return re.sub(windows, rb"non_replicated_deduplication_window = \1", body)


def of_a_cluster(answer: bytes) -> bytes:
    """What the catalog says of such tables."""
    answer = answer.replace(b'"Alias"', b'"Distributed"').replace(b'"Alias(', b'"Distributed(')
    return answer.replace(b'"ReplacingMergeTree', b'"ReplicatedReplacingMergeTree')


@pytest.fixture(scope="module")
def two(clickhouse: str) -> Iterator[tuple[HttpProxy, HttpProxy]]:
    with (
        HttpProxy(clickhouse, of_one_server, of_a_cluster) as first,
        HttpProxy(clickhouse, of_one_server, of_a_cluster) as second,
    ):
        yield first, second


@pytest.fixture(scope="module")
def tables(two: tuple[HttpProxy, HttpProxy], clickhouse: str) -> Iterator[TableBench]:
    bench = TableBench(f"{two[0].url},{two[1].url}", cluster=CLUSTER).create()
    yield bench
    two[0].loses = 0
    TableBench(clickhouse, database=bench.settings.database).close()


def test_every_statement_is_on_the_cluster_and_each_kept_row_has_a_replicated_table_and_a_face() -> None:
    made = schema.statements(SETTINGS)
    for statement in (*schema.databases(SETTINGS), *made.values()):
        assert " ON CLUSTER `recorders`" in statement.partition("\n")[0], statement
    for name in STORED:
        local, face = made[f"{name}_local"], made[name]
        assert "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}'" in local
        assert f"replicated_deduplication_window_seconds = {WINDOW_SECONDS}" in local
        engine = f"ENGINE = Distributed('recorders', 'market_inner', '{name}_local', cityHash64(`exchange`, `symbol`))"
        assert engine in face
        assert "TTL" not in face
    for name in schema.EVERYWHERE:
        assert "'/clickhouse/tables/{uuid}/all', '{shard}-{replica}'" in made[name]
    for spec in SPECS:
        assert f" TO `market`.`{spec.name}`\n" in made[f"{spec.name}_mv"]
    for view in schema.query_views("market"):
        assert "_local" not in made[view.name]


def test_without_a_cluster_nothing_of_it_is_in_the_statements() -> None:
    text = schema.ddl(ClickHouseConfig())
    assert not re.search(r"CLUSTER|Replicated|Distributed|_local|[^_]replicated", text)


@pytest.mark.integration
def test_the_engine_parses_every_statement(clickhouse: str) -> None:
    views = [view.replacing("market", CLUSTER) for view in schema.query_views("market")]
    altered = [statement for view in schema.views(SETTINGS) for statement in view.replacing("market")]
    made = [*schema.databases(SETTINGS), *schema.statements(SETTINGS).values(), *views, *altered]
    granted = grants("market", "recorder", "quant", CLUSTER).splitlines()
    made += [line.removeprefix("-- ").rstrip(";") for line in granted if line.endswith(";")]
    assert all("ON CLUSTER" in statement for statement in made)
    for statement in made:
        assert query(clickhouse, f"SELECT formatQuery({literal(statement)})"), statement


@pytest.mark.integration
def test_it_is_created_once_and_found_to_be_right(tables: TableBench) -> None:
    client, settings = tables.client, tables.settings
    assert catalog.Verifier(client, settings).wrong() == {}
    assert catalog.create_or_verify(client, settings) == []
    said: list[str] = []
    migrate(client, settings, said.append)
    assert said == [f"database {settings.database} has schema version 3"]


@pytest.mark.integration
def test_rows_go_through_the_faces_and_views_ask_them(tables: TableBench) -> None:
    rows = [message(trade(number), 1, number) for number in range(20)]
    for _ in range(2):
        tables.insert("trade", rows, made="faces")
    kept, asked = (tables.sql(f"SELECT toInt64(count()) FROM {name}")[0][0] for name in (
        f"{tables.settings.database}_inner.trade_local", "{db}.trade_base",
    ))  # fmt: skip
    assert (kept, asked, tables.count("trade")) == (20, 20, 20)


@pytest.mark.integration
def test_an_endpoint_that_dies_amid_an_insert_leaves_each_row_once(
    two: tuple[HttpProxy, HttpProxy], tables: TableBench
) -> None:
    before = tables.count("trade")
    two[0].loses = 1
    tables.insert("trade", [message(trade(number), 1, number) for number in range(100, 150)], made="dies")
    assert endpoints.in_use(tables.settings) == two[1].url
    assert tables.count("trade") == before + 50


@pytest.mark.integration
def test_tables_of_one_server_are_refused_with_the_way_to_a_cluster(
    clickhouse: str, two: tuple[HttpProxy, HttpProxy], tables: TableBench
) -> None:
    """And those of a cluster without it."""
    alone = TableBench(two[0].url, cluster=CLUSTER)
    database = alone.settings.database
    query(clickhouse, f"CREATE DATABASE {database}")
    query(clickhouse, f"CREATE TABLE {database}.trade (a UInt8) ENGINE = ReplacingMergeTree ORDER BY a")
    with pytest.raises(SchemaMismatch, match=r"trade: is of one server .*clickhouse-clusters\.md says how its rows go"):
        catalog.create_or_verify(alone.client, alone.settings)
    alone.close()
    without = ClickHouseConfig(url=two[0].url, database=tables.settings.database)
    with pytest.raises(SchemaMismatch, match=r"is of a cluster .*clickhouse\.cluster is not set"):
        catalog.create_or_verify(tables.client, without)
