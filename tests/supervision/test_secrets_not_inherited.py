"""A password that the environment gave reaches the processes that need it with their arguments, and no process's
environment: what a connection to a venue runs, no operator wants to find it in."""

from pathlib import Path

import pytest
from supervision.supervised_site import Site


def test_no_child_inherits_a_password(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "hunter3")
    supervisor = site.start({"name": "ingest-a"})
    site.wait("supervisor", "ready")
    (pid,) = site.happened("ingest-a", "started")
    environ = Path(f"/proc/{pid}/environ").read_bytes()
    supervisor.terminate()

    assert supervisor.wait(60) == 0
    assert b"PYTHONPATH" in environ
    assert b"hunter" not in environ
