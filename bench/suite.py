"""The sections of a run, in order: what is measured, how often. `bench.rows` says what follows from it.

Rounds alternate ours and theirs, so that a ratio is of one moment. A section that fails costs only its own rows.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from bench import archives, connections, consumer, crates, ingest, micro, reading, road, rows, serializer, site, stored
from bench.processes import BenchFailed
from bench.report import Row
from bench.rows import BASE, LIMIT, RUST, SLOW_PEERS, Runs
from bench.services import Services
from bench.yardsticks import CLIENTS, Yardsticks
from wsadapter.errors import WsadapterError
from wsadapter.kafka import native_client

SECTIONS: Final = (
    "micro", "ingest", "stored", "archives", "road", "serializer", "consumer", "site", "connections", "reading",
)  # fmt: skip
QUICK_SECTIONS: Final = ("micro", "ingest", "road", "consumer")
"""A quick run has idle, restarts and memory in its one start of the whole road."""
QUICK_SECONDS: Final = 45.0
NEED_KAFKA: Final = frozenset(SECTIONS[4:])


class Size(Struct, frozen=True):
    """How much is measured. ``seconds`` of each paced run; ``peer_blast``: frames for those that take long;
    ``backlog``: frames in Kafka for a consumer to catch up."""

    rounds: int
    blast: int
    peer_blast: int
    backlog: int
    seconds: float
    counts: tuple[int, ...]
    quick: bool


FULL: Final = Size(3, 200_000, 60_000, 400_000, 8, connections.COUNTS, False)
QUICK: Final = Size(1, 20_000, 8_000, 80_000, 1.2, connections.COUNTS[:2], True)


class Suite:
    """``say``: progress, one line a measurement. ``figures``: section -> what it found, for the result files."""

    def __init__(self, size: Size, directory: Path, services: Services, yardsticks: Yardsticks,
                 say: Callable[[str], None]) -> None:  # fmt: skip
        self.size, self._directory, self._services, self._yardsticks = size, directory, services, yardsticks
        self._say = say
        self.rows: list[Row] = []
        self.notes: list[str] = []
        self.figures: dict[str, dict[str, Any]] = {}
        self.failed = False
        self._began = time.monotonic()

    def run(self, section: str) -> None:
        sections: dict[str, Callable[[], None]] = {
            "micro": self._micro, "ingest": self._ingest, "road": self._road, "serializer": self._serializer,
            "consumer": self._consumer, "site": self._site, "connections": self._connections, "stored": self._stored,
            "reading": self._reading, "archives": self._archives,
        }  # fmt: skip
        try:
            sections[section]()
        except (BenchFailed, WsadapterError, OSError) as error:
            self.failed = True
            # the last line: what went wrong, without the commands and paths of this machine
            self.notes.append(f"{section} failed: {str(error).splitlines()[-1]}")
            self._say(f"{section} failed: {error}")
        finally:
            if section in self.figures:
                self.rows += rows.OF[section](self.figures[section])
            if section == "road" and "site" in self.figures:
                self.rows += rows.of_site(self.figures["site"])

    def _can(self, name: str) -> bool:
        if reason := self._yardsticks.missing(name):
            if reason not in self.notes:
                self.notes.append(reason)
            return False
        return True

    def _rust(self, *names: str) -> list[str]:
        """Those of these yardsticks in Rust that run here, built; a quick run has no time for a build."""
        found = []
        for name in names:
            crate = CLIENTS[name].crate
            if (self.size.quick and not crates.program(crate).exists()) or not self._can(name):
                continue
            if not crates.program(crate).exists():
                self._say(f"cargo builds {crate}, once: some minutes ...")
            try:
                crates.build(crate)
            except BenchFailed as error:
                self.notes.append(str(error))
                continue
            found.append(name)
        return found

    def _late(self, what: str) -> bool:
        """Whether a quick run has no time left for it: a minute is what was promised."""
        late = self.size.quick and time.monotonic() - self._began > QUICK_SECONDS
        if late:
            self.notes.append(f"{what}: no time left in a quick run")
        return late

    def _one(self, what: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self._say(f"{what} ...")
        found = measure()
        cost = f"{found['cpu_us']:.2f} us" if "cpu_us" in found else "done"
        rate = f", {found['per_s']:,.0f}/s" if "per_s" in found else ""
        latency = f", p50 {found['latency_ms']['p50']:.1f} ms" if "latency_ms" in found else ""
        self._say(f"{what}: {cost}{rate}{latency}")
        return found

    def _micro(self) -> None:
        self._say("micro ...")
        self.figures["micro"] = micro.measure(self.size.quick)

    def _stored(self) -> None:
        self._say("reading what was recorded ...")
        self.figures["stored"] = stored.measure(self._services.url, self.size.rounds + 2)

    def _archives(self) -> None:
        self._say("importing what a venue publishes ...")
        self.figures["archives"] = archives.measure(self._services.url, self.size.rounds + 2)

    def _ingest(self) -> None:
        size, directory, paced = self.size, self._directory, int(5000 * self.size.seconds)
        names = ("ours", "unchecked", "picows-msgspec", "paced", "paced theirs")
        found: dict[str, Runs] = {name: [] for name in names}
        self.figures["ingest"] = found
        theirs = partial(self._yardsticks.run, "picows-msgspec", directory, pin=True)
        ours = partial(ingest.run_alone, directory)
        can = self._can("picows-msgspec")
        rust, limit = (self._rust(name) for name in ("rust", "limit-scan"))
        found.update({name: [] for name in (*rust, *limit)})
        for _ in range(size.rounds):
            for name in rust:
                run = partial(self._yardsticks.run, name, directory, size.blast, 0, pin=True)
                self._beside(found[name], name, run)
            if can:
                found["picows-msgspec"].append(self._one("picows-msgspec, blast", partial(theirs, size.blast, 0)))
            found["ours"].append(self._one("ingest, blast", partial(ours, size.blast, 0)))
            if not size.quick:
                run = partial(ours, size.blast, 0, module="bench.unchecked_ingest")
                found["unchecked"].append(self._one("ingest without decimal checks, blast", run))
        for _ in range(min(2, size.rounds)):
            for name in limit:
                run = partial(self._yardsticks.run, name, directory, paced, 5000, pin=True)
                self._beside(found[name], f"{name}, 5,000/s", run)
            if can:
                found["paced theirs"].append(self._one("picows-msgspec, 5,000/s", partial(theirs, paced, 5000)))
            found["paced"].append(self._one("ingest, 5,000/s", partial(ours, paced, 5000)))

    def _road(self) -> None:
        """Blast and the slow feed from one start of the product, the slow feed at another linger from a second. A quick
        run has one start for everything, the consumer included."""
        found = self.figures["road"] = {"blast": self.size.blast, "seconds": self.size.seconds}
        if not self.size.quick:
            with self._product(5) as five:
                five.keep_alive()
                self._blast(five, found)
                self._slow(five, 5, found)
            with self._product(1) as one:
                one.keep_alive()
                self._slow(one, 1, found)
            return
        with self._product(1, clickhouse=self._services.url) as one:
            quiet = {"idle": site.idle(one.product, 2)}
            one.keep_alive()
            self._blast(one, found)
            self._slow(one, 1, found)
            self.figures["site"] = quiet | site.restarts(one, 1, 0.3) | site.memory_of(one.product)

    @contextmanager
    def _product(self, linger: float, **options: Any) -> Iterator[road.Road]:
        self._say(f"the product starts (linger {linger:g} ms) ...")
        with closing(road.Road(self._directory, self._services, linger, **options)) as made:
            yield made

    def _blast(self, product: road.Road, found: dict[str, Any]) -> None:
        size = self.size
        counts = {BASE: size.blast, "websockets-json-kafka": size.peer_blast, "cryptofeed-kafka": size.peer_blast // 6}
        peers = [name for name in (BASE, *SLOW_PEERS) if self._can(name)] + self._rust(RUST, LIMIT)
        counts |= {RUST: size.blast, LIMIT: size.blast}
        found.update({name: [] for name in ("ours", *peers)})
        for number in range(size.rounds):
            for name in peers:
                if name not in SLOW_PEERS or number < 2:
                    run = partial(self._yardstick, name, counts[name])
                    self._beside(found[name], name, run)
            found["ours"].append(self._one("whole road, blast", partial(product.run, size.blast)))

    def _beside(self, runs: Runs, name: str, run: Callable[[], dict[str, Any]]) -> None:
        """A peer that does not run here costs only its own row; without the base line the section has no meaning."""
        try:
            runs.append(self._one(f"{name}, blast", run))
        except BenchFailed as error:
            if name == BASE:
                raise
            self.notes.append(f"{name} failed: {str(error).splitlines()[-1][:200]}")

    def _slow(self, product: road.Road, linger: int, found: dict[str, Any]) -> None:
        count = int(2000 * self.size.seconds)
        ours: Runs = found.setdefault(f"2000/s linger {linger}", [])
        theirs: Runs = found.setdefault(f"{BASE} 2000/s linger {linger}", [])
        rust = self._rust(RUST)
        found.update({f"{name} 2000/s linger {linger}": [] for name in rust})
        for _ in range(min(2, self.size.rounds)):
            for name in rust:
                run = partial(self._yardstick, name, count, rate=2000.0, linger=linger, latency=True)
                self._beside(found[f"{name} 2000/s linger {linger}"], f"{name}, 2,000/s, linger {linger} ms", run)
            if self._can(BASE):
                run = partial(self._yardstick, BASE, count, rate=2000.0, linger=linger, latency=True)
                theirs.append(self._one(f"{BASE}, 2,000/s, linger {linger} ms", run))
            run = partial(product.run_with_latency, count, 2000)
            ours.append(self._one(f"whole road, 2,000/s, linger {linger} ms", run))

    def _yardstick(self, name: str, count: int, **options: Any) -> dict[str, Any]:
        return road.yardstick(self._yardsticks, self._services, self._directory, name, count, **options)

    def _serializer(self) -> None:
        size, common = self.size, (self._directory, self._services)
        self.figures["serializer"] = {
            "paced": self._one("serializer, 5,000/s", partial(serializer.paced, *common, int(5000 * size.seconds))),
            "bare": self._one("bare producer", partial(serializer.bare, *common, size.blast)),
            "direct": [], "confluent": [],
        }  # fmt: skip
        for _ in range(size.rounds):
            for name, module in (("confluent", serializer.CONFLUENT), ("direct", serializer.DIRECT)):
                run = partial(serializer.full_ring, *common, size.blast, module)
                self.figures["serializer"][name].append(self._one(f"serializer, full ring, {name}", run))

    def _consumer(self) -> None:
        """The serializer's own benchmark fills the topics."""
        found: dict[str, Runs] = {"ours": [], "raw": [], "insert": [], "framing": [], "serializer": []}
        self.figures["consumer"] = found
        for number in range(self.size.rounds):
            slow = number < 2 and not self._late("bare consumer, insert")
            framing = ("framing",) if native_client.AVAILABLE else ()
            self._consumer_round(found, (*framing, "raw", *(("insert",) if slow else ())))

    def _consumer_round(self, found: dict[str, Runs], modes: tuple[str, ...]) -> None:
        services, directory, prefix = self._services, self._directory, self._services.prefix()
        kafka, filled = services.topics(prefix), ExitStack()
        full: list[serializer.FullRing] = []

        def prepare() -> None:
            full.append(filled.enter_context(closing(serializer.FullRing(directory, self.size.backlog))))

        def deliver() -> int:
            run = partial(full[0].deliver, directory, kafka)
            found["serializer"].append(self._one("serializer, full ring", run))
            return full[0].events

        with filled:
            run = partial(consumer.ours, directory, services, kafka, prepare, deliver)
            found["ours"].append(self._one("consumer", run))
        for mode in modes:
            run = partial(consumer.bare, mode, directory, services, kafka, full[0].events)
            found[mode].append(self._one(f"bare consumer, {mode}", run))
        services.drop_topics(f"{prefix}.")

    def _site(self) -> None:
        self._say("a whole instance: idle, restarts, memory ...")
        self.figures["site"] = site.measure(self._directory, self._services)

    def _connections(self) -> None:
        points: Runs = []
        self.figures["connections"] = {"points": points}
        for count in self.size.counts:
            run = partial(connections.measure, self._directory, self._services, count, self.size.seconds)
            points.append(self._one(f"{count} connections, 4,000/s together", run))

    def _reading(self) -> None:
        count = self.size.backlog
        kafka = reading.prepared(self._services, count)
        found: dict[str, Runs] = {name: [] for name in reading.LOOPS}
        self.figures["reading"] = found
        for _ in range(self.size.rounds):
            for name, loop in reading.LOOPS.items():
                found[name].append(self._one(f"reading trades from Kafka, {name}", partial(loop, kafka, count)))
