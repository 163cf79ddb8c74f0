"""What processes cost: CPU time and memory, read from outside while they run.

CPU is the kernel's own account of a process, all its threads, ended ones included (user + system): the number behind
/proc/pid/stat, read through the process's CPU clock, which counts nanoseconds instead of ticks of 10 ms.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

MB: Final = 1 << 20
_CLOCK: Final = 2
"""CPUCLOCK_SCHED: with a pid it names that process's clock, see clock_getcpuclockid(3)."""


def cpu_ns(pid: int) -> int:
    """CPU time of a running process; `OSError` when it is gone."""
    return time.clock_gettime_ns(~pid << 3 | _CLOCK)


class Memory(Struct, frozen=True):
    """MB. ``anon`` is the process's own, and what it has from the one it was forked from; ``shared`` are the ring
    pages it touched; ``rss`` is both and the files."""

    rss: float
    anon: float
    shared: float


def memory(pid: int) -> Memory:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    rss, anon, shared = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon", "RssShmem"))
    return Memory(round(rss, 1), round(anon, 1), round(shared, 1))


def anon_share(pid: int) -> float:
    """MB of a process's own, of what several forked processes have in common its share (Pss_Anon): these add up."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["Pss_Anon"].split()[0]) / 1024


class Stopwatch:
    """CPU of several processes (name -> pid) and the wall clock, from now on."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._cpu = {name: cpu_ns(pid) for name, pid in self._pids.items()}
        self._wall = time.monotonic_ns()

    def cpu(self) -> dict[str, float]:
        """Seconds by name."""
        return {name: (cpu_ns(pid) - self._cpu[name]) / 1e9 for name, pid in self._pids.items()}

    def wall(self) -> float:
        return (time.monotonic_ns() - self._wall) / 1e9


def by_role(figures: Mapping[str, float], roles: Mapping[str, str]) -> dict[str, float]:
    """Sums of per-process figures; ``roles``: process name -> role."""
    sums: dict[str, float] = {}
    for name, figure in figures.items():
        sums[roles[name]] = sums.get(roles[name], 0.0) + figure
    return sums


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
