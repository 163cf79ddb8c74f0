"""Single operations in one process: ring, decoding, building; and the wake-up between two.

Best of many short rounds, in microseconds: the machine is shared, and noise only adds. `bench/bench_ring.py` and
`bench/bench_decode.py` show more of the first two by themselves.
"""

import contextlib
import functools
import io
import json
import operator
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from bench import bench_ring, frames
from bench.accounts import median, percentile
from bench.ingest import plan
from bench.processes import PREFIX, BenchFailed
from wsadapter import metrics as stats_fields
from wsadapter.events.records import encode, messages
from wsadapter.events.streams import BY_EVENT, BY_KIND
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.roles.ingest.publisher import publisher
from wsadapter.shm import doorbell, ring
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

RECORD_BYTES: Final = 110
FRAMES: Final = 4000
PUBLISH_CAPACITY: Final = 1 << 24
EPOCH: Final = 1_790_771_371_858_000_000


def best_us(
    call: Callable[[Any], object], items: Sequence[Any], rounds: int, before: Callable[[], object] = list
) -> float:
    """``before`` every round: frames come again, and their ids would begin anew in the middle of a connection."""
    best = float("inf")
    for _ in range(rounds):
        before()
        began = time.perf_counter_ns()
        for item in items:
            call(item)
        best = min(best, (time.perf_counter_ns() - began) / len(items))
    return best / 1000


def ring_costs(seconds: float) -> dict[str, float]:
    """us to put and to poll a record in one process, and records a second between two."""
    name = f"wsadapter-{PREFIX}-micro"
    ring.create(name, bench_ring.CAPACITY, 1)
    try:
        put, poll = bench_ring.put_and_poll(name, RECORD_BYTES, seconds)
        rate, wakes = bench_ring.stream(name, RECORD_BYTES, seconds)
    finally:
        Segment.unlink(name)
    return {"put_us": put / 1000, "poll_us": poll / 1000, "stream_per_s": rate, "wake_ups": wakes}


def bare_decoder(samples: Mapping[str, bytes]) -> Callable[[Any], object]:
    """Typed decoding of these kinds of frames and nothing else: no ranges, no checks, no event; levels as tuples."""

    def struct(name: str, fields: Mapping[str, Any], tag: str | None = None) -> Any:
        hints = []
        for key, value in fields.items():
            if isinstance(value, dict):
                hints.append((key, struct(key, value)))
            elif key != "e":
                hints.append((key, list[tuple[str, str]] if isinstance(value, list) else type(value)))
        return msgspec.defstruct(name, hints, tag=tag, tag_field="e" if tag else None, gc=False)

    kinds = [struct(kind, json.loads(payload)["data"], kind) for kind, payload in samples.items()]
    envelope: Any = msgspec.defstruct("Envelope", [("data", functools.reduce(operator.or_, kinds))], gc=False)
    decoder: msgspec.json.Decoder[object] = msgspec.json.Decoder(type=envelope)
    return decoder.decode


def codec_costs(rounds: int) -> dict[str, dict[str, float]]:
    """us by kind of frame: ``bare`` typed decoding, ``receive`` (checks and event included), ``encode`` into a ring
    record, ``publish`` it (encoded, appended and counted in one step), ``build`` key and value from it (all of a kind
    at once). ``all`` is the mix."""
    venue = BinanceFutures(plan("ws://x", "all"))
    made = frames.tape().make(FRAMES, "all", frames.CHANNELS, True)
    bare = bare_decoder(dict(made))
    by_kind: dict[str, list[memoryview]] = {"all": [memoryview(payload) for _, payload in made]}
    for kind, payload in made:
        by_kind.setdefault(kind, []).append(memoryview(payload))
    found = {}
    for kind, payloads in by_kind.items():
        venue.open()
        events: list[Any] = [venue.receive(payload, EPOCH)[0] for payload in payloads]
        records = [(4096, BY_EVENT[type(event)].kind, encode(event)) for event in events]
        lists: dict[int, list[Any]] = {kind: [] for kind in BY_KIND}
        found[kind] = {
            "bare": best_us(bare, payloads, rounds),
            "receive": best_us(lambda payload: venue.receive(payload, EPOCH), payloads, rounds, venue.open),
            "encode": best_us(encode, events, rounds),
            "publish": publish_us(events, rounds),
            "build": best_us(functools.partial(_build, lists), [records], rounds) / len(records),
        }
    return found


def publish_us(events: Sequence[Any], rounds: int) -> float:
    """Into a ring that has room for all of them."""
    name = f"wsadapter-{PREFIX}-publish"
    ring.create(name, PUBLISH_CAPACITY, 1)
    page = StatsPage.create(f"{name}-stats", stats_fields.ingest(()))
    writer, reader = ring.RingWriter.attach(name), ring.RingReader.attach(name)
    publish = publisher(writer, page, _no_room)

    def hand_on() -> None:
        writer.publish()
        reader.position = reader.tail
        reader.commit(reader.position)

    try:
        return best_us(publish, events, rounds, hand_on)
    finally:
        for each in (publish, writer, reader, page):
            each.release()
        Segment.unlink(name)
        Segment.unlink(f"{name}-stats")


def _no_room(event: Any) -> None:
    """The end of a lap: the event is left out, which costs a benchmark nothing."""


def _build(lists: dict[int, list[Any]], records: list[Any]) -> None:
    messages(records, EPOCH, lists)


def wake_up(count: int) -> dict[str, float]:
    """Two processes ring each other's doorbell in turn; one way, us."""
    here, there = doorbell.create(), doorbell.create()
    command = [sys.executable, "-m", "bench.micro", str(there), str(here)]
    child = subprocess.Popen(command, pass_fds=(here, there), cwd=frames.ROOT)
    try:
        took = sorted(_ping(here, there, count))
    finally:
        child.kill()
        child.wait()
        os.close(here)
        os.close(there)
    return {"p50_us": percentile(took, 0.5), "p99_us": percentile(took, 0.99)}


def _ping(here: int, there: int, count: int) -> list[float]:
    poll = select.poll()
    poll.register(here, select.POLLIN)
    took = []
    for number in range(count + 100):
        began = time.perf_counter_ns()
        doorbell.ring(there)
        if not poll.poll(10_000):
            raise BenchFailed("wake-up: no answer")
        doorbell.clear(here)
        if number >= 100:
            took.append((time.perf_counter_ns() - began) / 2000)
    return took


def answer(here: int, there: int) -> None:
    """The other process."""
    poll = select.poll()
    poll.register(here, select.POLLIN)
    while poll.poll(10_000):
        doorbell.clear(here)
        doorbell.ring(there)


def measure(quick: bool) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()):  # the scripts that are reused print
        return {
            "ring": ring_costs(0.3 if quick else 2.0),
            "codec_us": codec_costs(2 if quick else 15),
            "wake_up": wake_up(1_000 if quick else 20_000),
            "loop_us": median(bench_ring.loop_ns() for _ in range(3)) / 1000,
        }


if __name__ == "__main__":
    answer(int(sys.argv[1]), int(sys.argv[2]))
