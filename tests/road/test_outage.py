"""The broker is killed under 5,000 frames a second and comes back: all of it is delivered, in bounded memory.

Eight seconds in the normal run; ``WSADAPTER_OUTAGE=600`` makes it ten minutes (what docs/performance.md quotes)."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually
from fresh import fresh
from oracle import query, unique
from road.audited import audit
from road_site import Site

from wsadapter.embedded.servers import KafkaServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

SECONDS = float(os.environ.get("WSADAPTER_OUTAGE", "8"))
RATE = 5000
MEMORY = {"ingest": 80 << 20, "serializer": 400 << 20, "supervisor": 100 << 20}
"""Resident at most, without the ring's shared pages. The client's queue holds what was in flight, a second's worth."""


@pytest.fixture
def broker(own_kafka: Callable[[], KafkaServer]) -> KafkaServer:
    made = own_kafka()
    made.start()
    return made


@pytest.fixture
def site(broker: KafkaServer, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    name = fresh("outage")
    made = Site(tmp_path, broker.bootstrap, clickhouse, database=name)
    yield made
    made.close()


def own_memory(pid: int) -> int:
    """Resident memory that is the process's alone; 0 of one that has ended since the monitor looked."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon")), 0)


class Memory:
    """The most that each role had."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.most: dict[str, int] = {}

    def look(self) -> dict[str, Any]:
        status = self._site.status()
        for child in status.get("children", []):
            if child["pid"]:
                self.most[child["role"]] = max(self.most.get(child["role"], 0), own_memory(child["pid"]))
        return status


def test_an_outage_under_load_loses_nothing(site: Site, broker: KafkaServer) -> None:
    site.start("--demo", "--rate", str(RATE)).ready()
    memory = Memory(site)
    eventually(lambda: sum(memory.look()["totals"]["delivered"].values()) > RATE, 60, "events flow")

    broker.kill()
    until = time.monotonic() + SECONDS

    def spooled() -> dict[str, Any] | None:
        status = memory.look()
        return status if time.monotonic() > until and status["serializers"][0]["spool_records"] else None

    status = eventually(spooled, 60 + SECONDS, "what comes meanwhile is on the spool") or {}
    (serializer,) = status["serializers"]
    dropped = sum(status["totals"]["dropped"].values())
    records, size = serializer["spool_records"], serializer["spool_bytes"]
    print(f"\nafter {SECONDS:.0f} s: {records:,} records, {size:,} bytes on the spool")
    broker.start()
    returned = time.monotonic()
    eventually(lambda: memory.look()["serializers"][0]["spool_records"] == 0, 60 + SECONDS, "the spool is delivered")
    print(f"the spool was empty {time.monotonic() - returned:.1f} s after the broker's return")
    eventually(lambda: memory.look()["totals"]["lag"] < RATE, 120 + 2 * SECONDS, "the consumer caught up")
    print(f"the tables had caught up {time.monotonic() - returned:.1f} s after it")
    print("most resident:", {role: f"{size / 1e6:.0f} MB" for role, size in sorted(memory.most.items())})

    assert records > 0
    assert dropped == 0
    for role, most in MEMORY.items():
        assert memory.most[role] < most, role
    found = audit(site)
    assert {one["hop"]: one["between"] for one in found["live"]["hops"] if one["verdict"] == "unexplained"} == {}
    assert site.stop() == 0, site.said()
    for table, (plain, final) in unique(site.clickhouse, site.database).items():
        assert plain == final or table == "gap", table
    rows = sum(
        int(query(site.clickhouse, f"SELECT uniqExact(epoch, position) FROM {site.database}.{table}")[0][0])
        for table in ("trade", "depth", "book_ticker")
    )
    assert rows == sum(plain for table, (plain, _) in unique(site.clickhouse, site.database).items()
                       if table in ("trade", "depth", "book_ticker"))  # fmt: skip
