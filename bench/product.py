"""The product as its users start it: the command, a configuration file, a signal at the end.

It is watched from outside: stats pages for counts, the kernel for CPU and memory. ``clickhouse`` is left out where the
way to the broker is measured: the consumer then waits, as it does when ClickHouse is away, and takes no CPU from it.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from msgspec import Struct

from bench import frames
from bench.accounts import Memory, memory
from bench.processes import PREFIX, BenchFailed, Program, free_ports, wait_until
from wsadapter.config.model import KafkaConfig
from wsadapter.shm.segment import Segment, listing
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import ChildState

RUNNING: Final = int(ChildState.RUNNING)
ROAD: Final = ("supervisor", "ingest", "serializer", "monitor")
"""Roles whose CPU counts for the way to the broker."""
NOT_FRAMES: Final = ('"funding_rate"', '"gap"', '"coverage"', '"dead_letter"')
MEMORY_SECONDS: Final = 0.25


class FeedOf(Struct, frozen=True):
    """One `[[feed]]`."""

    name: str = "bench"
    streams: Sequence[str] = frames.STREAMS["all"]
    symbols: Sequence[str] = frames.SYMBOLS


class Product(Program):
    """``linger`` in ms. `frames` and `delivered` count what a venue's frame became, one each."""

    def __init__(
        self,
        directory: Path,
        kafka: KafkaConfig,
        url: str,
        *,
        linger: float = 5,
        feeds: Sequence[FeedOf] = (FeedOf(),),
        clickhouse: str = "",
        ring_bytes: int = 64 << 20,
        name: str = "road",
    ) -> None:
        self.instance = f"{PREFIX}-{name}"
        state = directory / f"state-{name}-{time.time_ns()}"
        state.mkdir()
        self._ports = free_ports(2)
        toml = state / "wsadapter.toml"
        toml.write_text(self._configuration(state, kafka, url, linger, feeds, clickhouse, ring_bytes))
        self.started = time.monotonic()
        command = Path(sys.executable).with_name("wsadapter-supervisor")
        super().__init__([command, "--config", toml], directory / f"{name}.log")
        self.pages: dict[str, StatsPage] = {}
        self.peak: dict[str, Memory] = {}
        """Role -> the most that one process of it had of its own."""
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch_memory, daemon=True)

    def _configuration(self, state: Path, kafka: KafkaConfig, url: str, linger: float, feeds: Sequence[FeedOf],
                       clickhouse: str, ring_bytes: int) -> str:  # fmt: skip
        sections = [
            f'[service]\ninstance = "{self.instance}"\nstate_dir = "{state}"\nlog_format = "console"\n'
            'log_level = "warning"',
            f"[ring]\ncapacity_bytes = {ring_bytes}",
            f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\ntopic_prefix = "{kafka.topic_prefix}"',
            f'[kafka.producer]\n"linger.ms" = {linger}',
            f'[clickhouse]\nurl = "{clickhouse or f"http://127.0.0.1:{self._ports}"}"\n'
            f'database = "{kafka.topic_prefix.strip(".").replace("-", "_")}"',
            f'[monitor]\nlisten = "127.0.0.1:{self._ports + 1}"',
        ]
        for feed in feeds:
            symbols, streams = json.dumps(list(feed.symbols)), json.dumps(list(feed.streams))
            sections.append(
                f'[[feed]]\nname = "{feed.name}"\nexchange = "binance"\nws_url = "{url}"\nsymbols = {symbols}\n'
                f"streams = {streams}"
            )
        return "\n".join(sections) + "\n"

    def running(self, connections: int, seconds: float = 60.0, with_consumer: bool = False) -> Self:
        """Every process of the road runs, every subscription has its answer, and starting up is over."""
        wanted = {"ingest": connections, "serializer": 1, "monitor": 1} | ({"consumer": 1} if with_consumer else {})

        def look() -> bool:
            if self.process.poll() is not None:
                raise BenchFailed(f"the product ended with {self.process.returncode}{self._said()}")
            self._attach()
            up = [self.role(n) for n, page in self.pages.items() if "state" in page and page["state"] == RUNNING]
            return all(up.count(role) >= count for role, count in wanted.items()) and self.subscribed()

        wait_until(look, seconds, "the product runs", 0.05)
        self._watcher.start()
        return self

    def _attach(self) -> None:
        prefix = f"wsadapter-{self.instance}-stats-"
        for segment in listing(prefix):
            if (name := segment.removeprefix(prefix)) not in self.pages:
                self.pages[name] = StatsPage.attach(segment)

    def subscribed(self) -> bool:
        """Every connection is up, and every subscription of it has its answer."""
        pages = [page.read() for page in self._of("ingest")]
        states = [v for page in pages for field, v in page.items() if field.startswith("stream_state")]
        return bool(states) and all(page["connection_up"] for page in pages) and all(state >= 1 for state in states)

    @staticmethod
    def role(name: str) -> str:
        known = ("supervisor", "serializer", "consumer", "monitor", "repairer")
        return next((role for role in known if name.startswith(role)), "ingest")

    def pids(self, roles: Sequence[str] = ROAD) -> dict[str, int]:
        found = {name: page["pid"] for name, page in self.pages.items() if self.role(name) in roles}
        return {**found, **({"supervisor": self.pid} if "supervisor" in roles else {})}

    def roles(self) -> dict[str, str]:
        return {name: self.role(name) for name in (*self.pages, "supervisor")}

    @property
    def frames(self) -> int:
        """Received and in a ring."""
        return self._count("ingest", "events_total")

    @property
    def delivered(self) -> int:
        """Acknowledged by the broker."""
        return self._count("serializer", "delivered_total")

    @property
    def consumed(self) -> int:
        return sum(v for page in self._of("consumer") for f, v in page.read().items() if f.startswith("consumed_total"))

    def dropped(self) -> int:
        return sum(self._sum(page, "ring_dropped_total") for page in self._of("ingest"))

    def _of(self, role: str) -> list[StatsPage]:
        return [page for name, page in self.pages.items() if self.role(name) == role]

    def _count(self, role: str, cells: str) -> int:
        return sum(self._sum(page, cells) for page in self._of(role))

    @staticmethod
    def _sum(page: StatsPage, cells: str) -> int:
        counted = (v for f, v in page.read().items() if f.startswith(cells) and not any(w in f for w in NOT_FRAMES))
        return sum(counted)

    def _watch_memory(self) -> None:
        while not self._over.wait(MEMORY_SECONDS):
            for name, pid in self.pids(("supervisor", "ingest", "serializer", "consumer", "monitor")).items():
                try:
                    held = memory(pid)
                except (OSError, KeyError):
                    continue  # between two lives
                role = self.role(name)
                if role not in self.peak or held.anon > self.peak[role].anon:
                    self.peak[role] = held

    def close(self, number: signal.Signals = signal.SIGTERM) -> int:
        self._over.set()
        if self._watcher.is_alive():
            self._watcher.join()
        try:
            self.process.send_signal(number)
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.send_signal(number)  # the second one: now
        code = super().close()
        for page in self.pages.values():
            page.release()
        for segment in listing(f"wsadapter-{self.instance}-"):
            Segment.unlink(segment)
        return code
