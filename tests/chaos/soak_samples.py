"""What the processes of a running site hold, read from outside once in a while: memory, descriptors, threads, segments.

A life is one process from its start to its end: a child that is started again begins another one.
"""

import csv
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil
from eventually import eventually
from msgspec import Struct, structs
from road_site import Site

from wsadapter.shm.segment import listing

KIB: Final = 1024


class Sample(Struct, frozen=True):
    """One process at one time. ``private_kib``: pages that no other process has, without the rings; ``anon_kib``: its
    own, whoever shares them since a fork. ``judged``: a role of the product, not a stand-in."""

    second: float
    role: str
    pid: int
    private_kib: int
    anon_kib: int
    descriptors: int
    threads: int
    judged: bool = True


class Surroundings(Struct, frozen=True):
    """The instance as a whole at one time. ``frames``: received until then."""

    second: float
    segments: int
    spool_bytes: int
    frames: int
    load: float


class Sampler:
    """``stand_ins``: name -> pid of what is no role of the product, with all that it started."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._began = time.monotonic()
        self.samples: list[Sample] = []
        self.around: list[Surroundings] = []

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def wait_for(self, second: float) -> None:
        eventually(lambda: self.seconds >= second, max(1.0, second - self.seconds), f"second {second:.0f}")

    def take(self, stand_ins: Mapping[str, int]) -> None:
        second = self.seconds
        supervisor = self._site.process.pid
        roles = {int(child["pid"] or 0): name for name, child in self._site.children().items()} | {
            supervisor: "supervisor"
        }
        others = {pid: "fork server" for pid in descendants(supervisor) if pid not in roles}
        for pid, name in {**roles, **others}.items():
            self.samples += read(second, name, pid)
        for stand_in, pid in stand_ins.items():
            for name, each in ((stand_in, pid), *((f"{stand_in} child", child) for child in descendants(pid))):
                self.samples += (structs.replace(one, judged=False) for one in read(second, name, each))
        segments = len(listing(f"wsadapter-{self._site.instance}-"))
        spool = int(self._site.counter("spool_bytes"))
        frames = int(self._site.counter("frames_total"))
        self.around.append(Surroundings(second, segments, spool, frames, os.getloadavg()[0]))


def write_csv(path: Path, samples: Sequence[Sample], around: Sequence[Surroundings]) -> None:
    """A line each process and time, and one with the role ``-`` for the instance as a whole."""
    whole = [{**structs.asdict(one), "role": "-"} for one in around]
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, dict.fromkeys([*Sample.__struct_fields__, *Surroundings.__struct_fields__]))
        rows.writeheader()
        rows.writerows(structs.asdict(one) for one in samples)
        rows.writerows(whole)


def descendants(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def read(second: float, role: str, pid: int) -> Iterable[Sample]:
    """None of a process that has just ended, or is just starting."""
    process = Path(f"/proc/{pid}")
    try:
        memory = fields((process / "smaps_rollup").read_text())
        status = fields((process / "status").read_text())
        private = memory["Private_Clean"] + memory["Private_Dirty"]
        descriptors = len(os.listdir(process / "fd"))
        yield Sample(second, role, pid, private, memory["Anonymous"], descriptors, status["Threads"])
    except (OSError, KeyError):
        return


def fields(text: str) -> dict[str, int]:
    """The numbers of a file of /proc by name, without their unit."""
    pairs = (line.partition(":")[::2] for line in text.splitlines() if ":" in line)
    return {name: int(words[0]) for name, value in pairs if (words := value.split()) and words[0].isdigit()}
