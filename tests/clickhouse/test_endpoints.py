"""Several addresses in ``clickhouse.url``: another one is asked with the same token, and no row is twice or missing."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from clickhouse.table_bench import TableBench, message
from clickhouse_connect.driver.exceptions import Error
from http_proxy import HttpProxy
from samples import trade

from wsadapter.cli import check
from wsadapter.clickhouse import endpoints
from wsadapter.clickhouse.client import Query, asker, connect, decode_rows, refuse_foreign
from wsadapter.config.model import ClickHouseConfig, Config, ServiceConfig
from wsadapter.embedded.servers import ClickHouseServer
from wsadapter.errors import Reason, SchemaMismatch, ServiceUnavailable

pytestmark = pytest.mark.integration


@pytest.fixture
def two(clickhouse: str) -> Iterator[tuple[HttpProxy, HttpProxy]]:
    with HttpProxy(clickhouse) as first, HttpProxy(clickhouse) as second:
        yield first, second


@pytest.fixture
def tables(two: tuple[HttpProxy, HttpProxy], bench: TableBench) -> TableBench:
    """The shared tables, empty, by two ways."""
    by_two = TableBench(f"{two[0].url},{two[1].url}", database=bench.settings.database)
    by_two.sql("SELECT 1")
    return by_two


def put(tables: TableBench, number: int) -> None:
    rows = [message(trade(number * 10 + n), 1, number * 10 + n) for n in range(10)]
    tables.insert("trade", rows, made=f"batch-{number}-{id(tables)}")


def in_use(tables: TableBench) -> str:
    return endpoints.in_use(tables.settings)


def test_a_batch_whose_answer_was_lost_on_one_endpoint_is_not_doubled_on_the_other(
    two: tuple[HttpProxy, HttpProxy], tables: TableBench
) -> None:
    first, second = two
    put(tables, 1)
    assert in_use(tables) == first.url
    assert not any("token" in each for each in second.asked)
    first.loses = 1
    put(tables, 2)
    assert in_use(tables) == second.url
    tokens = [each for each in first.asked if "insert_deduplication_token=batch-2-" in each]
    assert len(tokens) == 1
    assert tokens[0] in second.asked, "the very same request"
    assert tables.count("trade") == 20
    assert tables.sql("SELECT toInt64(uniqExact(trade_id)) FROM {db}.trade") == [[20]]


def test_an_endpoint_that_dies_amid_inserts_loses_and_doubles_nothing(
    two: tuple[HttpProxy, HttpProxy], tables: TableBench
) -> None:
    first, second = two
    for number in range(5):
        put(tables, number)
    first.stop()
    for number in range(5, 10):
        put(tables, number)
    assert in_use(tables) == second.url
    assert tables.count("trade") == 100
    (state, _) = endpoints.of(tables.settings).states
    assert state.reason is Reason.REFUSED
    assert state.sentence() == f"ClickHouse at {first.url} does not answer: connection refused"


@pytest.mark.parametrize("status", [500, 502, 503])
def test_5xx_of_a_proxy_without_a_server_is_left_for_the_next_one(
    two: tuple[HttpProxy, HttpProxy], tables: TableBench, status: int
) -> None:
    two[0].status = status
    put(tables, 1)
    assert in_use(tables) == two[1].url
    assert tables.count("trade") == 10


def test_what_the_server_says_of_the_batch_itself_is_the_answer(
    two: tuple[HttpProxy, HttpProxy], tables: TableBench
) -> None:
    with pytest.raises(Error):
        tables.insert("trade", [b"\xff\xff\xff"], made="damaged")
    assert in_use(tables) == two[0].url
    assert not any("token" in each for each in two[1].asked)


def test_what_must_not_be_done_twice_is_not_repeated(two: tuple[HttpProxy, HttpProxy], tables: TableBench) -> None:
    """A statement without a token may have been done: its sender decides. What comes next goes to the other one."""
    two[0].status = 503
    with pytest.raises(Error):
        tables.command("TRUNCATE TABLE {db}.trade")
    assert not any("TRUNCATE" in each for each in two[1].asked)
    two[0].stop()
    tables.command("TRUNCATE TABLE {db}.trade")  # refused: it was not sent
    assert in_use(tables) == two[1].url


def test_it_comes_back_to_the_first_within_the_time_that_is_said(
    two: tuple[HttpProxy, HttpProxy], tables: TableBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("wsadapter.clickhouse.endpoints.time.monotonic", lambda: now[0])
    two[0].stop()
    put(tables, 1)
    two[0].start()
    now[0] += endpoints.RETURN_SECONDS - 1
    put(tables, 2)
    assert in_use(tables) == two[1].url
    now[0] += 1
    put(tables, 3)
    assert in_use(tables) == two[0].url
    assert tables.count("trade") == 30


def test_every_client_of_a_process_keeps_to_it(two: tuple[HttpProxy, HttpProxy], tables: TableBench) -> None:
    put(tables, 1)
    two[0].stop()
    ask = asker(tables.settings, read_only=True)
    answer = ask(Query(f"SELECT count() AS n FROM {tables.settings.database}.trade"))
    assert decode_rows(answer, dict[str, int]) == [{"n": 10}]
    assert in_use(tables) == two[1].url
    assert [state.reason for state in endpoints.of(tables.settings).states] == [Reason.REFUSED, None]


def test_no_endpoint_answers_and_each_is_named(two: tuple[HttpProxy, HttpProxy], tables: TableBench) -> None:
    for proxy in two:
        proxy.stop()
    with pytest.raises(ServiceUnavailable) as caught:
        connect(tables.settings)
    for proxy in two:
        assert f"ClickHouse at {proxy.url} does not answer: connection refused" in str(caught.value)


def test_an_endpoint_with_tables_of_its_own_is_refused_by_name(
    two: tuple[HttpProxy, HttpProxy], tables: TableBench, own_clickhouse: Callable[[], ClickHouseServer]
) -> None:
    """Two servers whose tables are not replicated: a batch that is repeated on the other one would be in both."""
    other, database = own_clickhouse().start(), tables.settings.database
    apart = TableBench(f"{two[0].url},{other.url}", database=database)
    with pytest.raises(SchemaMismatch, match=f"ClickHouse at {other.url} is not used.*no tables of ours"):
        refuse_foreign(apart.settings, apart.client)
    client = connect(ClickHouseConfig(url=other.url))
    for statement in ("CREATE DATABASE {}", "CREATE TABLE {}.trade (a UInt8) ENGINE = MergeTree ORDER BY a"):
        client.command(statement.format(database), use_database=False)
    with pytest.raises(SchemaMismatch, match="whose table trade is not replicated"):
        refuse_foreign(apart.settings, apart.client)
    put(apart, 1)
    two[0].stop()
    with pytest.raises(Error):
        put(apart, 2)
    assert in_use(apart) == two[0].url
    state = endpoints.of(apart.settings).states[1]
    assert state.reason is Reason.FOREIGN
    assert "not replicated" in state.sentence()
    assert int(str(client.command(f"SELECT count() FROM {database}.trade", use_database=False))) == 0


SERVER, OTHER = "6b1c3bd7-0000-0000-0000-000000000001", "6b1c3bd7-0000-0000-0000-000000000002"
REPLICA = ("trade", "ReplicatedReplacingMergeTree", "uuid-of-trade", "/clickhouse/tables/trade/1")
VIEW = ("trade_mv", "MaterializedView", "uuid-of-view", "")


@pytest.mark.parametrize(
    ("server", "tables", "difference"),
    [
        (SERVER, (("trade", "ReplacingMergeTree", "uuid", ""),), ""),  # one server by two addresses
        (OTHER, (REPLICA, VIEW), ""),
        (OTHER, (("trade", "SharedReplacingMergeTree", "uuid-of-trade", ""), VIEW), "replica of another"),
        (OTHER, (), "no tables of ours"),
        (OTHER, ((*REPLICA[:1], "ReplacingMergeTree", *REPLICA[2:]), VIEW), "trade is not replicated"),
        (OTHER, ((*REPLICA[:3], "/clickhouse/tables/trade/2"), VIEW), "a replica of another one"),
        (OTHER, (REPLICA, (*VIEW[:2], "another", "")), "view trade_mv is another"),
    ],
)
def test_what_it_is_to_share_tables(server: str, tables: tuple[Any, ...], difference: str) -> None:
    found = endpoints.Found(SERVER, (REPLICA, VIEW)).shares(endpoints.Found(server, tables))
    assert difference in found
    assert bool(found) == bool(difference)


def test_nothing_leaves_the_endpoint_while_tables_are_migrated(
    two: tuple[HttpProxy, HttpProxy], tables: TableBench
) -> None:
    two[0].stop()
    with endpoints.of(tables.settings).kept(), pytest.raises(Error):
        put(tables, 1)
    assert in_use(tables) == two[0].url
    put(tables, 1)
    assert tables.count("trade") == 10


def test_check_says_which_endpoint_answers_and_what_is_not_known_of_another(
    two: tuple[HttpProxy, HttpProxy], tables: TableBench
) -> None:
    config = Config(ServiceConfig("check", "/nowhere"), clickhouse=tables.settings)
    assert re.fullmatch(rf"{two[0].url}, version [\d.]+, of 2 endpoints", check._clickhouse(config))
    two[1].stop()
    said = check._clickhouse(config)
    assert f"ClickHouse at {two[1].url} does not answer: connection refused: whether it shares the tables" in said
