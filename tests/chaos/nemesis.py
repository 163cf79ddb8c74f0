"""What is done to a running road, at random and from a seed: each deed, undone after a while, and how long the road
took to be ready again."""

import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

import psutil
from chaos.surroundings import SmallDisk, SteppedClock
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from eventually import eventually
from road_site import Site

from wsadapter.embedded.servers import ClickHouseServer, KafkaServer, VenueThread

READY_SECONDS = 120.0
CHILDREN = ("fut-market-0", "fut-public-0", "serializer-0", "consumer-0", "repairer", "monitor")
SYMBOL = "btcusdt"
RELOADED = ', "SOLUSDT"'
MOST_PARTITIONS = 12
STEP_SECONDS = 30.0
"""By how much the wall clock is stepped at most, back or forth."""


class Nemesis:
    """``clock`` and ``disk``: None where this machine does not let us."""

    usual = ""
    """Which deeds, a pattern, where nothing else is asked for."""

    def __init__(
        self,
        seed: int,
        site: Site,
        venue: VenueThread,
        broker: KafkaServer,
        engine: ClickHouseServer,
        clock: SteppedClock | None,
        disk: SmallDisk | None,
    ) -> None:
        self.rng = random.Random(seed)
        self._clock, self._disk = clock, disk
        self._config = site.config.read_text()
        self._site, self._venue, self._broker, self._engine = site, venue, broker, engine
        self.done: Counter[str] = Counter()
        self.recovery: dict[str, list[float]] = {}
        """Deed -> seconds from its end until everything was ready again."""
        self._deeds: list[tuple[int, str, Callable[[], None]]] = [
            *((3, f"kill {name}", self._killing(name)) for name in CHILDREN),
            *((1, f"stop {name}", self._stopping(name)) for name in CHILDREN),
            (3, "kill the broker", self._kill_broker),
            (1, "stop the broker", lambda: self._freeze(self._broker.pid)),
            (3, "kill ClickHouse", self._kill_engine),
            (1, "stop ClickHouse", lambda: self._freeze(self._engine.pid)),
            (1, "cut connections (close)", self._cutting("close")),
            (1, "cut connections (abort)", self._cutting("abort")),
            (1, "cut connections (reset)", self._cutting("reset")),
            (2, "lose trades", self._lose),
            (1, "kill the supervisor", self._kill_supervisor),
            (2, "kill serializer and consumer", self._kill_both),
            (2, "kill the serializer without a broker", self._kill_while_spooling),
            (3, "kill the repairer at its work", self._kill_at_work),
            (2, "reload", self._reload),
            (1, "raise partitions", self._raise_partitions),
            (1, "fence the consumer", self._fence),
            *([(2, "step the clock", self._step_clock)] if clock else []),
            *([(2, "fill the state disk", self._fill_disk)] if disk else []),
        ]
        wanted = os.environ.get("WSADAPTER_DEEDS") or self.usual
        self._deeds = [deed for deed in self._deeds if re.search(wanted, deed[1])]

    def strike(self) -> str:
        """One deed, and wait until the road is well again."""
        _, name, deed = self.rng.choices(self._deeds, [weight for weight, _, _ in self._deeds])[0]
        deed()
        self.done[name] += 1
        began = time.monotonic()
        self._site.ready(READY_SECONDS)
        self.recovery.setdefault(name, []).append(time.monotonic() - began)
        return name

    @property
    def kills(self) -> int:
        """Of children, by us."""
        each = {f"kill {name}": 1 for name in CHILDREN}
        each |= {"kill serializer and consumer": 2, "kill the serializer without a broker": 1}
        each |= {"kill the repairer at its work": 1}
        return sum(count * each.get(name, 0) for name, count in self.done.items())

    def _pause(self, least: float, most: float) -> None:
        time.sleep(self.rng.uniform(least, most))

    def _await_new(self, name: str, old: int) -> None:
        def again() -> bool:
            child = self._site.children().get(name, {})
            return child.get("state") == "running" and child.get("pid") not in (0, old)

        eventually(again, READY_SECONDS, f"{name} runs again")

    def _killing(self, name: str) -> Callable[[], None]:
        return lambda: self._await_new(name, self._site.kill(name))

    def _kill_both(self) -> None:
        old = {name: self._site.kill(name) for name in ("serializer-0", "consumer-0")}
        for name, pid in old.items():
            self._await_new(name, pid)

    def _stopping(self, name: str) -> Callable[[], None]:
        return lambda: self._freeze(int(self._site.children()[name]["pid"]))

    def _freeze(self, pid: int) -> None:
        """With all that it started, for less than a heartbeat may be late."""
        stopped = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for process in stopped:
            process.send_signal(signal.SIGSTOP)
        self._pause(0.5, 4.0)
        for process in stopped:
            process.send_signal(signal.SIGCONT)

    def _kill_broker(self) -> None:
        self._broker.kill()
        self._pause(0.5, 6.0)
        self._broker.start()

    def _kill_while_spooling(self) -> None:
        self._broker.kill()
        self._pause(1.0, 4.0)
        old = self._site.kill("serializer-0")
        self._pause(0.5, 3.0)
        self._broker.start()
        self._await_new("serializer-0", old)

    def _kill_at_work(self) -> None:
        """It looks into the log, asks, publishes or says the state: every connection has a gap."""
        self._venue.call(lambda venue: venue.cut("reset"))
        self._pause(2.0, 6.0)
        self._await_new("repairer", self._site.kill("repairer"))

    def _kill_engine(self) -> None:
        self._engine.kill()
        self._pause(0.5, 6.0)
        self._engine.start()

    def _cutting(self, how: Literal["close", "abort", "reset"]) -> Callable[[], None]:
        def deed() -> None:
            self._venue.call(lambda venue: venue.cut(how))
            self._pause(0.1, 1.0)

        return deed

    def _lose(self) -> None:
        count = self.rng.randint(1, 9)
        self._venue.call(lambda venue: venue.lose(f"{SYMBOL}@aggTrade", count))
        self._pause(1.0, 2.0)

    def _kill_supervisor(self) -> None:
        pids = [int(child["pid"]) for child in self._site.children().values()]
        self._site.process.kill()
        self._site.process.wait()
        eventually(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in pids), 12, "its children are gone")
        self._site.start()

    def _reload(self) -> None:
        """A symbol goes, or comes back."""
        with_it = RELOADED in self._site.config.read_text()
        self._site.config.write_text(self._config.replace(RELOADED, "") if with_it else self._config)
        before = self._site.counter("reloads_total")
        self._site.process.send_signal(signal.SIGHUP)
        eventually(lambda: self._site.counter("reloads_total") > before, READY_SECONDS, "reloaded")

    def _raise_partitions(self) -> None:
        topic = f"{self._site.database}.trade"
        admin = AdminClient({"bootstrap.servers": self._broker.bootstrap})
        count = len(admin.list_topics(topic, timeout=20).topics[topic].partitions)
        if count < MOST_PARTITIONS:
            admin.create_partitions([NewPartitions(topic, count + 1)])[topic].result(20)

    def _fence(self) -> None:
        """Another process with the consumer's own instance id joins its group for a while, as a copy of the
        configuration on a second machine would."""
        old = int(self._site.children()["consumer-0"]["pid"])
        copy = Consumer(
            {
                "bootstrap.servers": self._broker.bootstrap,
                "group.id": f"wsadapter-{self._site.database}",
                "group.instance.id": f"{self._site.instance}-consumer-0",
                "enable.auto.commit": False,
            }
        )
        copy.subscribe([f"{self._site.database}.trade"])
        eventually(lambda: copy.poll(0.5) is not None or bool(copy.assignment()), 60, "it has joined")
        self._await_new("consumer-0", old)
        copy.close()

    def _step_clock(self) -> None:
        """For a while, with a lost connection in it: what is missing then is judged under a clock that went wrong."""
        assert self._clock is not None
        self._clock.step(self.rng.uniform(-STEP_SECONDS, STEP_SECONDS))
        self._pause(0.0, 2.0)
        self._venue.call(lambda venue: venue.cut("reset"))
        self._pause(0.5, 4.0)
        self._clock.step(0.0)

    def _fill_disk(self) -> None:
        """Not a byte is left while a child dies and comes back."""
        assert self._disk is not None
        self._disk.fill()
        name = self.rng.choice(CHILDREN)
        self._await_new(name, self._site.kill(name))
        self._pause(0.5, 3.0)
        self._disk.free()
