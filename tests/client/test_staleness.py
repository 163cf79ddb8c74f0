"""The policy for streams that die silently, in virtual time: nothing here waits."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from wsadapter.events import StreamType
from wsadapter.exchanges.base import Cadence
from wsadapter.exchanges.binance_streams import CADENCES
from wsadapter.staleness import RECONNECT_SECONDS, Staleness, Verdict

STEADY = Cadence(10.0, 10.0)
TRADES = Cadence(60.0, 600.0, 20.0)
HOUR = 3600.0


class World:
    """One connection, looked at every second; `alive` says whether it gives signs of life."""

    def __init__(self, **cadences: Cadence) -> None:
        self.policy = Staleness(cadences, 1.0)
        self.received = dict.fromkeys(cadences, 0)
        self.asked = set(cadences)
        self.now = 1000.0
        self.alive = True
        self.last_read = self.now
        self.log: list[tuple[float, str, str]] = []
        self.opened = self.now
        self.policy.opened(self.now, self.received)

    def speak(self, name: str) -> None:
        self.received[name] = int(self.now * 1e9)

    def speak_all(self) -> None:
        for name in self.received:
            self.speak(name)

    def run(self, seconds: float, tick: Callable[[], None] = lambda: None) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 1.0
            tick()
            self.look()

    def look(self) -> None:
        if self.alive:
            self.last_read = self.now
        verdict: Verdict = self.policy.look(self.now, self.last_read, self.received, self.asked)
        for what in ("stale", "resubscribe", "reconnect", "alarm"):
            self.log += [(self.now, what, name) for name in getattr(verdict, what)]
        if verdict.reconnect:
            self.policy.opened(self.now, self.received)

    def of(self, what: str) -> list[float]:
        return [at - self.opened for at, kind, _ in self.log if kind == what]


def test_a_dead_stream_is_asked_for_then_reconnected_then_an_alarm() -> None:
    world = World(mark=STEADY, other=STEADY)
    world.run(60, lambda: world.speak("other"))

    assert world.of("stale") == world.of("resubscribe") == [10.0]
    assert world.of("reconnect") == [20.0]
    assert world.of("alarm") == [30.0]
    assert {name for _, _, name in world.log} == {"mark"}
    assert world.policy.is_stale("mark", 0)
    assert not world.policy.is_stale("other", world.received["other"])


def test_after_the_alarm_it_is_asked_for_now_and_then_and_said_no_more() -> None:
    world = World(mark=STEADY, other=STEADY)
    world.run(24 * HOUR, lambda: world.speak("other"))

    assert len(world.of("stale")) == len(world.of("alarm")) == len(world.of("reconnect")) == 1
    asked = world.of("resubscribe")
    pauses = [after - before for before, after in pairwise(asked[1:])]
    assert pauses == sorted(pauses)
    assert 4 <= len(asked) <= 10


def test_a_stream_that_speaks_again_is_well_and_may_die_again() -> None:
    world = World(mark=STEADY, other=STEADY)
    world.run(15, lambda: world.speak("other"))
    world.speak("mark")
    world.look()
    assert not world.policy.is_stale("mark", world.received["mark"])
    world.run(15, world.speak_all)
    world.run(15, lambda: world.speak("other"))

    assert len(world.of("stale")) == 2
    assert world.of("reconnect") == []


def test_where_nothing_comes_at_all_somebody_else_decides() -> None:
    world = World(mark=STEADY, other=STEADY)
    world.run(5, world.speak_all)
    world.alive = False
    world.run(600)

    assert world.log == []


def test_pongs_alone_do_not_keep_streams_alive() -> None:
    world = World(mark=STEADY)
    world.run(60)

    assert world.of("reconnect") == [20.0]


def test_what_is_not_acknowledged_is_not_expected_to_speak() -> None:
    world = World(mark=STEADY)
    world.asked.clear()
    world.run(100)
    assert world.log == []
    world.asked.add("mark")
    world.run(10)
    assert len(world.of("stale")) == 1


def test_a_process_that_slept_has_heard_no_silence() -> None:
    world = World(mark=STEADY)
    world.run(5, lambda: world.speak("mark"))
    world.now += 300
    world.look()
    world.run(5, lambda: world.speak("mark"))

    assert world.log == []


@pytest.mark.parametrize("mean", [0.2, 2.0, 30.0, 120.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_markets_own_rhythm_is_no_silence(mean: float, seed: int) -> None:
    print("seed", seed)
    dice = random.Random(seed)
    world = World(trades=TRADES)
    due = world.now + dice.expovariate(1 / mean)

    def trade() -> None:
        nonlocal due
        while due <= world.now:
            world.speak("trades")
            due += dice.expovariate(1 / mean)

    world.run(6 * HOUR, trade)
    assert world.log == []

    died = world.received["trades"] / 1e9
    world.run(max(60, 30 * mean) + 2)
    assert world.log, "and its death is noticed"
    assert world.log[0][0] - died >= 60


def test_quiet_symbols_make_no_storm() -> None:
    """Fifty symbols that trade in bursts with hours between: whatever is misjudged, reconnects stay rare."""
    dice = random.Random(5)
    world = World(**{f"s{n}": TRADES for n in range(50)})

    def bursts() -> None:
        for name in world.received:
            traded_just_now = world.received[name] == int((world.now - 1) * 1e9)
            if dice.random() < (0.9 if traded_just_now else 1 / (2 * HOUR)):
                world.speak(name)

    world.run(8 * HOUR, bursts)
    reconnects = world.of("reconnect")
    times = sorted(set(reconnects))
    assert all(after - before >= RECONNECT_SECONDS for before, after in pairwise(times))
    assert len(times) <= 8, times


@pytest.mark.parametrize("stream", sorted(s for s, c in CADENCES.items() if c.rhythm))
@pytest.mark.parametrize("mean", [300, 3600])
def test_a_day_of_quiet_symbols_of_every_kind_makes_no_storm(stream: StreamType, mean: float) -> None:
    """Ten symbols that speak about every ``mean`` seconds, at random, beside one that always does."""
    dice = random.Random(mean)
    world = World(**{f"s{n}": CADENCES[stream] for n in range(10)}, mark=STEADY)
    due = {name: world.now + dice.expovariate(1 / mean) for name in world.received if name != "mark"}

    def speak() -> None:
        world.speak("mark")
        for name, at in due.items():
            if at <= world.now:
                world.speak(name)
                due[name] = world.now + dice.expovariate(1 / mean)

    world.run(24 * HOUR, speak)
    times = sorted(set(world.of("reconnect")))
    assert all(after - before >= RECONNECT_SECONDS for before, after in pairwise(times))
    assert len(times) <= 8, times
    assert not world.policy.is_stale("mark", world.received["mark"])


def test_liquidations_are_never_expected_and_mark_prices_always() -> None:
    assert StreamType.LIQUIDATION not in CADENCES
    assert (CADENCES[StreamType.MARK_PRICE].silence, CADENCES[StreamType.MARK_PRICE].rhythm) == (10.0, 0.0)
    assert CADENCES[StreamType.TRADE].rhythm > 1, "its own rhythm tells"


def test_reconnects_grow_rarer_while_they_come() -> None:
    world = World(**{f"s{n}": STEADY for n in range(40)})
    dead: set[str] = set()
    born = world.now

    def dying() -> None:
        dead.update(f"s{n}" for n in range(40) if world.now - born > 400 * (n + 1))
        for name in world.received:
            if name not in dead:
                world.speak(name)

    world.run(4 * HOUR, dying)
    times = sorted(set(world.of("reconnect")))
    pauses = [after - before for before, after in pairwise(times)]
    assert len(times) >= 3
    assert pauses[0] >= RECONNECT_SECONDS
    assert all(after >= 1.5 * before for before, after in pairwise(pauses)), pauses
    assert len(world.of("alarm")) == len(set(dead)), "each is an alarm once, whether or not it had its reconnect"
