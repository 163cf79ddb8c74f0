"""What `bench/peer_client.py` runs: the product under the peers' contract (their README), in the form of their result.

``events`` are frames that arrived (in the ring, or acknowledged by the broker). CPU and wall time run from the first to
the last, or to the last acknowledgement, and are those of the product's processes, not of this one.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from bench import frames
from bench.accounts import Stopwatch, memory
from bench.ingest import INGEST, IngestAlone, Ring, expected_of
from bench.processes import PREFIX, BenchFailed, clean_segments
from bench.product import FeedOf, Product
from bench.services import Services

IDLE_SECONDS = 10.0
"""After so long without an event it is over, as in the peers' own meter."""


def alone(directory: Path, options: argparse.Namespace) -> dict[str, Any]:
    module = "bench.unchecked_ingest" if options.variant == "unchecked" else INGEST
    with closing(Ring()) as to, closing(IngestAlone(directory, options.url, to, options.mix, module=module)) as ingest:
        found = ingest.measure(expected_of(options.frames, options.mix), 300)
    return {"events": found["frames"], "wall_s": found["wall_s"], "cpu_s": found["cpu_s"], "rss_mb": found["rss_mb"]}


def road(directory: Path, options: argparse.Namespace) -> dict[str, Any]:
    services = Services(directory, options.kafka, "")
    kafka = services.topics(f"bench-{PREFIX}")  # the peers' run.py counts what topics of this name hold
    feed = FeedOf(streams=frames.STREAMS[options.mix])
    with Product(directory, kafka, options.url, feeds=(feed,), name="peer") as product:
        product.running(2 if options.mix == "all" else 1)
        return until_quiet(product, expected_of(options.frames, options.mix))


def until_quiet(product: Product, expected: int) -> dict[str, Any]:
    began = time.monotonic()
    watch = Stopwatch(product.pids())
    while not product.frames:
        if product.process.poll() is not None or time.monotonic() - began > 60:
            raise BenchFailed("nothing came")
        watch = Stopwatch(product.pids())
        time.sleep(0.004)
    seen, seen_at, cpu, wall = 0, time.monotonic(), 0.0, 0.0
    while seen < expected and time.monotonic() - seen_at < IDLE_SECONDS:
        time.sleep(0.004)
        if (now := product.delivered) != seen:
            seen, seen_at = now, time.monotonic()
            cpu, wall = sum(watch.cpu().values()), watch.wall()
    rss = sum(memory(pid).rss for pid in product.pids().values())
    return {"events": seen, "wall_s": round(wall, 4), "cpu_s": round(cpu, 4), "rss_mb": round(rss)}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--mix", choices=frames.MIXES, default="all")
    parser.add_argument("--kafka", default="")
    parser.add_argument("--variant", default="")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupt)
    with tempfile.TemporaryDirectory(prefix="wsadapter-bench-") as name:
        try:
            found = (road if options.kafka else alone)(Path(name), options)
        finally:
            clean_segments()
    total = expected_of(options.frames, options.mix)
    print(json.dumps({"name": "wsadapter", "frames": total, **found}), flush=True)
    return 0


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
