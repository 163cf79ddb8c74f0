"""What a whole instance costs when nothing happens, how soon a killed child is back, and what each role holds.

The product with everything, consumer and ClickHouse included. Idle: connected and subscribed, no data; all its
processes count. Restart: kill -9 of a child while data flow, until its first new data (an ingest's first event in the
ring; a serializer's first acknowledgement), process start, imports and connecting included. Memory: the most that a
process of the role had of its own (RssAnon) over the whole run; rings are shared memory and shown apart.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any, Final

from bench.accounts import Stopwatch, median
from bench.processes import BenchFailed
from bench.product import Product
from bench.road import CONNECTIONS, Road
from bench.services import Services

ALL: Final = ("supervisor", "ingest", "serializer", "consumer", "monitor")
CALM_SECONDS: Final = 3.0
"""After the start, before idle is measured."""
RATE: Final = 1000


def idle(product: Product, seconds: float) -> dict[str, Any]:
    """Share of one core, in percent, of all processes and of each."""
    time.sleep(CALM_SECONDS)
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


def measure(directory: Path, services: Services, quick: bool) -> dict[str, Any]:
    road = Road(directory, services, 5, clickhouse=services.url, name="site")
    try:
        product = road.product
        found: dict[str, Any] = {"idle": idle(product, 2 if quick else 15)}
        if not quick:
            road.run(100_000)
        kills, seconds = (1, 8) if quick else (3, 40)
        road.venue.order(f"pace {RATE} {RATE * seconds}")
        road.venue.expect("begin", 60)
        time.sleep(1.0)
        market = next(name for name in product.pages if "market" in name)
        found["restart_s"] = {"ingest": [], "serializer": []}
        for _ in range(kills):
            for role, name in (("ingest", market), ("serializer", "serializer-0")):
                found["restart_s"][role].append(round(restart(product, name), 3))
                time.sleep(0.5 if quick else 2.0)
        found["restart_median_s"] = {role: median(took) for role, took in found["restart_s"].items()}
        time.sleep(0.5)
        found["rss_anon_mb"] = {role: held.anon for role, held in sorted(product.peak.items())}
        found["rss_mb"] = {role: held.rss for role, held in sorted(product.peak.items())}
        found["ring_mb"] = {"each": 64, "rings": CONNECTIONS, "touched": product.peak["serializer"].shared}
        return found
    finally:
        road.close()
