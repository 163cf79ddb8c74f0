"""The policy for streams that die silently, in virtual time: nothing here waits."""

import random
from collections.abc import Callable, Mapping
from heapq import heapify, heapreplace
from itertools import pairwise

import pytest

from wsadapter.client.staleness import RENEWAL_SECONDS, UNDERWAY_SECONDS, Staleness, StaleStreams
from wsadapter.events import StreamType
from wsadapter.exchanges.binance.futures import FUTURES_CADENCES as CADENCES
from wsadapter.exchanges.venue import Cadence

STEADY = Cadence(10.0, 10.0)
TRADES = Cadence(60.0, 600.0, 20.0)
HOUR = 3600.0
GREETS = Cadence(reply=5.0)
"""As of liquidations at a venue that begins each with a snapshot."""


class World:
    """One connection, looked at every ``period``; `alive` says whether it gives signs of life. A renewal takes
    ``takes`` seconds, `renews` says whether it works at all. What is silent here is silent on the next socket, too."""

    def __init__(
        self, many: Mapping[str, Cadence] | None = None, /, period: float = 1.0, takes: float = 0.0, **few: Cadence
    ) -> None:
        cadences = {**(many or {}), **few}
        self.policy = Staleness(cadences, period)
        self.received = dict.fromkeys(cadences, 0)
        self.asked = set(cadences)
        self.now = 1000.0
        self.alive = self.renews = True
        self.last_read = self.now
        self.log: list[tuple[float, str, str]] = []
        self.opened = self.now
        self.sockets = self.trials = 0
        self._period, self._takes = period, takes
        self._renewal: tuple[float, dict[str, int], bool] | None = None
        self.policy.opened(self.now, self.received)

    def speak(self, name: str) -> None:
        self.received[name] = int(self.now * 1e9)

    def speak_all(self) -> None:
        for name in self.received:
            self.speak(name)

    def run(self, seconds: float, tick: Callable[[], None] = lambda: None) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += self._period
            tick()
            self.look()

    def look(self) -> None:
        if self.alive:
            self.last_read = self.now
        verdict: StaleStreams = self.policy.check(self.now, self.last_read, self.received, self.asked)
        for what in ("stale", "resubscribe", "renew", "alarm"):
            self.log += [(self.now, what, name) for name in getattr(verdict, what)]
        if verdict.renew:
            self.trials += verdict.trial
            dead = {name: self.received[name] for name in verdict.renew}
            self._renewal = self.now + self._takes, dead, verdict.trial
        if self._renewal is not None and self.now >= self._renewal[0]:
            _, dead, trial = self._renewal
            self._renewal = None
            if not self.renews or trial or all(self.received[name] != at for name, at in dead.items()):
                self.policy.put_off()
            else:
                self.sockets += 1
                self.policy.opened(self.now, self.received, seamless=True)

    def of(self, what: str) -> list[float]:
        return [at - self.opened for at, kind, _ in self.log if kind == what]


class Market:
    """Symbols that speak at random, each about every ``mean`` seconds; with ``burst`` so many times in a row, a second
    apart, and then a longer silence."""

    def __init__(self, world: World, mean: float, seed: int, burst: int = 1) -> None:
        print("seed", seed)
        self._world, self._mean, self._burst, self._dice = world, mean, burst, random.Random(seed)
        self._due = [(world.now + self._dice.expovariate(1 / (mean * burst)), name) for name in world.received]
        heapify(self._due)

    def __call__(self) -> None:
        while self._due[0][0] <= self._world.now:
            at, name = self._due[0]
            self._world.speak(name)
            within = self._dice.random() >= 1 / self._burst
            pause = 1.0 if within else self._dice.expovariate(1 / (self._mean * self._burst))
            heapreplace(self._due, (at + pause, name))


def test_a_dead_stream_is_asked_for_then_its_socket_renewed_then_an_alarm() -> None:
    world = World(mark=STEADY, other=STEADY)
    world.run(60, lambda: world.speak("other"))

    assert world.of("stale") == world.of("resubscribe") == [10.0]
    assert world.of("renew") == [20.0]
    assert world.of("alarm") == [30.0]
    assert {name for _, _, name in world.log} == {"mark"}
    assert world.policy.is_stale("mark", 0)
    assert not world.policy.is_stale("other", world.received["other"])


def test_after_the_alarm_it_is_asked_for_now_and_then_and_said_no_more() -> None:
    world = World(mark=STEADY, other=STEADY)
    world.run(24 * HOUR, lambda: world.speak("other"))

    assert len(world.of("stale")) == len(world.of("alarm")) == len(world.of("renew")) == 1
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
    assert world.of("renew") == []


def test_where_nothing_comes_at_all_somebody_else_decides() -> None:
    world = World(mark=STEADY, other=STEADY)
    world.run(5, world.speak_all)
    world.alive = False
    world.run(600)

    assert world.log == []


def test_pongs_alone_do_not_keep_streams_alive() -> None:
    world = World(mark=STEADY)
    world.run(60)

    assert world.of("renew") == [20.0]


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
    world.run(max(60, 50 * mean) + 2)
    assert world.log, "and its death is noticed"
    assert world.log[0][0] - died >= 60


QUIET = (StreamType.TRADE, StreamType.BOOK_TICKER, StreamType.DEPTH)


def twenty(takes: float) -> World:
    """Symbols of every kind that may be quiet."""
    return World({f"s{n}": CADENCES[QUIET[n % len(QUIET)]] for n in range(20)}, period=5.0, takes=takes)


@pytest.mark.parametrize("mean", [20, 60, 300, 900, 3600])
@pytest.mark.parametrize("seed", range(2))
def test_a_day_of_quiet_symbols_renews_nothing(mean: float, seed: int) -> None:
    """Twenty symbols that speak about every ``mean`` seconds and nothing else: asked for now and then, no more."""
    world = twenty(takes=12.0)
    world.run(24 * HOUR, Market(world, mean, seed))

    print(mean, "stale", len(world.of("stale")), "trials", world.trials, "sockets", world.sockets)
    assert world.sockets == 0
    assert world.trials <= 4
    assert len(world.of("stale")) <= 2 * 20, "about once a stream, before it is known"
    assert len([at for at in world.of("stale") if at > 12 * HOUR]) <= 8


@pytest.mark.parametrize("mean", [3, 30, 120])
@pytest.mark.parametrize("seed", range(2))
def test_symbols_that_trade_in_bursts_cost_a_socket_a_day_at_most(mean: float, seed: int) -> None:
    """Ten events and then a silence of ten means: what was learned in a burst is wrong behind it, but not often."""
    world = twenty(takes=12.0)
    world.run(48 * HOUR, Market(world, mean, seed, burst=10))

    print(mean, "stale", len(world.of("stale")), "trials", world.trials, "sockets", world.sockets)
    assert world.sockets <= 2
    assert world.trials <= 6


def test_a_stream_that_was_quiet_and_not_dead_is_waited_for_longer() -> None:
    world = World(trades=TRADES)
    world.run(100, world.speak_all)
    world.run(90)
    assert len(world.of("stale")) == 1
    world.run(100, world.speak_all)
    world.run(3 * 90)
    assert len(world.of("stale")) == 1
    world.run(100)
    assert len(world.of("stale")) == 2


def test_what_is_learned_of_a_long_silence_fades() -> None:
    world = World(period=30.0, trades=TRADES)
    world.run(HOUR, world.speak_all)
    world.run(HOUR)
    world.run(10 * 24 * HOUR, world.speak_all)
    silent = len(world.of("stale"))
    world.run(690)  # 20 times the pace of these looks
    assert len(world.of("stale")) == silent + 1


def test_a_stream_of_unknown_rhythm_renews_nothing_unless_the_next_socket_brings_it() -> None:
    world = World(trades=TRADES, other=STEADY)
    world.run(HOUR, lambda: world.speak("other"))

    assert world.of("stale") == world.of("resubscribe") == [600.0]
    assert world.of("renew")[0] == 1200.0
    assert world.of("alarm") == [1201.0]
    assert (world.trials, world.sockets) == (len(world.of("renew")), 0)


def test_a_renewal_that_fails_is_an_alarm_and_is_tried_again_later() -> None:
    world = World(takes=5.0, mark=STEADY, other=STEADY)
    world.renews = False
    world.run(24 * HOUR, lambda: world.speak("other"))

    assert len(world.of("stale")) == len(world.of("alarm")) == 1
    assert world.of("alarm")[0] <= 30.0
    times = world.of("renew")
    assert 3 <= len(times) <= 8, times
    assert all(after - before >= RENEWAL_SECONDS for before, after in pairwise(times))


def test_a_renewal_that_takes_for_ever_is_an_alarm() -> None:
    world = World(takes=HOUR, mark=STEADY, other=STEADY)
    world.run(HOUR / 2, lambda: world.speak("other"))

    assert world.of("alarm") == [20.0 + UNDERWAY_SECONDS]


def test_renewals_that_help_do_not_make_the_next_one_wait() -> None:
    """Streams that die on one socket after the other, and speak on the next."""
    world = World(mark=STEADY, other=STEADY)

    def speak() -> None:
        world.speak("other")
        if world.sockets > (world.now - world.opened) // 900:
            world.speak("mark")

    world.run(4 * HOUR, speak)
    assert world.sockets == 16
    assert world.of("alarm") == []


def test_streams_that_speak_are_not_touched_by_the_renewal_for_another() -> None:
    """Its silence goes on over the sockets: a stream that dies meanwhile is not forgotten with each of them."""
    world = World(trades=TRADES)
    world.run(100, world.speak_all)
    for _ in range(3):
        world.run(25)
        world.policy.opened(world.now, world.received, seamless=True)
    assert len(world.of("stale")) == 1


def test_liquidations_are_never_expected_and_mark_prices_always() -> None:
    assert StreamType.LIQUIDATION not in CADENCES
    assert (CADENCES[StreamType.MARK_PRICE].silence, CADENCES[StreamType.MARK_PRICE].rhythm) == (10.0, 0.0)
    assert CADENCES[StreamType.TRADE].rhythm > 1, "its own rhythm tells"


def test_renewals_grow_rarer_while_they_do_not_help() -> None:
    world = World({f"s{n}": STEADY for n in range(40)}, 5.0)
    dead: set[str] = set()
    born = world.now

    def dying() -> None:
        dead.update(f"s{n}" for n in range(40) if world.now - born > 400 * (n + 1))
        for name in world.received:
            if name not in dead:
                world.speak(name)

    world.run(4 * HOUR, dying)
    times = sorted(set(world.of("renew")))
    pauses = [after - before for before, after in pairwise(times)]
    assert len(times) >= 3
    assert pauses[0] >= RENEWAL_SECONDS
    assert all(after >= 1.5 * before for before, after in pairwise(pauses)), pauses
    assert len(world.of("alarm")) == len(set(dead)), "each is an alarm once, whether or not it had its reconnect"


def test_a_stream_that_is_acknowledged_and_sends_no_first_word_is_asked_for_anew() -> None:
    """Though it may be silent for ever afterwards; and only from its acknowledgement on."""
    world = World(told=GREETS, forgotten=GREETS, pending=GREETS)
    world.asked.remove("pending")
    world.run(3)
    world.speak("told")
    world.run(4)
    assert world.log == [(1005.0, "stale", "forgotten"), (1005.0, "resubscribe", "forgotten")]
    assert world.policy.is_stale("forgotten", 0)

    world.asked.add("pending")
    world.speak("forgotten")
    world.run(4)
    assert not world.policy.is_stale("forgotten", world.received["forgotten"])
    world.speak("pending")
    world.run(HOUR)
    assert len(world.log) == 2


@pytest.mark.parametrize("seamless", [True, False], ids=["seamless", "after a pause"])
@pytest.mark.parametrize("heard", [(), ("other",)], ids=["none", "others"])
def test_the_first_word_is_due_on_every_socket(heard: tuple[str, ...], seamless: bool) -> None:
    world = World(told=GREETS, other=GREETS)
    world.run(2)
    world.speak_all()
    world.run(60)
    world.policy.opened(world.now, world.received, heard, seamless)
    at = world.now - world.opened
    world.run(HOUR, lambda: world.speak("other"))

    assert (world.of("stale"), world.log[0][2]) == ([at + GREETS.reply], "told")


@pytest.mark.parametrize("seamless", [True, False], ids=["seamless", "after a pause"])
def test_what_the_next_socket_has_heard_owes_it_no_first_word(seamless: bool) -> None:
    """Before it took over, and whether or not the one before has brought it later, or has ended before."""
    world = World(told=GREETS, both=GREETS, dead=STEADY)
    world.run(2)
    world.speak_all()
    world.run(20)
    world.speak("both")
    world.policy.opened(world.now, world.received, heard=("told", "both"), seamless=seamless)
    world.run(HOUR)

    assert {name for _, _, name in world.log} == {"dead"}
