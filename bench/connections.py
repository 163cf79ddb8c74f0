"""1, 2, 4, 8, 16 connections, an ingest process each, share one rate of frames: what another connection costs.

All connections are of one class (book tickers and depth, three to one), so that one connection can carry all; the 20
symbols are dealt out to them. Rings are small here: 16 big ones are a gigabyte. The product runs as ever: supervisor,
ingests, one serializer, monitor.
"""

from contextlib import closing
from pathlib import Path
from typing import Any, Final

from bench import frames
from bench.accounts import anon_share
from bench.product import ROAD, FeedOf
from bench.road import Road
from bench.services import Services

COUNTS: Final = (1, 2, 4, 8, 16)
RATE: Final = 4000
STREAMS: Final = ("book_ticker", "depth")
SHARE: Final = frames.MIXES["all"]["bookTicker"] + frames.MIXES["all"]["depthUpdate"]
"""Of the tape's frames that these connections subscribe to."""
RING: Final = 8 << 20


def deal(count: int) -> list[FeedOf]:
    return [FeedOf(f"part{n}", STREAMS, frames.SYMBOLS[n::count]) for n in range(count)]


def measure(directory: Path, services: Services, count: int, seconds: float) -> dict[str, Any]:
    """One point of the curve; us per frame, of all processes and by role, and MB of their own."""
    road = Road(directory, services, 5, feeds=deal(count), connections=count, ring_bytes=RING, name=f"conn{count}")
    with closing(road):
        found = road.run(round(RATE * seconds / SHARE), RATE)
        anon = {role: held.anon for role, held in road.product.peak.items()}
        # not the sum of `anon`: what all children have from the fork server would count once a child
        total = sum(map(anon_share, road.product.pids(ROAD).values()))
        return {"connections": count, **found, "rss_anon_mb": anon, "total_anon_mb": round(total, 1)}
