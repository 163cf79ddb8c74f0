"""What the ring costs: ns per record to put and to poll, and records per second between two processes.

    python bench/bench_ring.py [--seconds 2.0]

Prints a table and one line of JSON. Put publishes every 16 records; both are the best of many short rounds, because
the machine is shared; ``loop_ns`` (an empty for loop) says how fast it was. The stream adds the doorbell, a commit per
poll and an order check; its time is bounded, not its count.
"""

import argparse
import json
import os
import platform
import select
import subprocess
import sys
import time

from wsadapter.shm import doorbell, ring
from wsadapter.shm.ring import RingReader, RingWriter
from wsadapter.shm.segment import Segment

SIZES = 110, 1024
BATCH = 16
ROUND = 512
CAPACITY = 1 << 22
KIND = 1


def loop_ns() -> float:
    best = float("inf")
    for _ in range(20):
        began = time.perf_counter_ns()
        for _ in range(20_000):
            pass
        best = min(best, (time.perf_counter_ns() - began) / 20_000)
    return best


def put_and_poll(name: str, size: int, seconds: float) -> tuple[float, float]:
    """Best ns per record of writing (and publishing) and of polling (and committing), in one process."""
    writer, reader = RingWriter.attach(name), RingReader.attach(name)
    try_write, publish, payload = writer.try_write, writer.publish, os.urandom(size)
    put = poll = float("inf")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        began = time.perf_counter_ns()
        for _ in range(ROUND // BATCH):
            for _ in range(BATCH):
                try_write(KIND, payload)
            publish()
        written = time.perf_counter_ns()
        count = len(reader.poll(ROUND + 1))
        reader.commit(reader.position)
        done = time.perf_counter_ns()
        assert count == ROUND
        put, poll = min(put, (written - began) / ROUND), min(poll, (done - written) / ROUND)
    writer.release()
    reader.release()
    return put, poll


def write_stream(name: str, bell: int, size: int, seconds: float) -> None:
    """The writing process: numbered records for a while, then an empty one."""
    writer = RingWriter.attach(name)
    filler = bytes(size - 8)
    number = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for _ in range(BATCH):
            while not writer.try_write(KIND, number.to_bytes(8, "little") + filler):
                os.sched_yield()  # a bench may; ingest drops and counts
            number += 1
        writer.publish()
        doorbell.ring(bell)
    while not writer.try_write(KIND, b""):
        os.sched_yield()
    writer.publish()
    doorbell.ring(bell)


def stream(name: str, size: int, seconds: float) -> tuple[float, int]:
    """Records per second from one process to another, and how often the reader was woken."""
    bell = doorbell.create()
    reader = RingReader.attach(name)
    waiter = select.poll()
    waiter.register(bell, select.POLLIN)
    command = [sys.executable, __file__, "--writer", name, str(bell), str(size), str(seconds)]
    child = subprocess.Popen(command, pass_fds=(bell,))
    number = wakes = 0
    began = 0.0
    last = b"-"
    while last and waiter.poll(30_000):
        began = began or time.monotonic()
        doorbell.clear(bell)
        wakes += 1
        while records := reader.poll(512):
            for _, _, last in records:
                if last:
                    assert number == int.from_bytes(last[:8], "little")
                    number += 1
            reader.commit(reader.position)
    rate = number / (time.monotonic() - began)
    child.wait()
    reader.release()
    os.close(bell)
    return rate, wakes


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=1.0, help="per measurement; there are two per record size")
    options.add_argument("--writer", nargs=4, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.writer:
        name, bell, size, seconds = chosen.writer
        write_stream(name, int(bell), int(size), float(seconds))
        return
    result: dict[str, float | int | str] = {
        "bench": "ring",
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "loop_ns": round(loop_ns(), 1),
    }
    print(f"an empty loop takes {result['loop_ns']} ns")
    print(f"{'bytes':>6} {'put ns':>8} {'poll ns':>8} {'records/s':>12} {'MB/s':>7} {'wake-ups':>9}")
    for size in SIZES:
        name = f"wsadapter-bench{os.getpid()}-{size}"
        ring.create(name, CAPACITY, 1)
        try:
            put, poll = put_and_poll(name, size, chosen.seconds)
            rate, wakes = stream(name, size, chosen.seconds)
        finally:
            Segment.unlink(name)
        print(f"{size:>6} {put:>8.0f} {poll:>8.0f} {rate:>12,.0f} {rate * size / 1e6:>7.0f} {wakes:>9}")
        result |= {f"put_{size}_ns": round(put), f"poll_{size}_ns": round(poll), f"stream_{size}_per_s": round(rate)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
