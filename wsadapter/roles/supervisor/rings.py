"""The rings of an instance, and which of them outlive it.

The supervisor's side of shared memory: it alone creates, adopts and unlinks. A ring that is on this state directory's
list (``rings.json``), or has the name of a wanted one, is adopted with what is unread in it. One that no longer fits
the configuration is set aside, drained by a serializer without a writer, and unlinked when it is empty. One that
cannot be read (damage, another version's layout) is renamed, counted and not used. A ring whose connection a reload
takes away is drained like that under its own name. What has no writer and is empty is unlinked when its serializer is
exchanged because it gets another ring. At the end any empty ring is unlinked, any other is kept for the next start.

Redundant connections are a group: the first has the group's name, the others that name and a number from 2 on. A group
has one serializer and a page of watermarks, which lives as long as a record of theirs is unread.

Owns the ring segments, the pages of watermarks and one doorbell per serializer.
"""

import contextlib
import errno
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from wsadapter.errors import SegmentError
from wsadapter.events.streams import BY_KIND
from wsadapter.files import StateDirectory
from wsadapter.log import get_logger
from wsadapter.roles.supervisor.connection_states import RingPosition
from wsadapter.shm import doorbell, ring, watermarks
from wsadapter.shm.ring import OtherLayout, RingReader
from wsadapter.shm.segment import DIRECTORY, Segment, listing
from wsadapter.supervision.child import RingRef

_REDUNDANT: Final = re.compile(r"(.+)-r([2-9])")
ASIDE: Final = ".aside-"
"""Separates a ring's name from its epoch once it was set aside."""
PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR})
"""What the system says that is not about the ring."""
DAMAGED: Final = ".damaged-"
"""Separates a ring's name from the time at which it was found damaged."""
OTHER_LAYOUT: Final = ".other-layout-"
"""The same of a ring of another version."""
ASIDE_MEMBER: Final = 32
"""Numbers of rings that were set aside, in their group."""


def prefix(instance: str) -> str:
    """Of a ring's name; the connection's follows."""
    return f"wsadapter-{instance}-"


class RedundantMember(NamedTuple):
    """A connection in its group; ``number``: 0 for the first."""

    group: str
    number: int


def name_of(group: str, number: int) -> str:
    return group if number == 0 else f"{group}-r{number + 1}"


def member(connection: str) -> RedundantMember:
    match = _REDUNDANT.fullmatch(connection)
    return RedundantMember(connection, 0) if match is None else RedundantMember(match[1], int(match[2]) - 1)


class ExistingRing(Struct, frozen=True):
    """A ring that was there already."""

    name: str
    capacity: int
    epoch: int
    unread: int


def inspect(name: str) -> ExistingRing | None:
    """The ring of this name; None when there is none, `SegmentError` when it cannot be read."""
    if not Segment.exists(name):
        return None
    reader = RingReader.attach(name, writable=False)
    try:
        return ExistingRing(name, reader.capacity, reader.epoch, reader.unread())
    finally:
        reader.release()


class Rings:
    """``refs``: connection -> its ring; of one that a reload has taken away until that is drained. ``aside``: other
    rings without a writer that are still to be drained."""

    def __init__(
        self, instance: str, capacity: int, next_epoch: Callable[[], int], serializers: int, state: StateDirectory
    ) -> None:
        self._prefix = prefix(instance)
        self._capacity, self._next_epoch = capacity, next_epoch
        self._list = state.file("rings.json", tuple[str, ...], ())
        self._names: frozenset[str] | None = None
        """What is on the list, whether or not the disk took it."""
        self._doorbells = [doorbell.create() for _ in range(serializers)]
        self.refs: dict[str, RingRef] = {}
        self.aside: list[RingRef] = []
        self.survived: set[str] = set()
        """Connections of whose rings one was there at the start, and none that could not be read."""
        self.adopted = 0
        """Records found unread at the start."""
        self.damaged = 0
        """Rings of earlier runs that could not be read."""
        self._mapped: dict[str, Segment] = {}
        """What keeps the content of rings and watermarks when somebody removes their names."""
        self._unnamed: dict[str, bytes] = {}
        """Content that waits for room under its name."""
        self._marks: dict[str, str] = {}
        """Group of redundant connections -> its page of watermarks."""
        self._written: frozenset[str] = frozenset()
        """Connections that the last `open` wanted."""
        self._dropped: frozenset[str] = frozenset()
        """Segments that no serializer has from the next one on."""

    def open(self, connections: Sequence[str], redundant: Mapping[str, int] = MappingProxyType({})) -> None:
        """Create or adopt a ring for each connection, set aside what no connection has. ``redundant``: group -> how
        many lines it may have."""
        self._open_marks(connections, redundant)
        wanted = {self._prefix + connection: connection for connection in connections}
        listed = self._listed()
        self._keep_list({*listed, *wanted})  # before one is created: a name that is not on it is never looked for
        known = {ref.name for ref in self._all()}
        spoiled: set[str] = set()
        for name in sorted({*listed, *wanted} - known):
            of, was_there = name.removeprefix(self._prefix).partition(ASIDE)[0], Segment.exists(name)
            existing = self._existing(name)
            if existing is None:
                spoiled |= {of} if was_there else set()
                continue
            self.survived.add(of)
            if existing.unread:
                self.adopted += existing.unread
                get_logger().info("ring adopted", ring=name, records=existing.unread)
            fits = name in wanted and existing.capacity == self._capacity
            if not fits and not existing.unread:
                Segment.unlink(name)
            elif not fits:
                self.aside.append(self._set_aside(existing))
        self.survived -= spoiled
        for name, connection in wanted.items():
            if connection not in self.refs:
                self.refs[connection] = self._create_or_adopt(connection, name)
        self.refs = {connection: self._marked(ref) for connection, ref in self.refs.items()}
        self.aside = [self._marked(ref) for ref in self.aside]
        self._drop_drained(frozenset(connections), known)
        for name in self._segments() - self._mapped.keys():
            self._mapped[name] = Segment.attach(name, writable=False)

    def _drop_drained(self, connections: frozenset[str], known: Set[str]) -> None:
        """What has no writer and is empty goes with the serializer that has it, if that gets a ring that was not
        ``known``. What the `open` before wanted is still written to."""
        renewed = {ref.doorbell_fd for ref in self._all() if ref.name not in known}
        idle = [ref for name, ref in self.refs.items() if name not in connections | self._written]
        empty = {
            ref.name
            for ref in (*idle, *self.aside)
            if ref.doorbell_fd in renewed and (existing := self._inspect(ref.name)) is not None and not existing.unread
        }
        self._written = connections
        if empty:
            self.refs = {name: ref for name, ref in self.refs.items() if ref.name not in empty}
            self.aside = [ref for ref in self.aside if ref.name not in empty]
            gone = self._marks.keys() - {self._member(ref).group for ref in self._all()}
            self._dropped |= empty | {self._marks.pop(group) for group in gone}

    def discard(self) -> None:
        """The serializers are exchanged: what `open` has dropped goes."""
        if not self._dropped:
            return
        gone, self._dropped = self._dropped - self._segments(), frozenset()
        for name in gone:
            self._unmap(name)
            self._unnamed.pop(name, None)
            Segment.unlink(name)
        self._keep_list(self._listed() - gone)

    def lost(self) -> list[str]:
        """Segments whose names were removed from outside."""
        return [*self._unnamed, *(name for name, segment in self._mapped.items() if not segment.is_named)]

    def restore(self, lost: Iterable[str] | None = None) -> None:
        """Make what was lost anew (None: all of it), with all that is in it; nobody may be using it."""
        for name in self.lost() if lost is None else set(lost).intersection(self.lost()):
            if name not in self._unnamed:
                segment = self._mapped.pop(name)
                self._unnamed[name] = bytes(segment.buf)
                segment.close()  # the room is needed
            Segment.unlink(name)  # whatever it is, it is not ours
            content = self._unnamed[name]
            try:
                self._mapped[name] = Segment.create(name, len(content), content)
                del self._unnamed[name]
            except SegmentError as error:
                get_logger().critical("ring cannot be made anew, trying again", ring=name, reason=str(error))

    def _segments(self) -> set[str]:
        return {ref.name for ref in self._all()} | set(self._marks.values())

    @contextlib.contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """For an `open` within: when anything in it fails, the rings are those of before. Empty new ones are unlinked;
        what has records stays on the list and is adopted by the next `open`."""
        before = self.refs, list(self.aside), dict(self._marks), self.adopted, self._written, self._dropped
        self.refs = dict(self.refs)
        try:
            yield
        except BaseException:
            created = [ref.name for connection, ref in self.refs.items() if connection not in before[0]]
            self.refs, self.aside, self._marks, self.adopted, self._written, self._dropped = before
            for name in self._mapped.keys() - self._segments():
                self._unmap(name)
            for name in created:
                if (existing := self._inspect(name)) is not None and not existing.unread:
                    Segment.unlink(name)
            raise

    def _unmap(self, name: str) -> None:
        if (segment := self._mapped.pop(name, None)) is not None:
            segment.close()

    def of_serializer(self, index: int) -> tuple[RingRef, ...]:
        return tuple(ref for ref in self._all() if ref.doorbell_fd == self._doorbells[index])

    def names(self) -> list[tuple[str, str]]:
        """(connection, segment) of every ring."""
        return [(ref.connection, ref.name) for ref in self._all()]

    @cached_property
    def generation(self) -> int:
        """Of this run; from run to run it grows. Spools are kept apart by it."""
        return self._next_epoch()

    def progress(self, connection: str) -> RingPosition | None:
        """How far the first of a connection's rings is that has something unread: those that were set aside come before
        the one that is written to. None when one cannot be read. What is in none of them was delivered."""
        position = RingPosition(0, 0, 0)
        aside = (ref for ref in self.aside if ref.connection.startswith(connection + ASIDE))
        for ref in (*aside, *filter(None, [self.refs.get(connection)])):
            try:
                reader = RingReader.attach(ref.name, writable=False)
            except SegmentError:
                return None
            tail = reader.tail  # first: head follows it
            position = RingPosition(reader.epoch, reader.head, tail)
            reader.release()
            if position.head < tail:
                break
        return position

    def unread(self) -> int:
        """Records not yet delivered, over all rings."""
        return sum(existing.unread for ref in self._all() if (existing := self._inspect(ref.name)))

    def close(self) -> int:
        """Unlink the empty rings; how many records the others keep for the next start."""
        kept = 0
        self.discard()
        self.restore()
        for name in tuple(self._mapped):
            self._unmap(name)
        for ref in self._all():
            existing = self._inspect(ref.name)
            if existing is None:
                continue
            if existing.unread:
                kept += existing.unread
                get_logger().warning("ring kept for the next start", ring=ref.name, records=existing.unread)
            else:
                Segment.unlink(ref.name)
        self._keep_list(ref.name for ref in self._all() if Segment.exists(ref.name))
        unread = {ref.marks for ref in self._all() if Segment.exists(ref.name)}
        for name in set(self._marks.values()) - unread:
            Segment.unlink(name)
        for fd in self._doorbells:
            os.close(fd)
        return kept

    def missing(self) -> bool:
        """Whether a ring was taken away from outside: what was in it is neither delivered nor kept."""
        return not all(Segment.exists(ref.name) for ref in self._all())

    def unread_by_stream(self) -> dict[str, int]:
        """Records not yet delivered, by stream."""
        counts: Counter[str] = Counter()
        for ref in self._all():
            if Segment.exists(ref.name):
                reader = RingReader.attach(ref.name, writable=False)
                counts.update(BY_KIND[kind].name for _, kind, _ in reader.poll(sys.maxsize))
                reader.release()
        return dict(counts)

    def _all(self) -> Iterable[RingRef]:
        return (*self.refs.values(), *self.aside)

    def _listed(self) -> frozenset[str]:
        """Rings of earlier runs over this state directory. A prefix would not do: "a-b" may be another instance's."""
        if self._names is None:
            self._names = frozenset(self._list.read())
        return self._names

    def _keep_list(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._list.write(tuple(sorted(self._names)))

    def _inspect(self, name: str) -> ExistingRing | None:
        """None also for one that cannot be read, which is logged."""
        try:
            return inspect(name)
        except SegmentError as error:
            get_logger().error("ring cannot be read, it stays as it is", ring=name, reason=str(error))
            return None

    def _existing(self, name: str) -> ExistingRing | None:
        """Of an earlier run. One that cannot be read (damage, another layout) must not keep the others from being
        recorded: its name becomes free, and the segment stays for whoever wants to look into it."""
        try:
            return inspect(name)
        except OtherLayout as error:
            self._keep_of_other_version(name, error)
            return None
        except SegmentError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in PASSING:
                raise  # it may be as it should
            self.damaged += 1
            aside = f"{name}{DAMAGED}{time.time_ns()}"
            get_logger().error(
                "ring cannot be read and is set aside: what was unread in it is lost",
                ring=name, kept_as=aside, reason=str(error),
            )  # fmt: skip
        for older in listing(f"{name}{DAMAGED}"):
            Segment.unlink(older)  # one is enough to look into
        Segment.rename(name, aside)
        return None

    def _keep_of_other_version(self, name: str, error: OtherLayout) -> None:
        """Out of the way of this version's ring, for the version that can read it. Empty: it goes."""
        if not error.unread_bytes:
            Segment.unlink(name)
            return
        self.damaged += 1
        aside = f"{name}{OTHER_LAYOUT}{time.time_ns()}"
        get_logger().error(
            "ring of another version is set aside, unread; what it holds is not lost yet",
            ring=name, kept_as=aside, reason=str(error),
            to_deliver_it=f"stop; mv {DIRECTORY}/{aside} {DIRECTORY}/{name}; run the version that wrote it until it "
            "has delivered, and stop it; start this version",
            to_give_it_up=f"wsadapter-supervisor segments remove --discard-unread {aside}",
        )  # fmt: skip
        Segment.rename(name, aside)

    def _create_or_adopt(self, connection: str, name: str) -> RingRef:
        existing = inspect(name)
        if existing is None:
            epoch = self._next_epoch()
            ring.create(name, self._capacity, epoch)
        else:
            epoch = existing.epoch
        readers = Counter(ref.doorbell_fd for ref in self.refs.values())
        return RingRef(connection, name, epoch, min(self._doorbells, key=lambda bell: readers[bell]))

    def _open_marks(self, connections: Sequence[str], redundant: Mapping[str, int]) -> None:
        """A page for each group; one that is there stays, whatever was published under it must not come again."""
        known = {member(name.removeprefix(self._prefix)).group for name in self._listed()}
        for group in known | {member(connection).group for connection in connections}:
            name = f"{self._prefix}marks-{group}"
            lines = redundant.get(group)
            if group in self._marks:
                continue  # a serializer writes to it
            if lines is None:
                Segment.unlink(name)  # of a run with redundancy
            else:
                watermarks.prepare(name, lines)
                self._marks[group] = name

    def _marked(self, ref: RingRef) -> RingRef:
        """With the page of its group, at the serializer of the group's first ring."""
        group, number = self._member(ref)
        if (marks := self._marks.get(group)) is None:
            return ref
        bells = [other.doorbell_fd for other in self._all() if self._member(other).group == group]
        return msgspec.structs.replace(ref, doorbell_fd=bells[0], marks=marks, member=number)

    def _member(self, ref: RingRef) -> RedundantMember:
        """A ring that was set aside is another one beside those of the group."""
        connection, aside, _ = ref.connection.partition(ASIDE)
        group, number = member(connection)
        return RedundantMember(group, ASIDE_MEMBER + number if aside else number)

    def _set_aside(self, existing: ExistingRing) -> RingRef:
        """Free the name for a new ring; the records stay where they are."""
        aside = existing.name if ASIDE in existing.name else f"{existing.name}{ASIDE}{existing.epoch}"
        if aside != existing.name:
            self._keep_list({*self._listed(), aside})
            Segment.rename(existing.name, aside)
        bell = self._doorbells[len(self.aside) % len(self._doorbells)]
        return RingRef(aside.removeprefix(self._prefix), aside, existing.epoch, bell)
