"""A feed waits for nothing but its listing: the repairer keeps one while there is no Kafka at all."""

import os
from pathlib import Path

from eventually import eventually
from role_process import RoleProcess

from wsadapter import metrics
from wsadapter.config import load as configuration
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.ports import free_port
from wsadapter.embedded.servers import VenueThread
from wsadapter.listings import kept
from wsadapter.listings.feeds import resolved
from wsadapter.roles.orders import RepairerOrder
from wsadapter.shm import doorbell, ring
from wsadapter.shm.segment import Segment
from wsadapter.supervision.child import RingRef


def test_a_listing_is_kept_without_kafka(tmp_path: Path) -> None:
    with VenueThread(lambda: LoopbackVenue(Options(symbols=("BTCUSDT", "ETHUSDT")))) as venue:
        host = venue.venue.rest_url
        path = tmp_path / "wsadapter.toml"
        path.write_text(
            f'[service]\ninstance = "nk{os.getpid()}"\nstate_dir = "{tmp_path}"\n'
            f'[[feed]]\nexchange = "binance"\nsymbols = ["top:1"]\nlisting_refresh = "1s"\n'
            f'ws_url = "{venue.venue.url}"\nrest_url = "{host}"\n'
            f'[kafka]\nbootstrap_servers = "127.0.0.1:{free_port()}"\n'
            f'[clickhouse]\nurl = "http://127.0.0.1:{free_port()}"\n'
        )
        config = configuration.load(str(path), {}, dotenv=None)
        waiting = resolved(config)
        assert [each.feed for each in waiting.waiting] == ["binance"]
        name, bell = f"wsadapter-nk{os.getpid()}-repair", doorbell.create()
        ring.create(name, 1 << 16, 1)
        role = RoleProcess(
            "wsadapter.roles.repairer", "repairer", config, metrics.repairer([metrics.host_label(host)]),
            ring=RingRef("repair", name, 1, bell), order=RepairerOrder(listings=waiting.sources),
        )  # fmt: skip
        role.page["broker_up"] = 1  # an earlier process said so
        try:
            role.start(until=None)
            eventually(lambda: kept.read(str(tmp_path), "binance", host), 60, "a listing")
            assert [len(feed.symbols) for feed in resolved(config).config.feed] == [1]
            assert role.page["listings_total"] >= 1
            assert role.page["broker_up"] == 0
        finally:
            role.close()
            os.close(bell)
            Segment.unlink(name)
