"""Ingest alone: socket -> published in the ring, beside the bare loop that decodes the same frames.

One ingest process with one connection takes the whole mix; its core is its own, the venue has the other. The reader of
the ring is this process: like a serializer it sleeps on the doorbell, lets records gather for 5 ms (`linger.ms`) and
moves head, nothing else. CPU is the ingest
process's from the last look at which nothing had come to the last frame, over all of them.
"""

import os
import select
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from bench import frames
from bench.accounts import Stopwatch, memory
from bench.processes import PREFIX, BenchFailed, Role, Venue, cores
from wsadapter import metrics as stats_fields
from wsadapter.config.model import Config, Feed, ProcessConfig, ServiceConfig, SocketConfig
from wsadapter.events import StreamType
from wsadapter.exchanges.venue import ConnectionPlan, Subscription
from wsadapter.roles.orders import IngestOrder
from wsadapter.shm import doorbell, ring
from wsadapter.shm.ring import RingReader
from wsadapter.shm.segment import Segment
from wsadapter.supervision.child import RingRef

CAPACITY: Final = 64 << 20
INGEST: Final = "wsadapter.roles.ingest"
LINGER: Final = 0.005
CONNECTION: Final = "bench-all-0"
NOT_FRAMES: Final = tuple(f'events_total{{stream="{word}"}}' for word in ("funding_rate", "gap", "coverage"))
"""Events that come with another one's frame, or with none."""


def plan(url: str, mix: str) -> ConnectionPlan:
    """Everything on one connection, as the yardsticks have it."""
    words = dict(zip(frames.MIXES[mix], frames.STREAMS[mix], strict=True))
    subscriptions = tuple(
        Subscription(f"{symbol.lower()}@{frames.CHANNELS[kind]}", StreamType(words[kind]), symbol,
                     "1m" if kind == "kline" else "")
        for kind in frames.MIXES[mix]
        for symbol in frames.SYMBOLS
    )  # fmt: skip
    return ConnectionPlan(CONNECTION, "binance", f"{url}/stream", subscriptions, frames.SYMBOLS)


class Ring:
    """A ring and its doorbell, owned by this process as a supervisor would."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        name, bell, epoch = f"wsadapter-{PREFIX}-{CONNECTION}", doorbell.create(), time.time_ns()
        ring.create(name, capacity, epoch)
        self.ref = RingRef(CONNECTION, name, epoch, bell)

    def close(self) -> None:
        os.close(self.ref.doorbell_fd)
        Segment.unlink(self.ref.name)


class IngestAlone:
    """``module``: `wsadapter.roles.ingest`, or a variant of it."""

    def __init__(
        self, directory: Path, url: str, to: Ring, mix: str = "all", *, module: str = INGEST, cpu: int | None = None
    ) -> None:
        instance = f"{PREFIX}-ingest"
        self._bell = to.ref.doorbell_fd
        self._reader = RingReader.attach(to.ref.name)
        made = plan(url, mix)
        feed = Feed("bench", "binance", frames.SYMBOLS, frames.STREAMS[mix], ws_url=url)
        process = {"ingest": ProcessConfig(cpu=() if cpu is None else (cpu,))}
        service = ServiceConfig(instance, str(directory), "console", "warning")
        self._role = Role(
            module,
            Config(service, (feed,), process=process),
            stats_fields.ingest(s.name for s in made.subscriptions),
            directory,
            ring=to.ref,
            order=IngestOrder(SocketConfig(), made),
        )
        self._poll = select.poll()
        self._poll.register(self._bell, select.POLLIN)
        self._cells = [
            index
            for index, name in enumerate(self._role.page.fields)
            if name.startswith("events_total") and name not in NOT_FRAMES
        ]
        self._wakes = 0
        self.reads = True
        """Whether this process is the reader of the ring."""

    @property
    def frames(self) -> int:
        cells = self._role.page.cells
        return sum(cells[index] for index in self._cells)

    @property
    def events(self) -> int:
        return self._role.total("events_total")

    def subscribed(self) -> None:
        self._role.wait_running()
        acked = [self._role.page.index(f) for f in self._role.page.fields if f.startswith("stream_state")]
        cells = self._role.page.cells

        def look() -> bool:
            self._serve(0.01)
            return all(cells[index] >= 1 for index in acked)

        self._role.wait_for(look, 30, "subscribed")

    def measure(self, expected: int, seconds: float) -> dict[str, Any]:
        """The next ``expected`` frames."""
        before = self.frames
        deadline = time.monotonic() + seconds
        while True:
            watch, self._wakes = Stopwatch({"ingest": self._role.pid}), 0
            self._serve(0.02)
            if self.frames != before:
                break
            if time.monotonic() > deadline:
                raise BenchFailed("ingest: no frame came")
        while self.frames < before + expected:
            self._serve(0.02)
            if time.monotonic() > deadline:
                raise BenchFailed(f"ingest: {self.frames - before} of {expected} frames in {seconds:.0f} s")
        wall, cpu, count = watch.wall(), watch.cpu()["ingest"], self.frames - before
        page = self._role.page
        lost = sum(value for field, value in page.read().items() if field.startswith(("ring_dropped", "decode_errors")))
        if lost:
            raise BenchFailed(f"ingest: {lost} events dropped or not decoded")
        held = memory(self._role.pid)
        return {
            "frames": count, "cpu_s": cpu, "wall_s": wall, "cpu_us": cpu / count * 1e6, "per_s": count / wall,
            "frames_per_wake": count / max(1, self._wakes), "rss_mb": held.rss, "rss_anon_mb": held.anon,
        }  # fmt: skip

    def _serve(self, seconds: float) -> None:
        """The reader's turn: everything published is done with."""
        if not self.reads:
            time.sleep(seconds)
            return
        if self._poll.poll(seconds * 1000):
            time.sleep(LINGER)
            doorbell.clear(self._bell)
            self._wakes += 1
        self._reader.position = tail = self._reader.tail
        self._reader.commit(tail)

    def close(self) -> None:
        self._role.close()
        self._reader.release()


def run_alone(directory: Path, count: int, rate: float, *, mix: str = "all", module: str = INGEST) -> dict[str, Any]:
    """One run of a fresh ingest: ``count`` frames as fast as it reads, or at ``rate``."""
    venue_core, client_core = cores()
    with (
        closing(Ring()) as to,
        Venue(directory, mix=mix, manual=True, cpu=venue_core) as venue,
        closing(IngestAlone(directory, venue.url, to, mix, module=module, cpu=client_core)) as alone,
    ):
        alone.subscribed()
        venue.order(f"pace {rate} {count}" if rate else f"blast {count}")
        return alone.measure(expected_of(count, mix), 60 + (count / rate if rate else 0))


def fill(directory: Path, to: Ring, count: int) -> int:
    """``count`` frames into a ring that nobody reads; how many events they made."""
    with Venue(directory, manual=True) as venue, closing(IngestAlone(directory, venue.url, to)) as alone:
        alone.subscribed()
        alone.reads, before = False, alone.events  # gaps came before, and were read
        venue.order(f"blast {count}")
        alone.measure(expected_of(count, "all"), 60)
        return alone.events - before


def expected_of(count: int, mix: str) -> int:
    """Frames that a tape makes of ``count``: shares are rounded."""
    return sum(round(count * share) for share in frames.MIXES[mix].values())
