"""Two connections for the same streams on the whole road: kill -9 of either ingest and of the serializer, cut
connections, all under load. Nothing is lost that the venue sent, and nothing is in the tables twice."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from oracle import query
from road_site import Site
from roles.serializer.redundancy_oracle import Rings, holes, stored

from wsadapter.embedded.servers import ClickHouseServer

pytestmark = pytest.mark.integration

FEED = """
[restart]
backoff_min = 0.1
intensity = 50
[[feed]]
exchange = "binance"
symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
streams = ["kline", "ticker", "depth", "trade", "mark_price", "book_ticker", "liquidation"]
redundancy = 2
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, extra=FEED + "depth_levels = 0\n")
    yield made
    made.close()


def connected(site: Site, name: str) -> bool:
    """Up, subscribed, and running again."""
    found = {one["connection"]: one for one in site.status().get("connections", [])}.get(name, {})
    return bool(found.get("up")) and site.get("/readyz")[0] == 200


def test_either_ingest_and_the_serializer_killed_lose_and_double_nothing(site: Site) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    site.start("--demo", "--rate", "600").ready()
    rings = Rings(site.rings())
    rings.wait_for(500)
    victims = ["binance-market-0", "binance-market-0-r2", "binance-public-0", "binance-public-0-r2"]
    rng.shuffle(victims)
    for name in victims:
        site.kill(name)
        rings.wait_for(rng.randint(50, 600))
        site.kill("serializer-0")
        eventually(lambda name=name: connected(site, name), 60, f"{name} killed, back again")  # type: ignore[misc]
        rings.wait_for(rng.randint(200, 600))
    assert site.stop() == 0, site.said()
    rings.stop()

    with ClickHouseServer(site.state) as engine:
        rows = stored(engine.url)
        lost = sorted(rings.seen - rows.keys())
        twice = sorted((identity, count) for identity, count in rows.items() if count > 1)
        assert not lost, f"{len(lost)} of {len(rings.seen)} lost, first {lost[:3]}"
        assert not twice, f"{len(twice)} twice, first {twice[:3]}"
        assert set(holes(engine.url).values()) == {0}, "the other connection was always there"
        chain = query(
            engine.url,
            "SELECT countIf(previous_update_id != before AND before != 0) FROM (SELECT previous_update_id, "
            "lagInFrame(last_update_id) OVER (PARTITION BY symbol ORDER BY last_update_id) AS before "
            "FROM market.depth WHERE source = 'WEBSOCKET')",
        )
        assert chain == [["0"]], "the chain of the books is whole"
        gaps = query(
            engine.url,
            "SELECT cause, stream, repair_state, count() FROM market.gap FINAL GROUP BY ALL ORDER BY ALL",
        )
        print(gaps)
        assert not [gap for gap in gaps if gap[0] == "sequence"]
        liquidations = query(engine.url, "SELECT count() - uniqExact(symbol, time, side, price, quantity, ordinal) "
                                         "FROM market.liquidation FINAL")  # fmt: skip
        assert liquidations == [["0"]], "two copies of the same natural key are one under FINAL"
    assert "lost 0" in site.said()
