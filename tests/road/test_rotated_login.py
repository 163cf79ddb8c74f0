"""A password of Kafka's that was changed: it stands in its file, SIGHUP reads it, and what was recorded meanwhile is
delivered by whichever client sends it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from fresh import fresh
from oracle import query
from road_site import Site
from secured_kafka import USERS, SecuredKafka, secured_kafka

from wsadapter import native

pytestmark = pytest.mark.integration


@pytest.fixture
def broker(java: None, tmp_path: Path) -> Iterator[SecuredKafka]:
    (directory := tmp_path / "broker").mkdir()
    with secured_kafka(directory) as made:
        yield made


@pytest.fixture
def site(broker: SecuredKafka, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, broker.sasl_plaintext, clickhouse, database=fresh("login"))
    login = (
        '[kafka]\nsecurity_protocol = "SASL_PLAINTEXT"\nsasl_mechanism = "PLAIN"\nsasl_username = "admin"\n'
        f'sasl_password_file = "{tmp_path}/password"\n'
    )
    made.config.write_text(made.config.read_text().replace("[kafka]\n", login))
    yield made
    made.close()


def test_a_reload_reads_the_new_password_and_nothing_is_lost(site: Site, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("that of yesterday")
    site.start("--demo", "--rate", "5")
    eventually(lambda: "authentication" in site.get("/readyz")[1], 120, "the broker refuses the old one")
    eventually(lambda: site.counter("events_total") > 100, 60, "recorded all the same")
    recorded = site.counter("events_total")

    password.write_text(USERS["admin"])
    site.process.send_signal(signal.SIGHUP)
    site.ready(90)  # nobody waits the 100 s of a drain for a broker that refuses the old password
    eventually(lambda: site.counter("delivered_total") > recorded, 60, "delivered")
    client = "confluent-kafka" if native.extension is None else "native"
    assert f'kafka_client="{client}"' in site.metrics()
    assert site.stop() == 0, site.said()
    ((missing,),) = query(
        site.clickhouse,
        "SELECT max(missing) FROM (SELECT toInt64(max(trade_number) - min(trade_number)) + 1 "
        f"- toInt64(uniqExact(trade_number)) AS missing FROM {site.database}.trade WHERE aggregated GROUP BY symbol)",
    )
    assert missing == "0"
