"""All shared memory of this program on this machine: whose it is, who uses it, what is unread in it.

A segment is **live** when a process has it mapped, which the kernel says of each process (proc_pid_maps(5)), or when a
stats page of its instance has a fresh heartbeat: of another container, or of a unit with PrivateUsers=, that is all one
can see. One that nobody uses and that has unread records is **kept**: the next start of its instance delivers them.
Stats pages and watermarks are kept where a ring of their instance is, and what cannot be read is kept. Anything else
that nobody uses is an **orphan**: of a state directory that was deleted, of a run that was killed and never started
again. Where processes of its owner may not be looked at it is **unknown**.

What a segment is says its magic number: any word of its name may be one of a feed's or an instance's name.
"""

import contextlib
import os
import pwd
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from wsadapter.errors import SegmentError
from wsadapter.roles.supervisor.rings import ASIDE, DAMAGED, OTHER_LAYOUT, inspect
from wsadapter.shm import ring, stats_page, watermarks
from wsadapter.shm.ring import OtherLayout
from wsadapter.shm.segment import DIRECTORY, Segment, listing
from wsadapter.shm.stats_page import StatsPage

PREFIX: Final = "wsadapter-"
ALIVE_NS: Final = 120 * 10**9
"""A process beats at least once a second; a stopped machine or a frozen container is given time."""
_KINDS: Final = {ring.MAGIC: "ring", stats_page.MAGIC: "stats", watermarks.MAGIC: "marks"}
_BEFORE: Final = {"ring": "-", "stats": "-stats-", "marks": "-marks-"}
"""Kind -> what stands behind the instance in the name."""
_PROCESS: Final = re.compile(r"(.+)-stats-(?:supervisor|monitor|repairer|(?:serializer|consumer)-\d+)")
"""Pages whose names say where that of the instance ends: no connection is called so."""
_MAPPED: Final = re.compile(rf"{DIRECTORY}/({PREFIX}[^\s]+)$", re.MULTILINE)


class FoundSegment(Struct, frozen=True):
    """``kind``: ring, stats or marks. ``unread``: records of a ring, None where nobody can say, or where it cannot be
    read what it is. ``note``: why not."""

    name: str
    kind: str
    instance: str
    owner: str
    size: int
    state: str
    unread: int | None = 0
    pids: tuple[int, ...] = ()
    note: str = ""

    @property
    def holds_unread(self) -> bool:
        return self.unread is None or self.unread > 0


def survey() -> list[FoundSegment]:
    """Every segment, instance by instance."""
    kinds = {name: _kind(name) for name in listing(PREFIX)}
    stats = [name for name, kind in kinds.items() if kind == "stats"]
    sure = {match[1] for name in stats if (match := _PROCESS.fullmatch(name.removeprefix(PREFIX)))}
    instances = sure | {_instance(name, "stats", sure) for name in stats}
    beating = {_instance(name, "stats", instances) for name in stats if _beats(name)}
    seen = Users()
    found = [one for name in kinds if (one := _look_at(name, kinds[name], instances, beating, seen)) is not None]
    kept = {one.instance for one in found if one.state == "kept"}
    return [
        msgspec.structs.replace(one, state="kept") if one.state == "orphan" and one.instance in kept else one
        for one in sorted(found, key=lambda one: (one.instance, one.kind, one.name))
    ]


class Users:
    """``pids``: segment -> the processes that have it mapped under this name. ``hidden``: the users of our processes
    that may not be looked at."""

    def __init__(self) -> None:
        found: defaultdict[str, list[int]] = defaultdict(list)
        self.hidden: set[int] = set()
        for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
            try:
                maps = _read(pid, "maps")
            except PermissionError:
                with contextlib.suppress(OSError):
                    if "wsadapter" in _read(pid, "cmdline"):
                        self.hidden.add(os.stat(f"/proc/{pid}").st_uid)
            except OSError:
                continue
            else:
                for name in set(_MAPPED.findall(maps)):
                    found[name].append(pid)
        self.pids = {name: tuple(sorted(pids)) for name, pids in found.items()}


def _read(pid: int, name: str) -> str:
    with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
        return file.read()


@contextlib.contextmanager
def _as_owner(name: str) -> Iterator[None]:
    """A segment is attached by its owner alone; root may be each of them."""
    uid = os.geteuid()
    try:
        owner = os.stat(f"{DIRECTORY}/{name}", follow_symlinks=False).st_uid
    except FileNotFoundError:
        owner = uid
    if uid != 0 or owner == 0:
        yield
        return
    os.seteuid(owner)
    try:
        yield
    finally:
        os.seteuid(uid)


def _beats(name: str) -> bool:
    """Whether the page's process was alive a moment ago, and its supervisor has not seen its end: the clock is the
    machine's, whoever it is."""
    try:
        with _as_owner(name):
            page = StatsPage.attach(name)
    except (SegmentError, OSError):
        return False
    try:
        has_ended = "pid" in page and page["pid"] == 0
        return "heartbeat_ns" in page and not has_ended and abs(time.monotonic_ns() - page["heartbeat_ns"]) < ALIVE_NS
    finally:
        page.release()


def _kind(name: str) -> str:
    """Empty where it cannot be read, or is none of ours."""
    try:
        with _as_owner(name):
            segment = Segment.attach(name, writable=False)
    except (SegmentError, OSError):
        return ""
    magic = int.from_bytes(segment.map[4:8], "little")
    segment.close()
    return _KINDS.get(magic, "")


def _look_at(
    name: str, kind: str, instances: Iterable[str], beating: Collection[str], seen: Users
) -> FoundSegment | None:
    """None when it went meanwhile."""
    try:
        status = os.stat(f"{DIRECTORY}/{name}", follow_symlinks=False)
    except FileNotFoundError:
        return None
    unread, note = (0, "") if kind in ("stats", "marks") else _unread(name)
    kind = kind or next((word for word in ("stats", "marks") if _BEFORE[word] in name), "ring")
    instance = _instance(name, kind, instances)
    if name in seen.pids or instance in beating:
        state = "live"
    elif status.st_uid in seen.hidden or os.geteuid() not in (0, status.st_uid):
        state = "unknown"
    else:
        state = "kept" if unread != 0 else "orphan"
    return FoundSegment(
        name, kind, instance, _owner(status.st_uid), status.st_size, state, unread, seen.pids.get(name, ()), note,
    )  # fmt: skip


def _unread(name: str) -> tuple[int | None, str]:
    try:
        with _as_owner(name):
            existing = inspect(name)
    except OtherLayout as error:
        return None if error.unread_bytes else 0, f"layout version {error.version}, {error.unread_bytes:,} bytes unread"
    except SegmentError as error:
        return None, str(error)
    return (0 if existing is None else existing.unread), ""


def _instance(name: str, kind: str, instances: Iterable[str]) -> str:
    """A name does not say where that of its instance ends: pages of certain processes do, else it ends before the last
    word that tells the kind, that of a ring at the first hyphen."""
    rest, word = name.removeprefix(PREFIX), _BEFORE[kind]
    if known := [instance for instance in instances if rest.startswith(f"{instance}{word}")]:
        return max(known, key=len)
    return rest.partition(word)[0] if kind == "ring" else rest.rpartition(word)[0]


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def lost_with(segment: FoundSegment) -> str:
    """What a removal gives up, in words; empty when nothing."""
    if segment.unread is None:
        return f"what is unread in it ({segment.note})"
    if segment.kind == "stats":
        return "the counters of " + segment.name.removeprefix(f"{PREFIX}{segment.instance}{_BEFORE['stats']}")
    if segment.kind == "marks":
        return "" if segment.state == "orphan" else "what redundant connections published last: copies may come twice"
    aside = next((word for word in (ASIDE, DAMAGED, OTHER_LAYOUT) if word in segment.name), "")
    where = " of a ring that was set aside" if aside else ""
    return f"{segment.unread:,} unread records{where}" if segment.unread else ""


def remove(segment: FoundSegment) -> None:
    """Take its name away; `SegmentError` when a process uses it by now."""
    if pids := Users().pids.get(segment.name):
        raise SegmentError(f"segment {segment.name} is in use by {_listed(pids)}")
    Segment.unlink(segment.name)


def _listed(pids: Iterable[int]) -> str:
    return ", ".join(f"pid {pid}" for pid in pids)
