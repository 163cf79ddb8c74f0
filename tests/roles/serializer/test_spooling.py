"""When the spool is used, in virtual time; and that nothing is lost or reordered whatever is killed when."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsadapter.roles.serializer.spool import Spool
from wsadapter.roles.serializer.spool_segment import Record
from wsadapter.roles.serializer.spooling import PATIENCE, PRESSED_PATIENCE, REPLAY_RECORDS, Mode, Spooling, next_mode

DIRECT, SPOOLING, REPLAYING = Mode.DIRECT, Mode.SPOOLING, Mode.REPLAYING
PAYLOAD = bytes(56)
FRAMED = 64


class Killed(Exception):
    """kill -9, here and now."""


def calm() -> None:
    """Nothing happens."""


class Ring:
    """A ring in memory; positions are bytes, every record takes 64."""

    def __init__(self, epoch: int, capacity: int) -> None:
        self.epoch, self.capacity = epoch, capacity
        self.head = self.tail = self.position = 0
        self.published: list[int] = []
        self.dropped = 0
        self.hazard: Callable[[], None] = calm

    def write(self, count: int) -> None:
        for _ in range(count):
            if self.tail + FRAMED > self.head + self.capacity:
                self.dropped += 1
            else:
                self.published.append(self.tail)
                self.tail += FRAMED

    def poll(self, limit: int) -> list[tuple[int, int, bytes]]:
        begin = self.position
        self.position = min(self.tail, begin + limit * FRAMED)
        return [(position, 4, PAYLOAD) for position in range(begin, self.position, FRAMED)]

    def commit(self, position: int) -> None:
        assert self.head <= position <= self.position
        self.hazard()
        self.head = position
        self.hazard()

    def rewind(self) -> None:
        self.position = self.head

    def used(self) -> int:
        return self.tail - self.head


class Broker:
    """One partition. ``up``: it writes and acknowledges; between the two anything may happen."""

    def __init__(self) -> None:
        self.log: list[tuple[int, int]] = []
        self.up = True

    def accepted(self) -> dict[int, list[int]]:
        """What a consumer with a watermark per epoch takes, in the log's order."""
        seen: dict[int, int] = {}
        taken: dict[int, list[int]] = {}
        for epoch, position in self.log:
            if position > seen.get(epoch, -1):
                seen[epoch] = position
                taken.setdefault(epoch, []).append(position)
        return taken


class Client:
    """The producer of one process: keeps order, delivers once while it lives."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.queue: list[tuple[int, int]] = []
        self.hazard: Callable[[], None] = calm
        self.known = False
        self.spool: Spool
        self.polled = 0
        self.delivered = 0
        """Records that left the spool, as the journal would count them."""

    def passed(self) -> None:
        self.hazard()
        self.spool.commit()
        self.delivered += self.polled
        self.hazard()

    def spooled(self, count: int) -> None:
        self.hazard()

    def ready(self) -> bool:
        self.known = self.known or self.broker.up
        return self.known

    def send(self, records: Sequence[Record], skipped: Sequence[Record] = ()) -> None:
        self.polled = len(records) + len(skipped)
        for number, record in enumerate(records):
            if number % 16 == 0:
                self.hazard()
            self.queue.append((record[0], record[1]))

    def write_some(self, count: int) -> None:
        """The broker has these, and we do not know."""
        self.broker.log += self.queue[:count]
        del self.queue[:count]

    def settled(self, seconds: float) -> bool:
        self.hazard()
        if not self.broker.up:
            return False
        self.write_some(len(self.queue))
        return True


class Process:
    """One life of a serializer: the direct road and the spooled one."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.client = Client(world.broker)
        self.spool = Spool(str(world.directory), world.spool_bytes, 2000)
        self.client.spool = self.spool
        for ring in world.rings:
            ring.hazard = calm
            ring.rewind()
        self.spooling = Spooling(self.spool, world.rings, self.client, lambda: world.now)
        self.waiting_since: float | None = None
        self.delivered = 0
        """Records that left the rings straight for the broker."""

    def step(self) -> None:
        if self.spooling.mode is not DIRECT:
            self.spooling.turn(0.0)
            return
        if self.waiting_since is None:
            records = [(r.epoch, *record) for r in self.world.rings for record in r.poll(REPLAY_RECORDS)]
            self.client.send(records)
            self.waiting_since = self.world.now
        elif self.client.settled(0.0):
            self.delivered += sum(ring.position - ring.head for ring in self.world.rings) // FRAMED
            for ring in self.world.rings:
                ring.hazard = calm  # the journal makes count and heads one
                ring.commit(ring.position)
            self.waiting_since = None
        elif self.spooling.overdue(self.waiting_since):
            self.waiting_since = None


class World:
    def __init__(self, directory: Path, rings: int = 1, capacity: int = 1 << 20, spool_bytes: int = 1 << 20) -> None:
        self.directory, self.spool_bytes = directory, spool_bytes
        self.now = 1000.0
        self.rings = [Ring(100 + number, capacity) for number in range(rings)]
        self.broker = Broker()
        self._delivered = 0
        self.process = Process(self)

    @property
    def delivered(self) -> int:
        return self._delivered + self.process.delivered + self.process.client.delivered

    def kill(self) -> None:
        self._delivered = self.delivered
        self.process.spool.close()  # nothing is written by it: the files are as they are
        self.process = Process(self)

    def run(self, seconds: float, rate: int = 0, tick: float = 0.05) -> list[Mode]:
        """Modes met, without repetitions."""
        met: list[Mode] = []
        for _ in range(round(seconds / tick)):
            for ring in self.rings:
                ring.write(round(rate * tick))
            self.now += tick
            self.process.step()
            if not met or met[-1] is not self.process.spooling.mode:
                met.append(self.process.spooling.mode)
        return met

    def settle(self) -> None:
        """Broker up, writers gone: until nothing is left."""
        self.broker.up = True
        for _ in range(10_000):
            self.now += 0.05
            self.process.step()
            if self.process.spooling.mode is DIRECT and not any(ring.used() for ring in self.rings):
                return
        raise AssertionError("does not come to rest")

    def check(self) -> None:
        accepted = self.broker.accepted()
        for ring in self.rings:
            assert accepted.get(ring.epoch, []) == ring.published
        assert self.delivered == sum(len(ring.published) for ring in self.rings), "each is counted once"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.mark.parametrize(
    ("mode", "waited", "pressed", "empty", "then"),
    [
        (DIRECT, None, True, True, DIRECT),
        (DIRECT, PATIENCE, False, True, DIRECT),
        (DIRECT, PATIENCE + 0.01, False, True, SPOOLING),
        (DIRECT, PRESSED_PATIENCE, True, True, DIRECT),
        (DIRECT, PRESSED_PATIENCE + 0.01, True, True, SPOOLING),
        (SPOOLING, 0.1, False, False, SPOOLING),
        (SPOOLING, None, False, False, REPLAYING),
        (SPOOLING, None, False, True, DIRECT),
        (REPLAYING, 0.5, False, False, REPLAYING),
        (REPLAYING, 1.5, False, False, SPOOLING),
        (REPLAYING, None, False, False, REPLAYING),
        (REPLAYING, None, True, True, DIRECT),
    ],
)
def test_policy(mode: Mode, waited: float | None, pressed: bool, empty: bool, then: Mode) -> None:
    assert next_mode(mode, waited, pressed, empty) is then


def test_a_short_outage_stays_off_the_disk(directory: Path) -> None:
    world = World(directory)
    world.run(1, rate=1000)
    world.broker.up = False
    assert world.run(0.8, rate=1000) == [DIRECT]
    world.broker.up = True
    assert world.run(1, rate=1000) == [DIRECT]
    world.settle()
    world.check()
    assert len(world.broker.log) == len(world.rings[0].published), "nothing was sent twice"


def test_an_outage_goes_to_the_spool_and_comes_back_once(directory: Path) -> None:
    world = World(directory, rings=2, capacity=64 * 200)
    world.run(1, rate=400)
    world.broker.up = False
    assert world.run(5, rate=400) == [DIRECT, SPOOLING]
    assert world.process.spool.records > 2 * 4 * 400
    assert all(ring.used() <= 64 * 40 for ring in world.rings)
    world.broker.up = True
    assert world.run(5, rate=400) == [REPLAYING, DIRECT]
    world.settle()
    world.check()
    assert not any(ring.dropped for ring in world.rings)
    assert max(Counter(world.broker.log).values()) == 1, "what was in flight is not replayed while we live"


def test_a_small_ring_is_spooled_early(directory: Path) -> None:
    world = World(directory, capacity=64 * 100)
    world.run(1, rate=200)
    world.broker.up = False
    assert world.run(0.9, rate=150) == [DIRECT, SPOOLING]
    assert world.rings[0].dropped == 0


def test_the_rings_are_looked_after_during_a_replay(directory: Path) -> None:
    """More than a batch is on the spool, and the rings would not last until the end of the replay."""
    world = World(directory, capacity=64 * 1000, spool_bytes=1 << 24)
    world.run(1)
    world.broker.up = False
    world.run(20, rate=2000)
    assert world.process.spool.records > 2 * REPLAY_RECORDS
    world.broker.up = True
    met = world.run(5, rate=2000)
    assert met == [REPLAYING, DIRECT]
    world.settle()
    world.check()
    assert world.rings[0].dropped == 0


def test_a_full_spool_fills_the_ring_and_the_rest_is_counted(directory: Path) -> None:
    world = World(directory, capacity=64 * 500, spool_bytes=100_000)
    world.broker.up = False
    world.run(10, rate=1000)
    ring = world.rings[0]
    assert ring.dropped > 0
    assert len(ring.published) + ring.dropped == 10_000
    assert len(ring.published) >= 500 + 100_000 // 92 - 1
    world.settle()
    world.check()


def test_started_without_a_broker(directory: Path) -> None:
    world = World(directory, capacity=64 * 1000)
    world.broker.up = False
    assert world.run(3, rate=500) == [REPLAYING, SPOOLING]
    assert world.process.spool.records > 1000
    world.broker.up = True
    world.settle()
    world.check()


def test_killed_while_spooling_and_while_replaying(directory: Path) -> None:
    world = World(directory, capacity=64 * 8000, spool_bytes=1 << 24)
    world.run(1, rate=1000)
    world.broker.up = False
    world.run(5, rate=4000)
    world.process.client.write_some(7)  # the broker had written them when it went
    world.kill()
    world.run(5, rate=4000)
    world.broker.up = True
    world.run(0.1, rate=1000)
    assert world.process.spooling.mode is REPLAYING
    world.kill()
    world.settle()
    world.check()
    assert world.rings[0].dropped == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    rings=st.integers(1, 3),
    capacity=st.sampled_from([64 * 20, 64 * 300]),
    spool_bytes=st.sampled_from([3000, 40_000, 1 << 20]),
)
def test_killed_anywhere(tmp_path: Path, seed: int, rings: int, capacity: int, spool_bytes: int) -> None:
    rng = random.Random(seed)
    world = World(tmp_path / f"{seed}-{rings}-{capacity}-{spool_bytes}-{rng.random()}", rings, capacity, spool_bytes)
    danger = rng.choice([0.0, 0.001, 0.02])

    def hazard() -> None:
        if rng.random() < danger:
            raise Killed

    for _ in range(300):
        world.now += rng.choice([0.01, 0.1, 0.6])
        if rng.random() < 0.05:
            world.broker.up = not world.broker.up
        for ring in world.rings:
            ring.write(rng.randint(0, 8))
            ring.hazard = hazard
        world.process.client.hazard = hazard
        if rng.random() < 0.2:
            world.process.client.write_some(rng.randint(0, 5))
        try:
            world.process.step()
        except Killed:
            world.kill()
    danger = 0.0
    world.settle()
    world.check()
    assert world.process.spool.lost_records == 0
    world.process.spool.close()
