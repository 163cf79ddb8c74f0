"""The sections of a run, in order: what is measured, how often, and which rows of the table follow from it.

Rounds alternate ours and theirs, so that a ratio is of one moment. A section that fails costs only its own rows.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from bench import connections, consumer, ingest, micro, road, serializer, site
from bench.accounts import median
from bench.processes import BenchFailed
from bench.report import Row, compared
from bench.services import Services
from bench.yardsticks import Yardsticks
from wsadapter.errors import WsadapterError

Runs = list[dict[str, Any]]
BASE: Final = "picows-proto-kafka"


class Size(Struct, frozen=True):
    """How much is measured. ``seconds`` of each paced run."""

    rounds: int
    blast: int
    slow_blast: int
    seconds: float
    counts: tuple[int, ...]
    quick: bool


FULL: Final = Size(3, 200_000, 60_000, 8, connections.COUNTS, False)
QUICK: Final = Size(1, 30_000, 10_000, 1.5, (), True)


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
        self.sections: dict[str, Callable[[], None]] = {
            "micro": self._micro, "ingest": self._ingest, "road": self._road, "serializer": self._serializer,
            "consumer": self._consumer, "site": self._site, "connections": self._connections,
        }  # fmt: skip

    def run(self, section: str) -> None:
        try:
            self.sections[section]()
        except (BenchFailed, WsadapterError, OSError) as error:
            self.failed = True
            self.notes.append(f"{section}: {error}")
            self._say(f"[red]{section} failed:[/] {error}")

    def _can(self, name: str) -> bool:
        if reason := self._yardsticks.missing(name):
            if reason not in self.notes:
                self.notes.append(reason)
            return False
        return True

    def _one(self, what: str, measure: Callable[[], dict[str, Any]], figure: str = "cpu_us") -> dict[str, Any]:
        self._say(f"{what} ...")
        found = measure()
        rate = f", {found['per_s']:,.0f}/s" if "per_s" in found else ""
        self._say(f"{what}: {found[figure]:.2f} us{rate}" if figure in found else f"{what}: done")
        return found

    def _micro(self) -> None:
        self._say("micro ...")
        found = self.figures["micro"] = micro.measure(self._directory, self.size.quick)
        costs, codec = found["ring"], found["codec_us"]["all"]
        self.rows += [
            Row("ring: put / poll one record", costs["put_us"], "us", shown=f"{costs['poll_us']:.2f} us to poll"),
            Row("decode a frame of the mix to its event", codec["receive"] / codec["bare"], "x",
                shown=f"{codec['receive']:.2f} us : {codec['bare']:.2f} us bare typed decode"),
            Row("build key and message", codec["build"], "us", shown=f"{codec['encode']:.2f} us to encode a record"),
            Row("wake-up, one process to another", found["wake_up"]["p50_us"], "us",
                shown=f"p99 {found['wake_up']['p99_us']:.0f} us"),
        ]  # fmt: skip

    def _ingest(self) -> None:
        size, directory = self.size, self._directory
        found: dict[str, Runs] = {"ours": [], "unchecked": [], "picows-msgspec": [], "paced": [], "paced theirs": []}
        can = self._can("picows-msgspec")

        def theirs(count: int, rate: float) -> dict[str, Any]:
            return self._yardsticks.run("picows-msgspec", directory, count, rate, pin=True)

        for _ in range(size.rounds):
            if can:
                found["picows-msgspec"].append(self._one("picows-msgspec, blast", lambda: theirs(size.blast, 0)))
            ours = self._one("ingest, blast", lambda: ingest.run_alone(directory, size.blast, 0))
            found["ours"].append(ours)
            if not size.quick:
                module = "bench.unchecked_ingest"
                found["unchecked"].append(
                    self._one("ingest without decimal checks",
                              lambda: ingest.run_alone(directory, size.blast, 0, module=module))
                )  # fmt: skip
        for _ in range(min(2, size.rounds)):
            count = int(5000 * size.seconds)
            if can:
                found["paced theirs"].append(self._one("picows-msgspec, 5,000/s", lambda: theirs(count, 5000)))
            ours = self._one("ingest, 5,000/s", lambda: ingest.run_alone(directory, count, 5000))
            found["paced"].append(ours)
        self.figures["ingest"] = found
        base = found["picows-msgspec"]
        self.rows += [
            compared("ingest, blast: CPU/event against picows-msgspec", found["ours"], base, "cpu_us", 1.7, 1.3),
            compared("  the same without decimal checks", found["unchecked"], base if found["unchecked"] else [], "cpu_us"),
            compared("ingest at 5,000/s: CPU/event", found["paced"], found["paced theirs"], "cpu_us", 1.25, 1.1),
        ]

    def _yardstick(self, name: str, count: int, **options: Any) -> dict[str, Any]:
        return road.yardstick(self._yardsticks, self._services, self._directory, name, count, **options)

    def _road(self) -> None:
        """Blast and the slow feed at linger 5 ms from one start of the product, the slow feed at 1 ms from another."""
        size, found = self.size, self.figures.setdefault("road", {})
        with self._product(5) as five:
            self._blast(five, found)
            self._slow(five, 5, found)
        with self._product(1) as one:
            self._slow(one, 1, found)
        ours, base = found["ours"], found.get(BASE, [])
        self.rows += [
            compared(f"whole road, blast: CPU/event against {BASE}", ours, base, "cpu_us", 1.0, 0.7),
            compared("whole road, blast: events/s", ours, base, "per_s", 1.0, 1.3, more=True),
        ]
        for name, target, stretch in (("websockets-json-kafka", 1 / 2, 1 / 3), ("cryptofeed-kafka", 1 / 20, 1 / 30)):
            what = f"whole road, blast: CPU/event against {name}"
            theirs = found.get(name, [])
            self.rows.append(compared(what, ours[: len(theirs)], theirs, "cpu_us", target, stretch))
        for linger, target, stretch in ((1, 1.5, 1.2), (5, 1.25, 1.0)):
            mine, theirs = found[f"2000/s linger {linger}"], found.get(f"{BASE} 2000/s linger {linger}", [])
            what = f"whole road at 2,000/s, linger {linger} ms: CPU/event"
            self.rows.append(compared(what, mine, theirs, "cpu_us", target, stretch))
            for name, goal, more in (("p50", 3, 2), ("p99", 15, 8)):
                value = median(run["latency_ms"][name] for run in mine)
                beside = f"{BASE} {median(run['latency_ms'][name] for run in theirs):.3g} ms" if theirs else ""
                bounds = (goal, more) if linger == 1 else (None, None)
                self.rows.append(Row(f"  venue write -> in the broker, {name}", value, "ms", *bounds, shown=beside))
        self.figures["road"]["size"] = {"blast": size.blast, "seconds": size.seconds}

    @contextmanager
    def _product(self, linger: float) -> Iterator[road.Road]:
        self._say(f"the product starts (linger {linger:g} ms) ...")
        with closing(road.Road(self._directory, self._services, linger)) as made:
            yield made

    def _blast(self, product: road.Road, found: dict[str, Any]) -> None:
        size = self.size
        peers = [name for name in (BASE, "websockets-json-kafka", "cryptofeed-kafka") if self._can(name)]
        found.update({name: [] for name in ("ours", *peers)})
        for number in range(size.rounds):
            for name in peers:
                if name != BASE and number > 1:
                    continue
                count = size.blast if name == BASE else size.slow_blast if "websockets" in name else size.slow_blast // 6
                found[name].append(self._one(f"{name}, blast", lambda n=name, c=count: self._yardstick(n, c)))  # type: ignore[misc]
            found["ours"].append(self._one("whole road, blast", lambda: product.run(size.blast)))

    def _slow(self, product: road.Road, linger: float, found: dict[str, Any]) -> None:
        size, count = self.size, int(2000 * self.size.seconds)
        ours: Runs = found.setdefault(f"2000/s linger {linger}", [])
        theirs: Runs = found.setdefault(f"{BASE} 2000/s linger {linger}", [])
        for _ in range(min(2, size.rounds)):
            if self._can(BASE):
                theirs.append(
                    self._one(f"{BASE}, 2,000/s, linger {linger}",
                              lambda: self._yardstick(BASE, count, rate=2000.0, linger=linger, latency=True))
                )  # fmt: skip
            ours.append(
                self._one(f"whole road, 2,000/s, linger {linger}", lambda: product.run_with_latency(count, 2000))
            )

    def _serializer(self) -> None:
        size = self.size
        found = self.figures["serializer"] = {
            "paced": self._one("serializer, 5,000/s", lambda: serializer.paced(
                self._directory, self._services, int(5000 * size.seconds))),
            "bare": self._one("bare producer", lambda: serializer.bare(self._directory, self._services, size.blast)),
        }  # fmt: skip
        self.rows.append(Row("serializer at 5,000/s: CPU/event", found["paced"]["cpu_us"], "us"))

    def _consumer(self) -> None:
        """The serializer's own benchmark fills the topics."""
        size, services, directory = self.size, self._services, self._directory
        found: dict[str, Runs] = {"ours": [], "raw": [], "insert": [], "serializer": []}
        for number in range(size.rounds):
            prefix = services.prefix()
            kafka = services.topics(prefix)
            events = 0

            def deliver(kafka: Any = kafka) -> int:
                nonlocal events
                events, cost = serializer.full_ring(directory, kafka, size.blast)
                found["serializer"].append(self._one("serializer, full ring", lambda: cost))
                return events

            ours = self._one("consumer", lambda kafka=kafka: consumer.ours(directory, services, kafka, deliver))  # type: ignore[misc]
            found["ours"].append(ours)
            for mode in ("raw", "insert") if number == 0 or not size.quick else ("raw",):
                theirs = self._one(f"bare consumer, {mode}",
                                   lambda m=mode, k=kafka, e=events: consumer.bare(m, directory, services, k, e))  # type: ignore[misc]  # fmt: skip
                found[mode].append(theirs)
            services.drop_topics(f"{prefix}.")
        self.figures["consumer"] = {name: runs for name, runs in found.items()}
        best = min(run["cpu_us"] for run in found["serializer"])
        ours = found["ours"]
        self.rows += [
            Row("serializer, full ring: CPU/event", best, "us"),
            compared("consumer: CPU/row against consume + raw_insert", ours, found["raw"], "cpu_us", 1.5, 1.2),
            compared("consumer: CPU/row against decode + insert", ours, found["insert"], "cpu_us", 1 / 6, 1 / 8),
            compared("consumer: rows/s against decode + insert", ours, found["insert"], "per_s", 2.5, 4, more=True),
        ]

    def _site(self) -> None:
        self._say("a whole instance: idle, restarts, memory ...")
        found = self.figures["site"] = site.measure(self._directory, self._services, self.size.quick)
        each = ", ".join(f"{name} {share:.2f}" for name, share in found["idle"]["each"].items())
        self.rows.append(Row("idle, connected, all processes", found["idle"]["percent"], "%", 1, 0.3, shown=each))
        for role, took in found["restart_median_s"].items():
            self.rows.append(Row(f"{role} killed to its first new data", took, "s", 1.5, 0.8))
        bounds = {"ingest": 40, "serializer": 60, "consumer": 120, "supervisor": 40, "monitor": 50}
        for role, bound in bounds.items():
            rss = f"RSS {found['rss_mb'][role]:.0f} MB"
            self.rows.append(Row(f"RssAnon of {role}, peak", found["rss_anon_mb"][role], "MB", bound, shown=rss))

    def _connections(self) -> None:
        points: Runs = []
        for count in self.size.counts:
            points.append(
                self._one(f"{count} connections, 4,000/s together", lambda n=count: connections.measure(  # type: ignore[misc]
                    self._directory, self._services, n, self.size.seconds))
            )  # fmt: skip
        self.figures["connections"] = {"points": points}
        for point in points:
            what = f"{point['connections']} connections, {connections.RATE:,}/s together: CPU/event"
            shown = f"ingests {point['roles']['ingest']:.1f} us, {point['total_anon_mb']:.0f} MB of their own"
            self.rows.append(Row(what, point["cpu_us"], "us", shown=shown))
