"""A small model of a ring under a weak memory: every order of the loads and stores that it allows is tried.

The memory is one (ARMv8 and x86-64 are multi-copy atomic: a store is seen by all others at once), the processor is not
in order: a process does its accesses in any order that keeps

* accesses of one word in the order of the program,
* all that follows a load with acquire behind it,
* all that precedes a store with release before it.

Nothing else holds anything back, not even a branch: a process guesses that there is room, or a record, and does what
follows; where the load then says otherwise the guess was wrong and that run never was (`Assume`). That is weaker than
either processor, so that what holds here holds there, and for the compiler, too.

The ring is that of `wsadapter.shm.ring`, in words: a header, a payload of some words, padding at the end of a lap. A
killed process has done a prefix of its program and nothing behind it; its successor begins in that memory.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final

from msgspec import Struct

TAIL: Final = "tail"
HEAD: Final = "head"
PADDING: Final = -1
Word = str | int
"""A cursor, or the place of a word of the ring."""


class Barrier(Enum):
    TAIL_STORE = "tail stored with release"
    TAIL_LOAD = "tail loaded with acquire"
    HEAD_STORE = "head stored with release"
    HEAD_LOAD = "head loaded with acquire"


class Access(Struct, frozen=True):
    """``value``: what is stored, None for a load. ``least``: what a load of a cursor must find, or the program does not
    go on. ``expected``: what a load of the ring must find, or a reader has seen what was not published."""

    word: Word
    value: int | None = None
    least: int | None = None
    expected: int | None = None
    ordered: bool = False
    """An acquire, or a release."""


Program = tuple[Access, ...]
Memory = tuple[tuple[Word, int], ...]


class Violation(AssertionError):
    """A reader has copied what was not published there."""


class Ring(Struct, frozen=True):
    """``capacity`` in words, ``records``: payload words of each. ``barriers``: those that are kept."""

    capacity: int
    records: tuple[int, ...]
    barriers: frozenset[Barrier] = frozenset(Barrier)

    def places(self) -> list[tuple[int, int]]:
        """Begin and end of each record, padding before it left out."""
        made, at = [], 0
        for size in self.records:
            rest = self.capacity - at % self.capacity
            at += rest if size + 1 > rest else 0
            made.append((at, at + size + 1))
            at += size + 1
        return made

    def writer(self, tail: int, batch: int, generation: int = 0) -> Program:
        """From ``tail`` on, ``batch`` records a publication: room for all of them, records, tail."""
        program: list[Access] = []
        left = [(number, place) for number, place in enumerate(self.places()) if place[1] > tail]
        for first in range(0, len(left), batch):
            together = left[first : first + batch]
            if (room := together[-1][1][1] - self.capacity) > 0:
                program.append(Access(HEAD, least=room, ordered=Barrier.HEAD_LOAD in self.barriers))
            for number, (begin, end) in together:
                if tail < begin:
                    program.append(Access(tail % self.capacity, value=PADDING))
                program += (
                    Access(at % self.capacity, value=content(number, at, generation)) for at in range(begin, end)
                )
                tail = end
            program.append(Access(TAIL, value=tail, ordered=Barrier.TAIL_STORE in self.barriers))
        return tuple(program)

    def reader(self, head: int, batch: int, adopted: int | None = None) -> Program:
        """From ``head`` on, ``batch`` records a poll: tail, copies, head. ``adopted``: the tail from which on a second
        writer wrote."""
        program: list[Access] = []
        left = [(number, place) for number, place in enumerate(self.places()) if place[1] > head]
        for first in range(0, len(left), batch):
            together = left[first : first + batch]
            program.append(Access(TAIL, least=together[-1][1][1], ordered=Barrier.TAIL_LOAD in self.barriers))
            for number, (begin, end) in together:
                generation = 0 if adopted is None or end <= adopted else 1
                if head < begin:
                    program.append(Access(head % self.capacity, expected=PADDING))
                for at in range(begin, end):
                    program.append(Access(at % self.capacity, expected=content(number, at, generation)))
                head = end
            program.append(Access(HEAD, value=head, ordered=Barrier.HEAD_STORE in self.barriers))
        return tuple(program)

    @property
    def empty(self) -> Memory:
        return tuple(sorted(((word, 0) for word in (TAIL, HEAD, *range(self.capacity))), key=str))


def content(number: int, at: int, generation: int) -> int:
    """Another one for each word of each record of each writer."""
    return 10_000 * (generation + 1) + 100 * (number + 1) + at


def held_back(program: Program) -> list[int]:
    """Of each access a mask of those before it that must be done first."""
    masks = []
    for place, access in enumerate(program):
        mask = 0
        for before, earlier in enumerate(program[:place]):
            acquired = earlier.ordered and earlier.value is None
            released = access.ordered and access.value is not None
            if earlier.word == access.word or acquired or released:
                mask |= 1 << before
        masks.append(mask)
    return masks


def explore(
    programs: Sequence[Program], memory: Memory, done: tuple[int, ...] = (0, 0)
) -> Iterator[tuple[tuple[int, ...], Memory]]:
    """Each state that some order of the accesses reaches, once: what of each program is done (a mask), and the memory.
    `Violation` where a load finds what it must not."""
    masks = [held_back(program) for program in programs]
    begin = (done, memory)
    seen, waiting = {begin}, [begin]
    while waiting:
        done, memory = waiting.pop()
        yield done, memory
        values = dict(memory)
        for which, program in enumerate(programs):
            for place, access in enumerate(program):
                if done[which] >> place & 1 or masks[which][place] & ~done[which]:
                    continue
                if not possible(access, values):
                    continue
                after = tuple(mask | (1 << place if at == which else 0) for at, mask in enumerate(done))
                state = (after, memory if access.value is None else stored(memory, access.word, access.value))
                if state not in seen:
                    seen.add(state)
                    waiting.append(state)


def possible(access: Access, values: dict[Word, int]) -> bool:
    """Whether the run in which this access happens now is one; a wrong guess is none."""
    if access.value is None and access.least is not None:
        return values[access.word] >= access.least
    if access.expected is not None and values[access.word] != access.expected:
        raise Violation(f"word {access.word} is {values[access.word]}, published was {access.expected}")
    return True


def stored(memory: Memory, word: Word, value: int) -> Memory:
    return tuple((name, value if name == word else old) for name, old in memory)


def in_order(done: int) -> bool:
    """Whether what is done is a prefix of the program: there a kill can strike."""
    return done & (done + 1) == 0
