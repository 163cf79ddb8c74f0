"""Every record once, whatever is killed when: the rules of `wsadapter.roles.consumer.batches` against a model of the
world.

The world: rings whose serializer may begin again at any record that was not acknowledged; a log; an offset store that
may refuse a commit or keep it without telling; a table that drops a token it knows and answers or does not. The oracle
counts rows. It is an oracle only if it sees a broken consumer: the mutations at the end must be caught.
"""

import struct
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsadapter.clickhouse.inserts import token
from wsadapter.events.streams import BY_STREAM
from wsadapter.roles.consumer.batches import BatchState, Partition
from wsadapter.roles.consumer.commit_metadata import CommitMetadata

Record = tuple[int, int]
SPEC = BY_STREAM["trade"]
MAX_EPOCHS = 3

Log = list[Record]
redeliveries = st.lists(st.tuples(st.integers(0, MAX_EPOCHS - 1), st.integers(1, 12), st.integers(0, 8)), max_size=12)
"""(ring, records written now, how many of its last ones the serializer writes again first)."""
STEPS = st.lists(
    st.sampled_from(["fetch", "fetch few", "cut", "intent", "intent refused", "intent kept, not told", "insert",
                     "insert lost", "insert kept, not told", "too large", "finish", "commit", "crash"]),
    max_size=80,
)  # fmt: skip


def log_of(writes: list[tuple[int, int, int]]) -> Log:
    """What the serializer put into the partition: each ring in order, with repeats after its crashes."""
    log: Log = []
    heads = [0] * MAX_EPOCHS
    for ring, count, again in writes:
        begin = max(0, heads[ring] - again)
        log += [(100 + ring, position) for position in range(begin, heads[ring] + count)]
        heads[ring] += count
    return log


def value_of(record: Record) -> bytes:
    return struct.pack("<BQBQ", 9, record[0], 17, record[1]) + b"payload"


class World:
    """``token_of`` and ``forget`` are what the mutations change."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.committed: tuple[int, str] = (0, "")
        self.tokens: set[str] = set()
        self.rows: list[Record] = []
        self.token_of: Callable[[str, int, int, int, bytes], str] = token
        self.restarted: Callable[[CommitMetadata], CommitMetadata] = lambda progress: progress
        self.start()

    def start(self) -> None:
        offset, metadata = self.committed
        progress = self.restarted(CommitMetadata.decode(metadata))
        self.partition = Partition(SPEC, "t", 0, offset, progress, b"INSERT\n", lambda value: None)
        self.intended = self.inserted = False

    def step(self, name: str) -> None:
        p = self.partition
        match name.split(",")[0]:
            case "fetch" | "fetch few":
                for _ in range(3 if name == "fetch few" else 10):
                    if p.next_offset < len(self.log):
                        p.add(p.next_offset, value_of(self.log[p.next_offset]), 0.0)
            case "cut" if p.due(1.0, 1, 1, 0.0):
                p.cut_open()
            case "intent" | "intent refused" | "intent kept" if p.cut is not None and not self.intended:
                if name != "intent refused":
                    self.committed = p.commit()
                if name == "intent":
                    self.intended = True
                    if p.cut.rows:
                        p.cut.advance(BatchState.INTENDED)
                    p.cut.advance(BatchState.INSERTING)
            case "insert" | "insert lost" | "insert kept" if self.intended and not self.inserted:
                self.insert(stored=name != "insert lost")
                self.inserted = name == "insert"
            case "too large" if self.intended and not self.inserted and p.cut is not None and p.cut.rows > 1:
                if self.token_of_cut() not in self.tokens:  # a server that has it answers that it has
                    p.halve()
                    self.intended = False
            case "finish" if p.cut is not None and (self.inserted or not p.cut.rows):
                p.finish()
                self.intended = self.inserted = False
            case "commit":
                self.committed = p.commit()
            case "crash":
                self.start()

    def insert(self, stored: bool) -> None:
        batch = self.partition.cut
        assert batch is not None
        made = self.token_of_cut()
        if stored and made not in self.tokens:
            self.tokens.add(made)
            rows = [struct.unpack_from("<xQxQ", batch.message(row)) for row in range(batch.rows)]
            self.rows += [(epoch, position) for epoch, position in rows]

    def token_of_cut(self) -> str:
        batch = self.partition.cut
        assert batch is not None
        return self.token_of("t", 0, batch.first, batch.last, bytes(batch.body[batch.head :]))

    def run_out(self) -> None:
        """Nothing fails any more."""
        while True:
            for name in ("fetch", "cut", "intent", "insert", "finish", "commit"):
                self.step(name)
            if self.partition.idle and self.partition.next_offset >= len(self.log):
                return

    def wrong(self) -> dict[Record, int]:
        """Record -> how often too many (or -1: missing)."""
        have = Counter(self.rows)
        return {record: have[record] - 1 for record in {*self.log, *have} if have[record] != 1}


REPLAY_INTERRUPTED = [
    "fetch",
    "cut",
    "intent",
    "insert",
    "crash",
    "commit",
    "crash",
    "fetch few",
    "cut",
    "intent",
    "insert",
]
"""A batch is in; its replay says how far it is, as other partitions have something to say, and is killed in turn."""


@settings(max_examples=400, deadline=None)
@given(redeliveries, STEPS)
@example([(0, 8, 0)], REPLAY_INTERRUPTED)
def test_every_record_is_in_the_table_once(writes: list[tuple[int, int, int]], steps: list[str]) -> None:
    world = World(log_of(writes))
    for step in steps:
        world.step(step)
    world.run_out()

    assert world.wrong() == {}


@settings(max_examples=200, deadline=None)
@given(redeliveries, STEPS, redeliveries)
def test_a_wiped_log_loses_nothing_of_the_next(
    first: list[tuple[int, int, int]], steps: list[str], second: list[tuple[int, int, int]]
) -> None:
    """Kafka wiped, the table kept, other records under the same offsets."""
    world = World(log_of(first))
    for step in steps:
        world.step(step)
    world.run_out()
    world.log, world.committed, world.rows = log_of([(r, c + 12, a) for r, c, a in second]), (0, ""), []
    world.start()
    world.run_out()

    # the very same batch may have been inserted before: then its rows are in the table already
    missing = {record for record, times in world.wrong().items() if times < 0}
    assert missing <= set(log_of(first))


def caught(mutate: Callable[[World], None], wiped: bool = False) -> bool:
    """Whether some fixed courses of events show that ``mutate`` broke the consumer."""
    to_the_repeat = ["fetch few", "fetch few", "cut", "intent"]
    for steps in (
        [*to_the_repeat, "insert kept, not told", "crash", "fetch few"],
        [*to_the_repeat, "insert", "finish", "commit", "crash"],
    ):
        world = World(log_of([(0, 6, 0), (0, 10, 5), (1, 25, 0)]))
        mutate(world)
        for step in steps:
            world.step(step)
        world.run_out()
        if wiped:
            world.log = [(200, position) for position in range(len(world.log))]
            world.committed, world.rows = (0, ""), []
            world.start()
            for step in steps:
                world.step(step)
            world.run_out()
        if world.wrong():
            return True
    return False


def no_mutation(world: World) -> None:
    pass


def no_hash_in_the_token(world: World) -> None:
    world.token_of = lambda topic, partition, first, last, messages: f"{topic}:{partition}:{first}-{last}"


def token_reused(world: World) -> None:
    world.token_of = lambda topic, partition, first, last, messages: f"{topic}:{partition}"


def no_intent(world: World) -> None:
    world.restarted = lambda progress: CommitMetadata(progress.partitions, None, progress.watermarks)


def no_watermarks(world: World) -> None:
    world.restarted = lambda progress: CommitMetadata(progress.partitions, progress.intent, {})


def random_token(world: World) -> None:
    made = iter(range(1_000_000))
    world.token_of = lambda *_: str(next(made))


@pytest.mark.parametrize("wiped", [False, True])
def test_the_fixed_courses_are_fine_without_a_mutation(wiped: bool) -> None:
    assert not caught(no_mutation, wiped)


@pytest.mark.parametrize("mutation", [token_reused, no_intent, no_watermarks, random_token])
def test_the_oracle_sees_a_broken_consumer(mutation: Callable[[World], None]) -> None:
    assert caught(mutation)


def test_the_oracle_sees_a_token_without_the_hash_after_a_wipe() -> None:
    assert caught(no_hash_in_the_token, wiped=True)
