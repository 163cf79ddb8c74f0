"""Ingest is killed at any moment: the page of its successor counts exactly the records that are in the ring."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from roles.ingest.test_ring_publisher import Bench
from samples import full, trade

from wsadapter.events.streams import BY_KIND, SPECS
from wsadapter.shm.ring import RingReader

KILLS = 300


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(f"wsadapter-exact-{os.getpid()}")
    yield made
    made.close()


def counted(bench: Bench) -> dict[str, int]:
    counts = {spec.name: bench.page[f'events_total{{stream="{spec.name}"}}'] for spec in SPECS}
    return {name: count for name, count in counts.items() if count}


def test_what_was_not_published_is_not_counted(bench: Bench) -> None:
    bench.publisher.publish(trade(1))
    bench.publisher.on_read_end()
    bench.publisher.publish(trade(2))
    bench.publisher._counters.keep(bench.writer.tail)  # and killed before the tail
    bench.restart()

    assert counted(bench) == {"trade": 1}
    assert bench.page["decoded_total"] == 1
    assert bench.page["last_receive_ns"] == trade(1).receive_time_ns


def test_what_was_published_is_counted(bench: Bench) -> None:
    bench.publisher.publish(trade(1))
    bench.publisher._counters.keep(bench.writer.tail)
    bench.writer.publish()  # and killed before it is shown
    bench.restart()

    assert counted(bench) == {"trade": 1}


def test_a_read_without_a_record_counts_too(bench: Bench) -> None:
    for _ in range(3):
        bench.publisher.on_error("json", "")
        bench.publisher.on_read_end()
    bench.restart()

    assert bench.page['decode_errors_total{kind="json"}'] == 3


def test_another_ring_under_the_page_counts_on(bench: Bench) -> None:
    """A supervisor made a new ring and adopted the page."""
    for number in range(5):
        bench.publisher.publish(trade(number))
        bench.publisher.on_read_end()
    bench.replace_ring()
    bench.publisher.publish(trade(6))
    bench.publisher.on_read_end()
    bench.restart()

    assert counted(bench) == {"trade": 6}


def _write_for_ever(bench: Bench, seed: int, begun: int) -> None:
    """The child: reads of one to five events, gaps and errors among them."""
    rng, events = random.Random(seed), full()
    bench.restart()
    os.write(begun, b"1")
    while True:
        for _ in range(rng.randrange(1, 6)):
            bench.publisher.publish(rng.choice(events))
        if rng.random() < 0.1:
            bench.publisher.on_error("json", "")
        bench.publisher.on_read_end()


def test_killed_at_random_moments(bench: Bench) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    published: Counter[str] = Counter()
    reader = RingReader.attach(bench.names[0])

    def read() -> None:
        records = reader.poll(1_000_000)
        published.update(BY_KIND[kind].name for _, kind, _ in records)
        reader.commit(reader.position)

    begun, begins = os.pipe()
    for kill in range(KILLS):
        child = os.fork()
        if child == 0:
            try:
                _write_for_ever(bench, seed + kill, begins)
            finally:
                os._exit(1)
        if kill % 10:  # a machine that is busy has hardly made the child by then; some are killed before they begin
            os.read(begun, 1)
        until = time.monotonic() + rng.uniform(0.0005, 0.006)
        while time.monotonic() < until:
            read()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        read()
        bench.restart()
        assert counted(bench) == dict(published), f"after kill {kill}"
    reader.release()
    os.close(begun)
    os.close(begins)
    dropped = sum(bench.page[f'ring_dropped_total{{stream="{spec.name}"}}'] for spec in SPECS)
    assert bench.page["decoded_total"] == published.total() + dropped
    assert published.total() > KILLS
