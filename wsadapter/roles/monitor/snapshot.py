"""What the monitor reads: every stats page and every ring's cursors, at one moment, and nothing else.

No child is asked anything: a page outlives its writer, so a dead or hung child is seen as well as a busy one. What one
said of its connection and of services ends with it: `read` shows 0 there until the next process speaks. A page that
was unlinked, replaced or is not there yet is simply read, or missing, the next time (`wsadapter.roles.monitor.mapped`).
"""

import os
import time
from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from wsadapter import metrics
from wsadapter.config.model import Config
from wsadapter.listings.feeds import WaitingFeed
from wsadapter.metrics import Layout
from wsadapter.roles.monitor import rings
from wsadapter.roles.monitor.mapped import Mapped
from wsadapter.roles.monitor.rings import RingProgress, RingReading
from wsadapter.roles.orders import MonitorOrder, WatchedChild, WatchedStream
from wsadapter.supervision.child import ChildState
from wsadapter.times import SECOND

_TICKS = os.sysconf("SC_CLK_TCK")
LAG_KNOWN_NS: Final = 60 * SECOND
"""A lag measured longer ago is not known any more."""
_ENDS_WITH_PROCESS: Final = (
    "connection_up", "connected_since_ns", "stream_state", "broker_up", "broker_refusal", "clickhouse_up",
    "commit_failed_since_ns", "service_up",
)  # fmt: skip
"""Cells that say how something else is, as the process sees it."""


class ProcessUse(Struct, frozen=True):
    """What a process takes, and where it may run: as the kernel says, not as it was configured. ``shared_bytes``: of
    its resident memory the rings and pages, which each process that touched them counts."""

    rss_bytes: int
    cpu_seconds: float
    cpus: tuple[int, ...]
    nice: int
    locked_bytes: int
    shared_bytes: int = 0
    private_bytes: int = 0
    """Its own: neither shared memory nor the files of programs and libraries (RssAnon)."""


class Reading(Struct, frozen=True):
    """One page; ``cells`` is empty when it could not be read. ``exchange``: of a connection. ``streams``: what its
    cells that name a stream are about, by that name and the exchange."""

    role: str
    name: str
    cells: Mapping[str, int]
    use: ProcessUse | None = None
    exchange: str = ""
    streams: Mapping[tuple[str, str], WatchedStream] = {}
    layout: Layout = {}
    """The cells by name; follows from ``cells``."""

    def __post_init__(self) -> None:
        force_setattr(self, "layout", metrics.layout(tuple(self.cells)))

    def get(self, field: str, default: int = 0) -> int:
        return self.cells.get(field, default)

    def by(self, name: str, label: str = "") -> dict[str, int]:
        """Value of a label (the first one when it has no name) -> sum of the cells ``name{label="value"}``."""
        sums: dict[str, int] = {}
        for labels, cell in self.layout.get(name, ()):
            if labels:
                key = labels.get(label, "") if label else next(iter(labels.values()))
                sums[key] = sums.get(key, 0) + self.cells[cell]
        return sums

    def total(self, name: str) -> int:
        return self.get(name) + sum(self.by(name).values())


class Snapshot(Struct, frozen=True):
    config: Config
    wall_ns: int
    monotonic_ns: int
    supervisor_pid: int
    supervisor: Reading
    children: tuple[Reading, ...]
    rings: tuple[RingReading, ...]
    retired: tuple[Reading, ...] = ()
    """Sums of the processes of a role that a reload has taken away."""
    stalled: Mapping[str, int] = {}
    """Name of a ring that is written to and not read -> for how many ns (`wsadapter.roles.monitor.rings`)."""
    waiting: tuple[WaitingFeed, ...] = ()
    """Feeds whose rules have no listing."""

    @property
    def processes(self) -> tuple[Reading, ...]:
        return (self.supervisor, *self.children)

    def of(self, role: str) -> list[Reading]:
        return [child for child in self.children if child.role == role]

    def up(self, child: Reading) -> bool | None:
        """What the supervisor says about it; None when the supervisor's page does not tell."""
        value = self.supervisor.cells.get(f'child_up{{role="{child.role}",name="{child.name}"}}')
        return None if value is None else value == 1

    def is_down(self, child: Reading) -> bool:
        """What the supervisor says counts first: a dead child's page still shows its last state."""
        up = self.up(child)
        if not up and not (child.cells and alive(child.get("pid"))):
            return True
        # that of an earlier process whose pid was given to another
        return up is False and child.get("state") == ChildState.RUNNING

    def speaks(self, child: Reading) -> bool:
        """Whether a process is there that has got so far as to look at anything."""
        return not self.is_down(child) and child.get("state") != ChildState.STARTING

    def restarts(self, child: Reading) -> int:
        return self.supervisor.by("child_restarts_total", "name").get(child.name, 0)

    def lag_unknown(self, consumer: Reading) -> list[str]:
        """Streams whose lag was measured too long ago. One that was never measured has no partition there."""
        measured = consumer.by("lag_measured_ns").items()
        return [stream for stream, at_ns in measured if at_ns and self.monotonic_ns - at_ns > LAG_KNOWN_NS]


def read(
    config: Config, watched: MonitorOrder, progress: RingProgress | None = None, mapped: Mapped | None = None
) -> Snapshot:
    """``progress``: what is known of the rings from earlier samples. ``mapped``: what stays mapped for the next one."""
    if mapped is None:
        mapped = Mapped()
        try:
            return read(config, watched, progress, mapped)
        finally:
            mapped.release()
    supervisor = next((m for m in watched.children if m.role == "supervisor"), None)
    if supervisor is None:
        page = f"wsadapter-{config.service.instance}-stats-supervisor"
        supervisor = WatchedChild("supervisor", "supervisor", page)
    readings = rings.read(watched.rings, mapped)
    monotonic_ns = time.monotonic_ns()
    found = Snapshot(
        config=config,
        wall_ns=time.time_ns(),
        monotonic_ns=monotonic_ns,
        supervisor_pid=watched.supervisor_pid,
        supervisor=_read(supervisor, mapped),
        children=tuple(_read(member, mapped) for member in watched.children if member.role != "supervisor"),
        rings=readings,
        retired=tuple(gone for member in watched.retired if (gone := _read(member, mapped)).cells),
        stalled=progress.observe(readings, monotonic_ns) if progress else {},
        waiting=watched.waiting,
    )
    return replace(
        found, children=tuple(child if found.speaks(child) else _without_process(child) for child in found.children)
    )


def _without_process(child: Reading) -> Reading:
    ended = {cell: 0 for name in _ENDS_WITH_PROCESS for _, cell in child.layout.get(name, ())}
    return replace(child, cells={**child.cells, **ended})


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):
        return False


def process_use(pid: int) -> ProcessUse | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # the name in parentheses may hold anything: count fields from its end
            fields = file.read().rpartition(b")")[2].split()
        with open(f"/proc/{pid}/status", "rb") as file:
            words = dict(line.split(b":", 1) for line in file)
        resident, locked, shared, private = (
            int(words.get(name, b"0").split()[0]) * 1024 for name in (b"VmRSS", b"VmLck", b"RssShmem", b"RssAnon")
        )
        cpus, seconds = tuple(sorted(os.sched_getaffinity(pid))), (int(fields[11]) + int(fields[12])) / _TICKS
        return ProcessUse(resident, seconds, cpus, int(fields[16]), locked, shared, private)
    except (OSError, IndexError, ValueError):
        return None


def _read(member: WatchedChild, mapped: Mapped) -> Reading:
    streams = {(one.name, one.exchange): one for one in member.streams}
    page = mapped.page(member.page)
    if page is None:
        return Reading(member.role, member.name, {}, exchange=member.exchange)
    cells = page.read()
    pid = cells.get("pid", 0)
    use = process_use(pid) if pid else None
    return Reading(member.role, member.name, cells, use, member.exchange, streams)
