"""Ask ClickHouse for what `audit` and `gaps` show: one connection, errors as the command says them."""

import functools
from collections.abc import Callable

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from msgspec import Struct

from wsadapter.clickhouse.catalog import connect, unavailable
from wsadapter.clickhouse.errors import error_code, first_line
from wsadapter.config.load import ClickHouseConfig
from wsadapter.errors import ServiceUnavailable

NOT_THERE = (60, 81)
"""Unknown table, unknown database."""
TOO_SLOW = (159, 209, 241)


Parameters = dict[str, int | str]


class Query(Struct, frozen=True):
    sql: str
    parameters: Parameters


def asker(settings: ClickHouseConfig) -> Callable[[Query], bytes]:
    """`ServiceUnavailable` when there is no server, or no tables yet."""
    return functools.partial(_ask, settings, connect(settings))


def _ask(settings: ClickHouseConfig, client: Client, query: Query) -> bytes:
    try:
        text = f"{query.sql} FORMAT JSONEachRow"
        return bytes(client.raw_query(text, parameters=query.parameters, use_database=False))
    except (ClickHouseError, OSError) as error:
        code = error_code(error)
        if code in NOT_THERE:
            said = f"no tables of ours in database {settings.database}: {first_line(error)}"
            raise ServiceUnavailable(f"ClickHouse at {settings.url}: {said}") from None
        if code in TOO_SLOW:
            said = f"too much for one question, narrow it with --since, --exchange, --symbol: {first_line(error)}"
            raise ServiceUnavailable(f"ClickHouse at {settings.url}: {said}") from None
        raise unavailable(settings, error) from None
