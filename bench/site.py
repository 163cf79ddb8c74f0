"""What a whole instance costs when nothing happens, how soon a killed child is back, and what each role holds.

The product with everything, consumer and ClickHouse included. Idle: connected and subscribed, no data (and not for so
long that the silence is noticed); all its processes count. Restart: kill -9 of a child while data flow, until its first
new data (an ingest's first event in the ring; a serializer's first acknowledgement), process start, imports and
connecting included. Memory: the most that a process of the role had of its own (RssAnon) over the whole run; rings are
shared memory and shown apart.
"""

import os
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from bench.accounts import Stopwatch, median
from bench.processes import BenchFailed
from bench.product import Product
from bench.road import CONNECTIONS, Road
from bench.services import Services

ALL: Final = ("supervisor", "ingest", "serializer", "consumer", "repairer", "monitor")
RATE: Final = 1000
RING_MB: Final = 64


def idle(product: Product, seconds: float) -> dict[str, Any]:
    """Share of one core, in percent, of all processes and of each, after a moment for the start to be over."""
    time.sleep(min(3.0, seconds / 2))
    watch = Stopwatch(product.pids(ALL))
    time.sleep(seconds)
    wall = watch.wall()
    each = {name: round(spent / wall * 100, 3) for name, spent in watch.cpu().items()}
    return {"percent": sum(each.values()), "each": each}


def restart(product: Product, name: str) -> float:
    """Seconds from kill -9 to the first new data. Data must be flowing."""
    page = product.pages[name]
    cells = "delivered_total" if product.role(name) == "serializer" else "events_total"
    pid = page["pid"]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    before = product._sum(page, cells)
    while page["pid"] == pid or product._sum(page, cells) == before:
        if time.monotonic() - began > 20:
            raise BenchFailed(f"{name} did not come back")
        time.sleep(0.002)
    return time.monotonic() - began


def memory_of(product: Product) -> dict[str, Any]:
    peak = sorted(product.peak.items())
    return {
        "rss_anon_mb": {role: held.anon for role, held in peak},
        "rss_mb": {role: held.rss for role, held in peak},
        "ring_mb": {"each": RING_MB, "rings": CONNECTIONS, "touched": product.peak["serializer"].shared},
    }


def restarts(road: Road, kills: int, pause: float) -> dict[str, Any]:
    """``kills`` of an ingest and of the serializer in turn, at 1,000 frames a second."""
    product = road.product
    market = next(name for name in product.pages if "market" in name)
    took: dict[str, list[float]] = {"ingest": [], "serializer": []}
    road.venue.order(f"pace {RATE} {round(RATE * (2 + kills * 2 * (3 + pause)))}")
    road.venue.expect("begin", 60)
    time.sleep(0.5)
    for _ in range(kills):
        for role, name in (("ingest", market), ("serializer", "serializer-0")):
            took[role].append(round(restart(product, name), 3))
            time.sleep(pause)
    return {"restart_s": took, "restart_median_s": {role: median(each) for role, each in took.items()}}


def measure(directory: Path, services: Services) -> dict[str, Any]:
    """All of it, with an instance of its own; memory after a blast through everything."""
    with closing(Road(directory, services, 5, clickhouse=services.url, name="site")) as road:
        found = {"idle": idle(road.product, 6)}
        road.keep_alive()
        road.run(100_000)
        found |= restarts(road, 3, 2.0)
        return found | memory_of(road.product)
