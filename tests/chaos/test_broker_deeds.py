"""Three brokers with SASL and an authorizer, the whole road before them, and what is done to brokers: from a seed, one
deed after the other; at the end the oracle compares rings, brokers and tables.

``make chaos BROKERS=3`` does every deed once, in the order that ``SEED`` gives, and again as long as ``FOR`` lasts;
``RATE`` is in frames a second, ``DEEDS`` a pattern. 0 lost, 0 twice, order per key: as in `chaos.test_chaos`.
"""

import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import broker_log
from chaos.cluster_deeds import ClusterDeeds, Outcome
from eventually import eventually
from oracle import RingWatcher, compare, query, stored, unique
from road.audited import audit
from road.test_feed import FEED
from road_site import Site
from secured_cluster import PASSWORD, USER, SecuredCluster

from wsadapter.embedded.servers import ClickHouseServer, VenueThread
from wsadapter.shm.segment import listing

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(7200),
    # random by nature, and of three JVMs: a run of its own with a seed to repeat it, not the verdict about a change
    pytest.mark.skipif("WSADAPTER_CLUSTER" not in os.environ, reason="make chaos BROKERS=3 runs it"),
]

SECONDS = float(os.environ.get("WSADAPTER_CLUSTER", "0"))
SEED = int(os.environ.get("WSADAPTER_SEED", "0")) or random.randrange(1, 1 << 32)
RATE = int(os.environ.get("WSADAPTER_RATE", "0")) or 600
DEEDS = os.environ.get("WSADAPTER_DEEDS", "")
SECURITY = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256", "KAFKA_SASL_USERNAME": USER,
    "KAFKA_SASL_PASSWORD": PASSWORD,
}  # fmt: skip
GAPS_SECONDS = 120.0


@pytest.fixture
def cluster(installed_kafka: None, tmp_path: Path) -> Iterator[SecuredCluster]:
    made = SecuredCluster(tmp_path / "brokers")
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def site(
    cluster: SecuredCluster, venue: VenueThread, engine: ClickHouseServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:  # fmt: skip
    for name, value in SECURITY.items():
        monkeypatch.setenv(name, value)
    feed = FEED.format(symbols='["BTCUSDT", "ETHUSDT", "SOLUSDT"]', url=venue.venue.url)
    made = Site(tmp_path, cluster.sasl, engine.url, f'{feed}\nrest_url = "{venue.venue.rest_url}"\n')
    text = made.config.read_text()
    made.config.write_text(text.replace("[clickhouse]", "replication_factor = 3\n[clickhouse]", 1))
    yield made
    made.close()


def test_whatever_is_done_to_its_brokers(
    site: Site, cluster: SecuredCluster, engine: ClickHouseServer
) -> None:  # fmt: skip
    print(f"\nseed {SEED}, {RATE} frames a second")
    site.start().ready()
    cluster.await_in_sync(f"{site.database}.")
    watcher = RingWatcher(site.rings())
    watcher.wait_for(RATE)
    deeds = ClusterDeeds(SEED, site, cluster, watcher)
    began, published = time.monotonic(), len(watcher.published)
    while not deeds.outcomes or time.monotonic() < began + SECONDS:
        for name in deeds.round(DEEDS):
            watcher.wait_for(deeds.rng.randint(RATE, 3 * RATE))
            outcome = deeds.strike(name)
            print(f"{time.monotonic() - began:7.1f} s  {_line(outcome)}", flush=True)
    watcher.wait_for(RATE)
    rate = (len(watcher.published) - published) / (time.monotonic() - began)
    eventually(lambda: not site.status()["repairers"][0]["gaps_open"], GAPS_SECONDS, "no gap is open")
    audit(site)  # each hole has its explanation
    assert site.stop() == 0, site.said()
    deeds.acknowledgements.close()
    watcher.stop()
    repeated = broker_log.check(cluster.bootstrap, f"{site.database}.", watcher, deeds.deleted)
    lost, duplicated = compare(watcher.published, stored(engine.url, site.database))
    gone = deeds.deleted & set(lost)
    gaps = Counter(
        {
            cause: int(count)
            for cause, count in query(
                engine.url, f"SELECT cause, count() FROM {site.database}.gap FINAL GROUP BY cause ORDER BY cause"
            )
        }
    )

    print(f"{len(watcher.contents):,} records, {rate:,.0f} a second, {repeated:,} twice in Kafka, {dict(gaps)}")
    print(f"deleted with their topic before they were read: {len(gone):,}; {_load()}")
    print("| deed | times | well again after, s | longest without an acknowledgement, s | records over the spool |")
    for deed, times in _by_deed(deeds.outcomes).items():
        worst = [max(one[field] for one in times) for field in (1, 2, 3)]
        print(f"| {deed} | {len(times)} | {worst[0]:.1f} | {worst[1]:.1f} | {worst[2]:,} |")
    lost = [identity for identity in lost if identity not in gone]
    assert not lost, f"{len(lost)} of {len(watcher.published)} lost, first {lost[:3]}"
    assert not gone or gaps["kafka_retention"], "what went with its topic is said"
    assert not duplicated, f"{len(duplicated)} stored twice, first {duplicated[:3]}"
    for table, (plain, final) in unique(engine.url, site.database).items():
        assert plain == final or table == "gap", table
    assert not listing(f"wsadapter-{site.instance}-"), "counters that do not balance, or a ring, are kept"


def _line(outcome: Outcome) -> str:
    return (
        f"{outcome.deed}: well again after {outcome.recovery:.1f} s, nothing acknowledged for "
        f"{outcome.unacknowledged:.1f} s at most, {outcome.spooled:,} records over the spool; {_load()}"
    )


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def _by_deed(outcomes: list[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.deed].append(outcome)
    return dict(sorted(found.items()))
