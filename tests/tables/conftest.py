"""Tables on the real engine."""

from collections.abc import Iterator

import pytest
from tables.table_bench import TableBench


@pytest.fixture
def empty(clickhouse: str) -> Iterator[TableBench]:
    """A name for a database that is not there yet."""
    bench = TableBench(clickhouse)
    yield bench
    bench.close()


@pytest.fixture
def bench(empty: TableBench) -> TableBench:
    """All tables and views, empty."""
    return empty.create()
