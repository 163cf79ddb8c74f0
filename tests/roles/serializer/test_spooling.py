"""When the spool is used, in virtual time; and that nothing is lost or reordered whatever is killed when."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import trade

from wsadapter import metrics
from wsadapter.config.model import KafkaConfig
from wsadapter.events.records import encode
from wsadapter.events.streams import BY_EVENT
from wsadapter.metrics import UNKNOWN
from wsadapter.pb import market_pb2
from wsadapter.roles.serializer.delivery import Delivery
from wsadapter.roles.serializer.producer import DeliveryFailed
from wsadapter.roles.serializer.spool_generations import SpoolGenerations
from wsadapter.roles.serializer.spool_segment import HEADER_BYTES
from wsadapter.roles.serializer.spooling import (
    PATIENCE,
    PRESSED_PATIENCE,
    REPLAY_RECORDS,
    SPOOL_RECORDS,
    Mode,
    Spooling,
    next_mode,
)

DIRECT, SPOOLING, REPLAYING = Mode.DIRECT, Mode.SPOOLING, Mode.REPLAYING
PAYLOAD = encode(trade(1))
KIND = BY_EVENT[type(trade(1))].kind
FRAMED = 64
DELIVERED = 'delivered_total{topic="trade"}'


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
        return [(position, KIND, PAYLOAD) for position in range(begin, self.position, FRAMED)]

    def commit(self, position: int) -> None:
        assert self.head <= position <= self.position
        self.hazard()
        self.head = position
        self.hazard()

    def resume_at(self, position: int) -> None:
        self.hazard()
        if self.head < position <= self.tail:
            self.head = self.position = position

    def rewind(self) -> None:
        self.position = self.head

    def used(self) -> int:
        return self.tail - self.head


class Page:
    """A stats page whose writer may be killed before any store."""

    fields = metrics.SERIALIZER

    def __init__(self) -> None:
        self.hazard: Callable[[], None] = calm
        self._index = {field: number for number, field in enumerate(metrics.SERIALIZER)}
        self.cells = Cells(self)

    def index(self, field: str) -> int:
        return self._index[field]

    def __contains__(self, field: object) -> bool:
        return field in self._index

    def __getitem__(self, field: str) -> int:
        return self.cells[self._index[field]]

    def __setitem__(self, field: str, value: int) -> None:
        self.cells[self._index[field]] = value


class Cells(list[int]):
    def __init__(self, page: Page) -> None:
        super().__init__([0] * len(metrics.SERIALIZER))
        self._page = page

    def __setitem__(self, index: Any, value: Any) -> None:
        self._page.hazard()
        super().__setitem__(index, value)


class Broker:
    """One partition. ``up``: it writes and acknowledges; between the two anything may happen."""

    def __init__(self) -> None:
        self.log: list[tuple[int, int]] = []
        self.up = True
        self.refuses: Callable[[], bool] = lambda: False
        self.writes_before: Callable[[int], int] = lambda queued: 0

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

    def __init__(self, world: "World") -> None:
        self.world, self.broker = world, world.broker
        self.queue: list[tuple[int, int]] = []
        self.dead: Counter[tuple[str, str]] = Counter()
        self.letter_gaps: Counter[str] = Counter()
        self.is_refused = self.is_direct = False
        self.trouble = "Kafka does not answer in time"

    def send(self, topic: str, messages: Sequence[dict[str, Any]], partition: int) -> None:
        for number, message in enumerate(messages):
            if number % 16 == 0:
                self.world.hazard()
            one = market_pb2.Trade.FromString(message["value"])
            self.queue.append((one.epoch, one.position))

    def write_some(self, count: int) -> None:
        """The broker has these, and we do not know."""
        self.broker.log += self.queue[:count]
        del self.queue[:count]

    def rejoin(self) -> None:
        """It never sends alone."""
        assert not self.queue, "a replay begins behind nothing"

    def acknowledged(self) -> None:
        """No refusal lasts."""
        self.is_refused = False

    def flush(self, seconds: float) -> bool:
        self.world.hazard()
        if self.broker.refuses() and self.queue:
            self.write_some(self.broker.writes_before(len(self.queue)))  # and nothing behind what it refuses
            self.queue.clear()
            self.is_refused = True
            raise DeliveryFailed("refused")
        if not self.broker.up:
            return False
        self.write_some(len(self.queue))
        return True


class Spools(SpoolGenerations):
    def __init__(self, world: "World") -> None:
        super().__init__(str(world.directory), 1, "serializer-0", world.spool_bytes, True)
        self._world = world

    def commit(self, identity: int, number: int) -> None:
        self._world.hazard()
        super().commit(identity, number)

    def end(self) -> None:
        """Nothing is written: the files are as they are."""
        for spool in self._all():
            spool.close()


class Process:
    """One life of a serializer: what goes straight to the broker, and what goes over the spool."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.client = Client(world)
        self.spool = Spools(world)
        self.known = False
        """The broker has been there."""
        self.retry_at = 0.0
        self.waiting_since: float | None = None
        for ring in world.rings:
            ring.rewind()
        try:
            page, producer, readers = cast(Any, world.page), cast(Any, self.client), cast(Any, world.rings)
            self.delivery = Delivery(page, KafkaConfig(), producer, readers, self.spool)
            self.spooling = Spooling(self.spool, readers, self.delivery, lambda: world.now, lambda: world.is_awaited)
        except Killed:
            self.spool.end()
            raise

    def step(self) -> None:
        try:
            self.step_or_fail()
        except DeliveryFailed:
            self.delivery.forget()
            self.spooling.begin_again()
            self.waiting_since, self.retry_at = None, self.world.now + 1.0

    def step_or_fail(self) -> None:
        if self.spooling.mode is not DIRECT:
            self.known = self.known or self.world.broker.up
            self.spooling.step(0.0, self.known and self.world.now >= self.retry_at)
            return
        rings: Any = self.world.rings
        if self.waiting_since is None:
            for ring in rings:
                self.delivery.build(ring.epoch, ring.poll(REPLAY_RECORDS))
            self.delivery.produce()
            self.waiting_since = self.world.now
        elif self.delivery.arrived(0.0):
            self.delivery.commit_rings(rings)
            self.waiting_since = None
        elif self.spooling.overdue(self.waiting_since):
            self.waiting_since = None


class World:
    def __init__(self, directory: Path, rings: int = 1, capacity: int = 1 << 20, spool_bytes: int = 1 << 20) -> None:
        self.directory, self.spool_bytes = directory, spool_bytes
        self.now = 1000.0
        self.is_awaited = False
        self.rings = [Ring(100 + number, capacity) for number in range(rings)]
        self.broker = Broker()
        self.page = Page()
        self.hazard: Callable[[], None] = calm
        self.process = Process(self)

    def endanger(self, hazard: Callable[[], None]) -> None:
        """Before each store to the page, around each move of a head, and amid sending: the process may be killed."""
        self.hazard = self.page.hazard = hazard
        for ring in self.rings:
            ring.hazard = hazard

    def kill(self) -> None:
        self.process.spool.end()
        while True:
            try:
                self.process = Process(self)
            except Killed:
                continue
            return

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
        published = sum(len(ring.published) for ring in self.rings)
        assert self.page[DELIVERED] == published, "each is counted once"
        assert self.page["spooled_total"] <= published, "none went to the spool twice"


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


def test_for_a_broker_that_is_still_being_started_records_wait_in_a_ring_that_has_room(directory: Path) -> None:
    world = World(directory, capacity=64 * 1000)
    world.is_awaited, world.broker.up = True, False
    assert world.run(4, rate=100) == [REPLAYING]
    assert world.run(4, rate=100)[-1] is SPOOLING, "half full"
    world.is_awaited = False
    world.settle()
    world.check()


def test_what_a_new_broker_was_sent_may_take_its_time(directory: Path) -> None:
    world = World(directory, capacity=64 * 1000)
    world.is_awaited = True
    world.run(0.5)
    world.broker.up = False
    assert world.run(4, rate=100) == [DIRECT]
    assert world.run(4, rate=100)[-1] is SPOOLING, "half full"
    world.is_awaited = False
    world.settle()
    world.check()


def test_a_broker_that_is_late_is_one_that_is_away(directory: Path) -> None:
    world = World(directory)
    world.is_awaited, world.broker.up = True, False
    assert world.run(4, rate=100) == [REPLAYING]
    world.is_awaited = False
    assert world.run(2, rate=100)[-1] is SPOOLING
    world.settle()
    world.check()


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


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_is_acknowledged_just_after_it_is_overdue_is_not_sent_again(directory: Path, steps: int) -> None:
    """Before anything of it is on the spool, or when a part of it is."""
    world = World(directory, rings=2, spool_bytes=16 << 20)
    world.broker.up = False
    for ring in world.rings:
        ring.write(2 * SPOOL_RECORDS + 100)
    world.process.known = True
    while world.run(0.05)[-1] is not SPOOLING:
        pass
    world.run(steps * 0.05, rate=1000)
    world.settle()
    world.check()
    assert max(Counter(world.broker.log).values()) == 1
    assert bool(world.page["spooled_total"]) == bool(steps), "what did not have to go over the disk did not"


def test_a_broker_that_is_slow_again_and_again_is_told_of_once_a_minute(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(words: str) -> int:
        return capsys.readouterr().out.count(words)

    world = World(directory)
    for _ in range(20):  # for a second every other one, 50 seconds of them
        world.broker.up = False
        world.run(1.5, rate=20)
        world.broker.up = True
        assert world.run(1.0, rate=20)[-1] is DIRECT
    out = capsys.readouterr().out
    assert out.count("records go to the spool") == 1
    assert out.count("the spool is replayed") == 1
    assert out.count("the spool is empty") == 1

    world.broker.up = False
    world.run(4.0, rate=20)
    assert said("records go to the spool") == 0
    world.run(4.0, rate=20)
    out = capsys.readouterr().out
    assert out.count("records go to the spool") == 1, "one that lasts is told of, whatever was before"
    assert "short_outages_before=19" in out
    world.broker.up = True
    world.run(2.0, rate=20)
    assert said("the spool is empty") == 1

    world.run(60.0, rate=20)
    world.broker.up = False
    world.run(1.5, rate=20)
    assert said("records go to the spool") == 1, "a minute later it is news again"
    world.broker.up = True
    world.run(2.0)
    world.check()


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
    assert len(ring.published) >= 500 + 100_000 // (len(PAYLOAD) + HEADER_BYTES) - 1
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


@pytest.mark.parametrize("replayed", [False, True])
def test_killed_at_each_store_around_a_replay(directory: Path, replayed: bool) -> None:
    """What the redo log's entry means is in the entry: a hundred records count as a hundred, wherever it was killed
    between counting them and moving the head (the first direct cycle after a replay), or committing the spool."""
    world = World(directory)
    kills: list[int] = []
    killed = 0

    def hazard() -> None:
        nonlocal killed
        if kills and not kills[0]:
            del kills[0]
            killed += 1
            raise Killed
        if kills:
            kills[0] -= 1

    world.run(1)
    for stores in range(70):
        world.broker.up = False
        world.run(1.3, rate=40, tick=0.1)
        if replayed:
            world.settle()
            world.rings[0].write(100)
        world.broker.up = True
        kills[:] = [stores, 3]  # once more in what the next life does first
        world.endanger(hazard)
        for _ in range(8):
            try:
                world.now += 0.1
                world.process.step()
            except Killed:
                world.kill()
        world.endanger(calm)
        world.settle()
        world.check()
    assert killed > 100


@pytest.mark.parametrize("is_stopped", [False, True])
def test_each_outage_is_counted_whatever_was_between_them(directory: Path, is_stopped: bool) -> None:
    """A clean stop removes the empty spool, and the next one counts from 0."""
    world = World(directory)
    spooled = 0
    for _ in range(3):
        world.broker.up = False
        world.run(4, rate=100)
        spooled += world.process.spool.records
        assert world.page["spooled_total"] == spooled
        world.kill()
        world.settle()
        assert world.page["spooled_total"] == spooled
        if is_stopped:
            world.process.spool.close()
            world.process = Process(world)
    world.check()


def test_a_record_of_no_known_kind_may_be_acknowledged_late(directory: Path) -> None:
    """It is in the client's queue when spooling begins, and on the spool: the replay leaves it out."""
    world = World(directory)
    world.run(1, rate=400)
    while world.process.waiting_since is not None:
        world.run(0.05)
    ring, client = world.rings[0], world.process.client
    real, odd = ring.poll, ring.tail
    letters: list[tuple[str, str]] = []

    def poll(limit: int) -> list[tuple[int, int, bytes]]:
        return [(at, 200 if at == odd else kind, value) for at, kind, value in real(limit)]

    def dead_letter(reason: str, topic: str, key: bytes, value: bytes, detail: str) -> None:
        letters.append((reason, topic))
        client.dead[reason, topic] += 1

    world.rings[0].poll = poll  # type: ignore[method-assign]
    client.dead_letter = dead_letter  # type: ignore[attr-defined]
    world.broker.up = False
    world.run(3, rate=400)
    assert letters, "it is in flight"
    world.settle()
    assert letters == [("encode", UNKNOWN)]
    assert world.page[metrics.dead_letters("encode", UNKNOWN)] == 1
    assert world.page[DELIVERED] == len(ring.published) - 1


def test_a_refusal_is_spooled_at_once_and_sent_again_in_order(directory: Path) -> None:
    """What the ring holds is on the disk before it could overflow; nothing is lost, each is counted once."""
    world = World(directory, capacity=64 * 60)
    world.run(1, rate=200)
    world.broker.refuses = lambda: True
    world.broker.writes_before = lambda queued: queued // 2
    world.run(3, rate=400)
    assert world.process.spool.records > 400
    world.broker.refuses = lambda: False
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
    danger = rng.choice([0.0, 0.0003, 0.003])

    def hazard() -> None:
        if rng.random() < danger:
            raise Killed

    refused = rng.choice([0.0, 0.05])
    world.broker.refuses = lambda: rng.random() < refused
    world.broker.writes_before = lambda queued: rng.randint(0, queued - 1)
    world.endanger(hazard)
    for _ in range(300):
        world.now += rng.choice([0.01, 0.1, 0.6])
        if rng.random() < 0.05:
            world.broker.up = not world.broker.up
        for ring in world.rings:
            ring.write(rng.randint(0, 8))
        if rng.random() < 0.2:
            world.process.client.write_some(rng.randint(0, 5))
        try:
            world.process.step()
        except Killed:
            world.kill()
    world.endanger(calm)
    refused = 0.0
    world.settle()
    world.check()
    assert world.process.spool.lost_records == 0
    world.process.spool.end()
