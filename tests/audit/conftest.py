"""A database of our own with rows put straight into the event tables."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from audit.audit_bench import AuditBench


@pytest.fixture(scope="module")
def audited(clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditBench]:
    bench = AuditBench(clickhouse, tmp_path_factory.mktemp("audit"))
    yield bench
    bench.close()


@pytest.fixture
def bench(audited: AuditBench, tmp_path: Path) -> AuditBench:
    """All tables, empty."""
    audited.clear()
    return audited
