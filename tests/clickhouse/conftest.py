"""Tables on the real engine."""

from collections.abc import Iterator

import pytest
from clickhouse.table_bench import TableBench


@pytest.fixture
def empty(clickhouse: str) -> Iterator[TableBench]:
    """A name for a database that is not there yet."""
    bench = TableBench(clickhouse)
    yield bench
    bench.close()


@pytest.fixture(scope="session")
def shared(clickhouse: str) -> Iterator[TableBench]:
    bench = TableBench(clickhouse).create()
    yield bench
    bench.close()


@pytest.fixture
def bench(shared: TableBench) -> TableBench:
    """All tables and views, empty. Not for tests that change them."""
    return shared.clear()


@pytest.fixture(scope="session")
def shared_with_open_candles(clickhouse: str) -> Iterator[TableBench]:
    bench = TableBench(clickhouse, open_candles=True).create()
    yield bench
    bench.close()


@pytest.fixture
def with_open_candles(shared_with_open_candles: TableBench) -> TableBench:
    return shared_with_open_candles.clear()
