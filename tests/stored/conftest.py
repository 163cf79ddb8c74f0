"""Tables on the real engine, and what asks them."""

from collections.abc import Iterator

import pytest
from clickhouse.table_bench import TableBench

from wsadapter.stored import Stored


@pytest.fixture(scope="session")
def created(clickhouse: str) -> Iterator[TableBench]:
    bench = TableBench(clickhouse).create()
    yield bench
    bench.close()


@pytest.fixture
def bench(created: TableBench) -> TableBench:
    return created.clear()


@pytest.fixture
def stored(bench: TableBench) -> Iterator[Stored]:
    with Stored.of(bench.settings) as asked:
        yield asked
