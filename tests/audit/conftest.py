"""A database of our own with rows put straight into the event tables."""

from collections.abc import Iterator

import pytest
from audit.audit_bench import AuditBench

from wsadapter.cli import audit as command


@pytest.fixture(scope="module")
def audited(clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditBench]:
    bench = AuditBench(clickhouse, tmp_path_factory.mktemp("audit"))
    yield bench
    bench.close()


@pytest.fixture
def bench(audited: AuditBench, monkeypatch: pytest.MonkeyPatch) -> AuditBench:
    """All tables, empty. Nothing is on its way to them, so nothing is waited for."""
    monkeypatch.setattr(command, "FRESH_NS", 0)
    audited.clear()
    return audited
