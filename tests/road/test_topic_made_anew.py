"""A topic deleted under a running recorder: it is made anew, and whatever comes twice or is gone is said as that."""

import json
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from confluent_kafka.admin import AdminClient
from eventually import eventually
from road_site import Site

from wsadapter.errors import ExitCode

pytestmark = pytest.mark.integration


@pytest.fixture
def site(java: None, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_a_topic_that_is_deleted_under_a_running_recorder_leaves_no_balance_open(site: Site) -> None:
    site.start("--demo", "--rate", "500").ready()
    client = clickhouse_connect.get_client(dsn=site.clickhouse, compress=False, autogenerate_session_id=False)

    def count(what: str) -> int:
        return int(client.command(f"SELECT count() FROM market.{what}"))  # type: ignore[arg-type]  # one number

    eventually(lambda: count("trade") > 500, 120, "trades are recorded")
    admin = AdminClient({"bootstrap.servers": site.kafka})
    admin.delete_topics(["market.trade"])["market.trade"].result(60)
    eventually(lambda: count("gap WHERE cause = 'kafka_retention'") > 0, 180, "the gap is in its table")
    rows = count("trade FINAL")
    eventually(lambda: count("trade FINAL") > rows + 500, 180, "the new topic is read")

    done = site.command("audit", "--live", "--json")
    assert done.stdout, done.stderr
    hops = json.loads(done.stdout)["live"]["hops"]
    assert [hop for hop in hops if hop["verdict"] == "unexplained"] == []
    assert site.stop() in (ExitCode.OK, ExitCode.LOSS)
    account = site.said().split("What became of every event")[1]
    assert "duplicates 0" in account, account
