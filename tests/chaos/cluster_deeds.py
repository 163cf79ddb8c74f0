"""What is done to three brokers under a running road, each deed from a seed, undone after a while; for how long nothing
was acknowledged, and when all was well again.

A deed is over (`recovery` counts from here) when its cause is. What the cluster has to overcome by itself, such as a
leader that is gone, it has overcome before that, or not: how long it took is the time without an acknowledgement. All
is well when records are acknowledged again, none is on the spool and the road is ready.
"""

import random
import re
import signal
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import psutil
from eventually import eventually
from oracle import Identity, RingWatcher
from road_site import Site
from secured_cluster import SecuredCluster

from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.process import page_name

WELL_SECONDS = 240.0
MOST_PARTITIONS = 8
AWAY_SECONDS = (12.0, 16.0)
"""For how long a leader is away: longer than a broker may be silent (9 s), so that another one leads meanwhile."""
THROTTLED = 4_000.0
"""Bytes a second to each broker: less than what comes."""
SERIALIZER = "serializer-0"
RECREATED = "trade"
"""Its numbers show what is missing."""


class Acknowledgements(threading.Thread):
    """For how long at most nothing was acknowledged, by the serializer's own page."""

    def __init__(self, instance: str) -> None:
        super().__init__(daemon=True)
        self.page = StatsPage.attach(page_name(instance, SERIALIZER))
        self._over = threading.Event()
        self._since, self._delivered, self._longest = time.monotonic(), self.delivered, 0.0
        self.start()

    @property
    def delivered(self) -> int:
        return sum(count for name, count in self.page.read().items() if name.startswith("delivered_total"))

    @property
    def spooled(self) -> int:
        """So far."""
        return self.page["spooled_total"]

    def begin(self) -> None:
        self._longest, self._since = 0.0, time.monotonic()

    @property
    def longest(self) -> float:
        return max(self._longest, time.monotonic() - self._since)

    def run(self) -> None:
        while not self._over.wait(0.02):
            if (delivered := self.delivered) != self._delivered:
                now = time.monotonic()
                self._longest, self._since = max(self._longest, now - self._since), now
                self._delivered = delivered

    def close(self) -> None:
        self._over.set()
        self.join()
        self.page.release()


class Outcome(NamedTuple):
    """Seconds; ``spooled``: records that went over the disk meanwhile."""

    deed: str
    recovery: float
    unacknowledged: float
    spooled: int


class ClusterDeeds:
    """``topic prefix`` is that of the site's database."""

    def __init__(self, seed: int, site: Site, cluster: SecuredCluster, watcher: RingWatcher) -> None:
        self.rng = random.Random(seed)
        self._site, self._cluster, self._watcher = site, cluster, watcher
        self._prefix = f"{site.database}."
        self._topic = f"{self._prefix}trade"
        self.acknowledgements = Acknowledgements(site.instance)
        self.outcomes: list[Outcome] = []
        self.deleted: set[Identity] = set()
        """What may have been in a topic that was deleted."""
        self._undo: Callable[[], object] = lambda: None
        self._deeds: list[tuple[str, Callable[[], None]]] = [
            ("kill the leader", self._kill_leader),
            ("restart all three, one by one", self._restart_all),
            ("freeze the leader and thaw it", self._freeze),
            ("two away", self._two_away),
            ("too few in sync", self._too_few_in_sync),
            ("reassign a partition", self._reassign),
            ("raise partitions", self._raise_partitions),
            ("recreate a topic", self._recreate),
            ("throttle by quota", self._throttle),
            ("take the rights", self._take_rights),
            ("take the password", self._take_password),
        ]

    def round(self, pattern: str = "") -> list[str]:
        """Every deed once, in an order of the seed's."""
        names = [name for name, _ in self._deeds if re.search(pattern, name)]
        self.rng.shuffle(names)
        return names

    def strike(self, name: str) -> Outcome:
        acknowledgements, deed = self.acknowledgements, dict(self._deeds)[name]
        spooled = acknowledgements.spooled
        self._undo = lambda: None
        acknowledgements.begin()
        deed()
        ended = time.monotonic()
        recovery = self._until_well(name) - ended
        self._undo()
        self._until_well(name)
        outcome = Outcome(name, recovery, acknowledgements.longest, acknowledgements.spooled - spooled)
        self.outcomes.append(outcome)
        self._cluster.await_in_sync(self._prefix)
        return outcome

    def _until_well(self, name: str) -> float:
        """The moment."""
        before = self.acknowledgements.delivered

        def well() -> float:
            page = self.acknowledgements.page
            is_well = self.acknowledgements.delivered > before and not page["spool_records"] and page["broker_up"]
            return time.monotonic() if is_well and self._site.get("/readyz")[0] == 200 else 0.0

        def said() -> str:
            return f"{name}: well again: {self._site.get('/readyz')[1]}\n{self._site.said(3000)}"

        return eventually(well, WELL_SECONDS, said)

    def _pause(self, least: float, most: float) -> None:
        time.sleep(self.rng.uniform(least, most))

    def _until_spooled(self, what: str) -> None:
        """The spool has what the brokers do not take."""
        before = self.acknowledgements.spooled
        eventually(lambda: self.acknowledgements.spooled > before, WELL_SECONDS, f"{what}: records go to the spool")

    def _kill_leader(self) -> None:
        leader = self._cluster.brokers[self._cluster.leader(self._topic)]
        leader.kill()
        self._undo = leader.start
        self._pause(*AWAY_SECONDS)

    def _restart_all(self) -> None:
        for number in self.rng.sample(sorted(self._cluster.brokers), 3):
            broker = self._cluster.brokers[number]
            broker.stop()
            broker.start()
            self._cluster.await_in_sync(self._prefix)

    def _freeze(self) -> None:
        """Others take over what it leads, of which it knows nothing when it thaws."""
        wrapper = psutil.Process(self._cluster.brokers[self._cluster.leader(self._topic)].pid)
        processes = [wrapper, *wrapper.children(recursive=True)]
        for process in processes:
            process.send_signal(signal.SIGSTOP)

        def thaw() -> None:
            for process in processes:
                process.send_signal(signal.SIGCONT)

        self._undo = thaw
        self._pause(*AWAY_SECONDS)

    def _two_away(self) -> None:
        """The third leads what it led, alone, and the controllers have no majority."""
        away = [self._cluster.brokers[number] for number in self.rng.sample(sorted(self._cluster.brokers), 2)]
        for broker in away:
            broker.kill()
        self._until_spooled("two are away")
        self._pause(1.0, 5.0)
        for broker in away:
            broker.launch()
        for broker in away:
            broker.await_running()

    def _too_few_in_sync(self) -> None:
        """One is away and all three are wanted: NOT_ENOUGH_REPLICAS, said by leaders that are well."""
        away = self._cluster.brokers[self.rng.choice(sorted(self._cluster.brokers))]
        topics = [name for name in self._cluster.topics() if name.startswith(self._prefix)]
        for topic in topics:
            self._cluster.set_topic(topic, "min.insync.replicas", "3")
        away.kill()
        self._until_spooled("too few are in sync")
        self._pause(1.0, 5.0)
        for topic in topics:
            self._cluster.set_topic(topic, "min.insync.replicas", "2")
        self._undo = away.start

    def _reassign(self) -> None:
        """Away from its leader, and then to all three again."""
        leader = self._cluster.leader(self._topic)
        others = [number for number in sorted(self._cluster.brokers) if number != leader]
        self.rng.shuffle(others)
        self._cluster.reassign(self._topic, 0, others)
        self._undo = lambda: self._cluster.reassign(self._topic, 0, [*others, leader])

    def _raise_partitions(self) -> None:
        if len(self._cluster.partitions(self._topic)) < MOST_PARTITIONS:
            self._cluster.raise_partitions(self._topic)

    def _recreate(self) -> None:
        topic = f"{self._prefix}{RECREATED}"
        self._cluster.recreate(topic)
        self._watcher.catch_up()
        self.deleted |= {identity for identity in self._watcher.contents.copy() if identity[0] == RECREATED}

    def _throttle(self) -> None:
        self._cluster.throttle(THROTTLED)
        self._until_spooled("throttled")
        self._pause(2.0, 8.0)
        self._cluster.throttle(None)

    def _take_rights(self) -> None:
        self._cluster.take_rights()
        self._until_spooled("without rights")
        eventually(lambda: self.acknowledgements.page["broker_refusal"], WELL_SECONDS, "the refusal is said")
        self._pause(1.0, 8.0)
        self._cluster.give_rights()

    def _take_password(self) -> None:
        self._cluster.take_password()
        self._until_spooled("without a password")
        self._pause(1.0, 8.0)
        self._cluster.give_password()
