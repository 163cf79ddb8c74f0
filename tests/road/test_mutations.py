"""The oracle sees loss: a skipped ack and a reused token must both make the comparison fail."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fresh import fresh
from oracle import RingWatcher, compare, stored
from road_site import Site

from wsadapter.embedded.servers import KafkaServer

pytestmark = pytest.mark.integration
MUTATIONS = Path(__file__).parents[1] / "mutations"


def mutated(name: str) -> dict[str, str]:
    """The environment in which one of the children is not what we ship."""
    return {"PYTHONPATH": str(MUTATIONS / name)}


@pytest.fixture
def broker(own_kafka: Callable[[], KafkaServer]) -> KafkaServer:
    made = own_kafka()
    made.start()
    return made


@pytest.fixture
def site(broker: KafkaServer, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, broker.bootstrap, clickhouse, database=fresh("mutant"))
    yield made
    made.close()


def test_a_skipped_ack_is_seen(site: Site, broker: KafkaServer) -> None:
    site.start("--demo", "--rate", "2000", environ=mutated("skipped_ack")).ready()
    watcher = RingWatcher(site.rings())
    watcher.wait_for(2000)
    broker.kill()
    watcher.wait_for(4000)
    site.kill("serializer-0")
    broker.start()
    site.ready()
    site.stop()
    watcher.stop()

    lost, _ = compare(watcher.published, stored(site.clickhouse, site.database))
    assert lost


def test_a_reused_token_is_seen(site: Site) -> None:
    site.start("--demo", "--rate", "2000", environ=mutated("reused_token")).ready()
    watcher = RingWatcher(site.rings())
    watcher.wait_for(15_000)
    site.stop()
    watcher.stop()

    lost, _ = compare(watcher.published, stored(site.clickhouse, site.database))
    assert lost
