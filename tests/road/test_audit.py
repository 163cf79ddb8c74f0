"""`audit` beside a running road: ingest killed under load leaves holes, gap rows explain them, the rest balances."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually
from oracle import query
from road_site import Site

pytestmark = pytest.mark.integration
KILLED = "binance-market-0"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, extra="[process.repairer]\ncount = 0")  # it would leave no holes to explain
    yield made
    made.close()


def run(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wsadapter.cli.main", *arguments, "--config", str(site.config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def trades(site: Site) -> int:
    return int(query(site.clickhouse, "SELECT count() FROM market.trade")[0][0])


def assert_covered_but_for_the_gap(site: Site) -> None:
    """What was killed has said no more than it had received, and its successor begins where the gap ends."""
    of_it = f"connection = '{KILLED}'"
    times = "toUnixTimestamp64Nano(started), toUnixTimestamp64Nano(ended)"
    lost = f"SELECT {times} FROM market.gap FINAL WHERE cause = 'restart' AND stream = '' AND {of_it}"
    ((started, ended),) = ([int(at) for at in row] for row in query(site.clickhouse, lost))
    spans = (
        f"SELECT toUnixTimestamp64Nano(`from`), toUnixTimestamp64Nano(`to`) FROM market.coverage FINAL WHERE {of_it}"
    )

    def covered() -> list[tuple[int, int]]:
        return [(int(since), int(until)) for since, until in query(site.clickhouse, spans)]

    eventually(lambda: {since > started for since, _ in covered()} == {False, True}, 60, "its successor's rows")
    for since, until in covered():
        assert until <= started + 2 * 10**9 if since < started else since == ended


def test_a_killed_ingest_is_explained_while_the_road_runs(site: Site) -> None:
    site.start("--demo").ready()
    eventually(lambda: trades(site) > 100, 30, "trades")
    old = site.kill(KILLED)
    eventually(lambda: site.children().get(KILLED, {}).get("pid") not in (0, None, old), 30, "started again")
    site.ready()
    before = trades(site)
    eventually(lambda: trades(site) > before + 300, 30, "trades after it")

    done = run(site, "audit", "--live", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["verdict"] == "explained"
    trade_holes = [hole for hole in found["holes"] if hole["stream"] == "trade"]
    assert trade_holes
    assert {hole["explained_by"]["cause"] for hole in found["holes"]} <= {"disconnect", "restart"}
    assert found["live"]["unexplained"] == 0
    assert {one["hop"] for one in found["live"]["hops"]} == {
        "venue -> socket", "decoder -> ring", "venue -> ring", "ring -> Kafka", "Kafka -> consumer",
        "consumer -> tables",
    }  # fmt: skip

    by_stream = (
        "SELECT stream, uniqExact(symbol), max(`to`) <= now64(9), min(`from`) > toDateTime('2000-01-01') "
        "FROM market.coverage FINAL GROUP BY stream"
    )
    every = {"trade", "kline", "ticker", "depth"}
    eventually(lambda: {row[0] for row in query(site.clickhouse, by_stream)} >= every, 60, "coverage of each stream")
    covered = query(site.clickhouse, by_stream)
    assert {tuple(row[2:]) for row in covered} == {("1", "1")}

    assert_covered_but_for_the_gap(site)

    gaps = json.loads(run(site, "gaps", "--json", "--since", "1h").stdout)
    assert {gap["gap_id"] for gap in gaps} >= {hole["explained_by"]["gap_id"] for hole in found["holes"]}
    assert site.stop() == 0, site.said()
