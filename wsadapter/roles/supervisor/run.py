"""One run of an instance: claim it, adopt or create its rings, supervise its processes, account for every event.

The composition root: the one place that puts configuration, rings, topology, stand-ins and supervisor together. With
``embedded`` Kafka and ClickHouse are children too; with ``demo`` the venue is. The roles do not know the difference.
"""

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from wsadapter import log
from wsadapter import metrics as stats_fields
from wsadapter.config import load as configuration
from wsadapter.config.load import Config, Feed, ProcessConfig
from wsadapter.config.types import address
from wsadapter.embedded.ports import LOOPBACK, free_port
from wsadapter.errors import ConfigError, ExitCode
from wsadapter.exchanges import REGISTRY
from wsadapter.roles.supervisor import topology
from wsadapter.roles.supervisor.options import RunOptions
from wsadapter.roles.supervisor.rings import LastReceived, Rings
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.instance import Instance
from wsadapter.supervision.process import ChildSpec, page_name
from wsadapter.supervision.supervisor import Supervisor, SupervisorCallbacks


class Reporter(Protocol):
    """What a person sees of a run that shows something."""

    lost: int

    def start(self) -> None: ...

    def account(self, deadline: float) -> None: ...


DEMO_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
DEMO_STREAMS: Final = (
    "kline", "ticker", "depth", "trade", "mark_price", "funding_rate", "liquidation", "book_ticker",
    "open_interest",
)  # fmt: skip
MAX_REPLAY_SYMBOLS: Final = 500
MARKET_RATE: Final = 1000
_OUTCOMES: Final[Mapping[str, Mapping[str, int]]] = {
    "exchange": {},
    "ingest": {"events_total": 1},
    "repairer": {"records_total": 1},
    "serializer": dict.fromkeys(("copies_total", "dead_letters_total", "spool_lost_total"), -1),
    "consumer": dict.fromkeys(
        ("accepted_rows_total", "rejected_rows_total", "filtered_rows_total", "dead_letters_total"), -1
    ),
}
"""Roles of the road: what went into the rings, and all that can become of it."""


class Run:
    """What lives as long as the run: the instance's lock, the rings, the venue's ports."""

    def __init__(self, options: RunOptions, instance: Instance) -> None:
        self._options = options
        self._instance = instance
        self._venue_ports = (free_port(), free_port()) if options.demo or options.replay else None
        self.config = self.adapted(options.config)
        self._plans = topology.plans(self.config)
        service = self.config.service
        self.rings = Rings(
            service.instance,
            self.config.ring.capacity_bytes,
            instance.next_epoch,
            self.config.process_of("serializer").count,
            service.state_dir,
        )
        self.received = LastReceived(service.state_dir)
        self.rings.open(topology.ring_names(self.config, self._plans), topology.redundant(self._plans))
        self.specs = self._specs()

    def adapted(self, config: Config) -> Config:
        """With a venue of our own: its address in every Binance feed, and a feed where there is none."""
        if self._venue_ports is None:
            return config
        ws_port, rest_port = self._venue_ports
        ws_url, rest_url = f"ws://{LOOPBACK}:{ws_port}", f"http://{LOOPBACK}:{rest_port}"
        feeds = config.feed or (self._demo_feed(),)
        return msgspec.structs.replace(
            config,
            service=msgspec.structs.replace(config.service, log_format="console", log_level="warning"),
            process=config.process | ({} if self._has_history else {"repairer": ProcessConfig(count=0)}),
            feed=tuple(
                msgspec.structs.replace(feed, ws_url=ws_url, rest_url=rest_url) if feed.exchange == "binance" else feed
                for feed in feeds
            ),
        )

    @property
    def _has_history(self) -> bool:
        """Whether the venue's REST knows what it streams: replayed and prepared frames it does not."""
        return not self._options.replay and _load_of(self._options.rate).get("mode", "market") == "market"

    def _demo_feed(self) -> Feed:
        symbols = replay_symbols(self._options.replay) if self._options.replay else DEMO_SYMBOLS
        return Feed(name="binance", exchange="binance", symbols=symbols, streams=DEMO_STREAMS)

    def _stand_ins(self) -> list[ChildSpec]:
        config, options = self.config, self._options
        found = []
        if self._venue_ports is not None:
            ws_port, rest_port = self._venue_ports
            symbols = sorted({symbol for feed in config.feed for symbol in feed.symbols})
            found.append(
                topology.stand_in(
                    config,
                    "exchange",
                    stats_fields.EXCHANGE,
                    ws_port=ws_port,
                    rest_port=rest_port,
                    symbols=symbols,
                    connections=sum(plan.exchange == "binance" for plan in self._plans),
                    replay=options.replay or "",
                    speed=options.speed,
                    **_load_of(options.rate),
                )
            )
        if options.embedded:
            found += [topology.stand_in(config, role, stats_fields.SERVICE) for role in ("kafka", "clickhouse")]
        return found

    def _specs(self) -> tuple[ChildSpec, ...]:
        return topology.specs(self.config, self._plans, self.rings, self.received.of, self._stand_ins(), os.getpid())

    def reload(self) -> tuple[Config, Sequence[ChildSpec]] | None:
        """Read the configuration again; raises `ConfigError` when it is not valid, and nothing has changed then."""
        options = self._options
        config = self.adapted(
            configuration.load(options.config_path, os.environ, demo=options.demo, implemented=tuple(REGISTRY))
        )
        fixed = (self.config.service, self.config.ring, self.config.monitor)
        if (config.service, config.ring, config.monitor) != fixed:
            raise ConfigError([("service", "a reload cannot change [service], [ring] or [monitor]: restart instead")])
        plans = topology.plans(config)
        if config == self.config:
            return None
        self.config, self._plans = config, plans
        self.rings.open(topology.ring_names(config, plans), topology.redundant(plans))
        self.specs = self._specs()
        return config, self.specs

    def counters(self, role: str) -> list[dict[str, int]]:
        """The stats pages of a role's children, as they are now."""
        found = []
        for spec in self.specs:
            if spec.role == role:
                page = StatsPage.attach(page_name(self.config.service.instance, spec.name))
                found.append(page.read())
                page.release()
        return found

    @cached_property
    def _unfinished(self) -> bool:
        """Not everything that was counted into a ring has come out at the other end: something is kept in a ring, on
        the spool or in Kafka for the next start."""
        left = sum(
            outcomes.get(field.partition("{")[0], 0) * count
            for role, outcomes in _OUTCOMES.items()
            for page in self.counters(role)
            for field, count in page.items()
        )
        return left != 0

    def keeps(self, name: str) -> bool:
        """Whether this child's counts are kept for the next start. Those of the road are kept or dropped together, or
        the next run's would not balance."""
        return self._unfinished and any(spec.name == name and spec.role in _OUTCOMES for spec in self.specs)

    def remember(self) -> None:
        """Keep when each connection last received, and what is polled, for the first gap of the next run."""
        connections = [spec.name for spec in self.specs if spec.role == "ingest"]
        pages = self.counters("ingest")
        received = {name: page["last_receive_ns"] for name, page in zip(connections, pages, strict=True)}
        polled = (cell for page in self.counters("repairer") for cell in page.items())
        begins = "stream_last_ns"
        self.received.keep(received | {f.removeprefix(begins): at for f, at in polled if f.startswith(begins)})


def run(options: RunOptions, report: Callable[["Run"], Reporter]) -> int:
    """Supervise until a signal, the end of ``duration`` or of the replay; the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the supervisor takes it: too early is no reason to die
    service = options.config.service
    shows = options.demo or options.replay is not None
    log_format, log_level = ("console", "warning") if shows else (service.log_format, service.log_level)
    log.setup(log_format, log_level, role="supervisor", name="supervisor")
    for warning in configuration.warnings(options.config):
        log.get_logger().warning(warning)
    topology.plans(options.config)  # a feed that its venue does not offer is refused before anything is touched
    instance = Instance.claim(service.state_dir, service.drain_seconds)
    _require_free(options)
    made = Run(options, instance)
    reporter: list[Reporter] = []
    supervisor: list[Supervisor] = []

    def on_ready() -> None:
        if options.replay is not None:
            threading.Thread(target=_await_replay, args=(made, supervisor[0]), name="replay", daemon=True).start()

    def on_drained(deadline: float) -> None:
        made.remember()
        for shown in reporter:
            shown.account(deadline)

    hooks = SupervisorCallbacks(
        on_ready=on_ready,
        on_drained=on_drained,
        drained_group=topology.DRAINED_GROUP,
        unkept_loss=made.rings.missing,
        reload=made.reload,
        keep_page=made.keeps,
    )
    supervisor.append(Supervisor(made.config, made.specs, instance, hooks=hooks, run_for=options.duration))
    if shows:
        reporter.append(report(made))
        reporter[0].start()
    code = supervisor[0].run()
    made.rings.close()
    instance.release()
    if code == ExitCode.OK and any(shown.lost for shown in reporter):
        return ExitCode.LOSS
    return code


def _load_of(rate: int | None) -> dict[str, Any]:
    """A venue that computes its markets manages about a thousand frames a second beside everything else; above that
    it sends prepared ones."""
    return {} if rate is None else {"rate": rate, "mode": "market" if rate <= MARKET_RATE else "blast"}


def replay_symbols(path: str) -> tuple[str, ...]:
    """The symbols that a frame file names, the most frequent first (at most `MAX_REPLAY_SYMBOLS`)."""
    from wsadapter.embedded.exchange.replay import open_lines

    seen: dict[str, int] = {}
    with open_lines(Path(path)) as lines:
        for line in lines:
            for symbol in re.findall(rb'"s":\s*"([^"]+)"', line):
                text = symbol.decode(errors="replace")
                seen[text] = seen.get(text, 0) + 1
    if not seen:
        raise ConfigError([("replay", f"{path} names no symbol: not a frame file")])
    return tuple(sorted(seen, key=lambda symbol: -seen[symbol])[:MAX_REPLAY_SYMBOLS])


def _await_replay(made: Run, supervisor: Supervisor) -> None:
    """Stop the run when the venue has handed out the last frame; the drain sees to the rest."""
    waiting = threading.Event()
    while not made.counters("exchange")[0]["replay_done"]:
        waiting.wait(0.2)
    supervisor.stop()


def _require_free(options: RunOptions) -> None:
    """Refuse to start on addresses that somebody else serves."""
    config = options.config
    wanted = [("monitor.listen", config.monitor.listen)]
    if options.embedded:
        wanted.append(("kafka.bootstrap_servers", config.kafka.bootstrap_servers.partition(",")[0]))
        wanted.append(("clickhouse.url", urlsplit(config.clickhouse.url).netloc))
    errors = []
    for key, text in wanted:
        host, port = address(text)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                errors.append((key, f"{text}: {error.strerror}"))
    if errors:
        raise ConfigError(errors)
