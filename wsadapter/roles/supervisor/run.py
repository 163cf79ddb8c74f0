"""One run of an instance: claim it, adopt or create its rings, supervise its processes, account for every event.

The composition root: the one place that puts configuration, rings, topology, stand-ins and supervisor together.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from functools import cached_property
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from wsadapter import log
from wsadapter.audit.hops import COUNTING_ROLES, PIPELINE, totals
from wsadapter.config import instance as names
from wsadapter.config.model import Config
from wsadapter.config.shards import Shard
from wsadapter.config.types import address
from wsadapter.config.warnings import warnings
from wsadapter.embedded.demo import StandIns
from wsadapter.errors import ConfigError, ExitCode
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.files import StateDirectory
from wsadapter.listings import feeds
from wsadapter.roles.supervisor import connection_states, left_streams, listed, partitions, replayed, topology
from wsadapter.roles.supervisor.announced import Announced
from wsadapter.roles.supervisor.changes import changes
from wsadapter.roles.supervisor.connection_states import SAVE_SECONDS, ConnectionStates
from wsadapter.roles.supervisor.left_streams import Left
from wsadapter.roles.supervisor.retired import RetiredCounters
from wsadapter.roles.supervisor.rings import Rings
from wsadapter.roles.supervisor.topology import Assembly
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.instance import Instance
from wsadapter.supervision.process import ChildSpec, page_name
from wsadapter.supervision.signals import NotedSignal
from wsadapter.supervision.spawn import ForkServer
from wsadapter.supervision.supervisor import Application, Children, Supervisor

REPLAY_CHECK_SECONDS: Final = 0.2
FORKED: Final = ("wsadapter.roles.ingest", "wsadapter.roles.serializer", "wsadapter.embedded.exchange")
"""Whose imports the fork server has: those of which there are many or whose restart is waited for. Each further one
would be in the memory of all."""


class RunOptions(Struct, frozen=True):
    """``reload`` reads the configuration again; ``duration``: seconds after which to drain, None = until a signal."""

    config: Config
    reload: Callable[[], Config]
    stand_ins: StandIns = StandIns()
    duration: float | None = None


class RunReporter(Protocol):
    """What a person sees of a run that shows something. ``lost``: events missing in its account."""

    lost: int

    def start(self, run: "Run") -> None: ...

    def account(self, deadline: float) -> None: ...


class Run(Application):
    """What lives as long as the run: the instance's lock, the rings, the current assembly and its child specs."""

    drained_group = topology.DRAINED_GROUP

    def __init__(self, options: RunOptions, instance: Instance, reporter: RunReporter | None) -> None:
        self._options = options
        self._reporter = reporter
        self._observe_at = 0.0
        self.announced = Announced()
        self.ask: Callable[[Config], None] = lambda config: None
        """To go on with a configuration: as with one that was read, but soon."""
        self._brought: set[str] = set()
        """Children that reloads bring, or begin anew, and that have no page yet."""
        self._going: dict[str, ChildSpec] = {}
        """Children that the last reload takes away, and that have their pages still."""
        self._listings: int | None = None
        """Of the repairer's listings, as many as were seen."""
        self._written = options.config
        self._assembly = self._assembled(options.config, None)
        service = self.config.service
        self.retired = RetiredCounters(service.instance)
        self.rings = Rings(
            service.instance,
            self.config.ring.capacity_bytes,
            instance.next_epoch,
            self.config.process_of("serializer").count,
            instance.state,
        )
        then = connection_states.carried(instance.state)
        self._left: Left = left_streams.between_runs(then, _by_name(self._assembly), time.time_ns())
        self.specs = self._open(self._assembly, self._left)
        self.states = ConnectionStates(instance.state, self.rings.survived, self.rings.progress)
        self.states.disown(self._assembly.rings)
        self._symbols = instance.state.file(feeds.SYMBOLS_FILE, feeds.Symbols, {})
        self._say_symbols(feeds.kept_symbols(instance.state.path))

    @property
    def config(self) -> Config:
        return self._assembly.config

    def _assembled(self, config: Config, now: Assembly | None) -> Assembly:
        """With what the stand-ins add to a configuration, and the symbols that its rules stand for. ``now``: what runs,
        None: nothing yet."""
        stand_ins = self._options.stand_ins
        declared = stand_ins.adapt(replayed.with_feeds(config, stand_ins))
        if now is None:
            return topology.assemble(declared)
        before = feeds.at_reload(declared, now.whole, now.resolved.symbols)
        return topology.assemble(declared, before, now.placement)

    def _open(self, assembly: Assembly, left: Left) -> Children:
        """The rings of the assembly, and its children. When it fails everything is as before."""
        stand_ins = self._options.stand_ins
        with self.rings.undone_on_error():
            self.rings.open(assembly.rings, assembly.redundant)
            exchanges = [plan.exchange for plan in assembly.plans]
            exchanges += [each.exchange for each in assembly.resolved.waiting]
            extra = stand_ins.children(assembly.declared, exchanges)
            made = topology.specs(assembly, self.rings, extra, os.getpid(), left)
            specs = self.announced.connect(made)
            topology.require_one_reader(self.rings, specs)
        return specs

    def reload(self) -> tuple[Config, Children] | None:
        return self.apply(self._options.reload())

    def apply(self, config: Config) -> tuple[Config, Children] | None:
        before = self._assembly.resolved.symbols
        assembly = self._assembled(config, self._assembly)
        _require_reloadable(self.config, assembly.config)
        if not self._differs(assembly.resolved):
            self._written, self._assembly = config, assembly  # other words for the same symbols
            log.get_logger().info("reload: unchanged")
            return None
        left = left_streams.after(self._left, _by_name(self._assembly), _by_name(assembly), time.time_ns())
        specs = self._open(assembly, left)
        changed = changes(self.specs, specs)
        log.get_logger().info(f"reload: {'; '.join(changed) or 'no process is concerned'}; nothing else changed")
        known = {spec.name: spec.fingerprint for spec in self.specs}
        names = {spec.name for spec in specs}
        with_page = {spec.name for spec in self.specs if spec.name not in self._brought or self._has_page(spec)}
        self._going = {spec.name: spec for spec in self.specs if spec.name in with_page - names}
        self._brought &= names
        self._brought |= {spec.name for spec in specs if known.get(spec.name) != spec.fingerprint}
        # last: what failed before is tried again by the next reload
        self._written, self._assembly, self.specs, self._left = config, assembly, specs, left
        self._say_symbols(before)
        return assembly.config, specs

    def _differs(self, now: feeds.ResolvedConfig) -> bool:
        then = self._assembly.resolved
        return (now.config, now.waiting, now.sources) != (then.config, then.waiting, then.sources)

    def _say_symbols(self, before: feeds.Symbols) -> None:
        """What the rules stand for now; kept for the next start."""
        if self._assembly.resolved.ruled:
            listed.say(self._assembly.resolved, before, time.time_ns())
            self._symbols.write(self._assembly.resolved.symbols)

    def _see_listings(self, pages: Iterable[tuple[ChildSpec, StatsPage]]) -> None:
        """Where the repairer has kept another listing: whether the rules stand for other symbols now."""
        counts = [page["listings_total"] for spec, page in pages if spec.role == "repairer"]
        if not counts or counts[0] == self._listings:
            return
        self._listings = counts[0]
        now = feeds.resolved(self._assembly.declared, self._assembly.resolved.symbols)
        if self._differs(topology.own_share(now)):
            self.ask(self._written)

    def on_page(self, spec: ChildSpec, page: StatsPage) -> None:
        with _not_fatal("a child is started without what is known of its connection", spec):
            self.states.prepare(spec, page)
        self._observe_at = 0.0  # a start after a kill of all must know whose the page is
        if spec.role == "ingest":
            page["by_reload"] = int(spec.name in self._brought)
        elif spec.role == "serializer":
            partitions.inherit(page, self.config.service.instance)
            self.rings.discard()
        self._brought.discard(spec.name)

    def on_order_done(self, spec: ChildSpec, page: StatsPage) -> None:
        with _not_fatal("what a connection has now is not kept", spec):
            self.states.changed(spec, page)
        self._observe_at = 0.0

    def on_leave(self, spec: ChildSpec, page: StatsPage, for_good: bool) -> None:
        with _not_fatal("what a child left is not kept", spec):
            self.states.retire(spec, page, for_good)
            if for_good:
                self.retired.add(spec.role, page)
                self._going.pop(spec.name, None)

    def on_beat(self, pages: Iterable[tuple[ChildSpec, StatsPage]]) -> None:
        pages = list(pages)
        if self._assembly.resolved.sources:
            with _not_fatal("what a listing changes is not known"):
                self._see_listings(pages)
        if (now := time.monotonic()) >= self._observe_at or not self.states.all_started:
            self._observe_at = now + SAVE_SECONDS
            with _not_fatal("how far the connections are is not kept"):
                self.states.observe(pages)
                if not (self._brought or self._going):
                    self.states.settle(self._assembly.resolved.awaited)
                self.states.save()

    def lost_segments(self) -> list[str]:
        return self.rings.lost()

    def on_renew(self, lost: Set[str]) -> None:
        self.rings.restore(lost)

    def on_ready(self, stop: Callable[[], None]) -> None:
        if self._options.stand_ins.replay:
            threading.Thread(target=self._await_replay, args=(stop,), name="replay", daemon=True).start()

    def _await_replay(self, stop: Callable[[], None]) -> None:
        """Stop the run when the venue has sent the last frame; the drain sees to the rest."""
        pause = threading.Event()
        while not self.counters("exchange")[0]["replay_done"]:
            pause.wait(REPLAY_CHECK_SECONDS)
        stop()

    def on_drained(self, deadline: float) -> None:
        if self._reporter is not None:
            self._reporter.account(deadline)

    def has_lost(self) -> bool:
        self.rings.restore()
        return self.rings.missing()

    @property
    def damaged_rings(self) -> int:
        return self.rings.damaged

    def keeps_page(self, name: str) -> bool:
        """Those of the pipeline are kept or dropped together, or the next run's would not balance."""
        return self.is_unfinished and any(spec.name == name and spec.role in COUNTING_ROLES for spec in self.specs)

    def counters(self, role: str) -> list[dict[str, int]]:
        """The stats pages of a role's children, as they are now, and the sums of those that a reload has taken away.
        Those that it has not brought yet have none."""
        pages = [gone] if (gone := self.retired.read(role)) else []
        for spec in (*self.specs, *self._going.values()):
            if spec.role == role and self._has_page(spec):
                page = StatsPage.attach(page_name(self.config.service.instance, spec.name))
                pages.append(page.read())
                page.release()
        return pages

    def _has_page(self, spec: ChildSpec) -> bool:
        return Segment.exists(page_name(self.config.service.instance, spec.name))

    @cached_property
    def is_unfinished(self) -> bool:
        """Not everything that was counted into a ring has come out at the other end: something is kept in a ring, on
        the spool or in Kafka for the next start."""
        sums = totals((role, page) for role in COUNTING_ROLES for page in self.counters(role))
        if records := PIPELINE.between(sums):
            terms = (*PIPELINE.enters, *PIPELINE.leaves, *PIPELINE.aside)
            counts = {name: sums[name] for name in (term.removeprefix("-") for term in terms)}
            log.get_logger().info("unfinished, kept for the next start", records=records, **counts)
        return records != 0


def _by_name(assembly: Assembly) -> dict[str, ConnectionPlan]:
    return {plan.connection: plan for plan in assembly.plans}


@contextlib.contextmanager
def _not_fatal(event: str, spec: ChildSpec | None = None) -> Iterator[None]:
    """For what must not keep a child from its work."""
    try:
        yield
    except Exception:
        log.get_logger().exception(event, child=spec.name if spec is not None else "")


def run(options: RunOptions, reporter: RunReporter | None = None) -> int:
    """Supervise until a signal, the end of ``duration`` or of the replay; the exit code. ``reporter``: for a run that a
    person watches."""
    hangup = NotedSignal(signal.SIGHUP)  # until the supervisor handles it; whoever sent it waits for an answer
    config = options.config
    log.setup(config.service.log_format, config.service.log_level, role="supervisor", name="supervisor")
    for warning in warnings(config, os.environ):
        log.get_logger().warning(warning)
    topology.assemble(config)  # a feed that its venue does not offer is refused before anything is touched
    used = Instance.was_claimed(config.service.state_dir)
    instance = Instance.claim(config.service.state_dir, config.service.drain_seconds)
    with contextlib.closing(ForkServer(FORKED)) as fork_server:
        fork_server.start()  # it imports while the rest is made ready here
        _require_free(options.stand_ins.addresses(config))
        keep_name(instance.state, used)
        return _supervise(options, instance, reporter, hangup, fork_server)


def _supervise(
    options: RunOptions, instance: Instance, reporter: RunReporter | None, hangup: NotedSignal, fork_server: ForkServer
) -> int:
    current = Run(msgspec.structs.replace(options, config=options.reload()), instance, reporter)
    supervisor = Supervisor(
        current.config, current.specs, instance, current, run_for=options.duration, fork_server=fork_server,
        hangup=hangup,
    )  # fmt: skip
    current.ask = supervisor.apply
    if reporter is not None:
        reporter.start(current)
    code = supervisor.run()
    current.states.close()
    current.rings.close()
    current.retired.close(keep=current.is_unfinished)
    current.announced.close()
    instance.release()
    return ExitCode.LOSS if code == ExitCode.OK and reporter is not None and reporter.lost else code


def keep_name(state: StateDirectory, used: bool) -> None:
    """See to it that the state directory has a name for the instance, which the configuration reads there. ``used``: it
    had runs before."""
    file = state.file(names.FILE, str, "", durable=True)
    damaged = state.damaged
    name = file.read()
    if names.NAME.fullmatch(name):
        return
    if name:
        state.set_aside(names.FILE, f"no name of an instance: {name[:40]!a}")
    drawn = names.name_of_path(state.path) if used and state.damaged == damaged else names.new_name()
    if not file.write(drawn):
        log.get_logger().warning(
            "instance is named after the path of its state directory; where another machine has the same path, and the "
            "same Kafka, set service.instance", instance=names.name_of_path(state.path),
        )  # fmt: skip


def _require_reloadable(before: Config, after: Config) -> None:
    """Refuse what only a restart can change: what was built from it outlives a reload."""
    fixed: list[tuple[str, object, object]] = [
        (f"{section}.{field}", getattr(getattr(before, section), field), getattr(getattr(after, section), field))
        for section in ("service", "ring", "monitor")
        for field in getattr(before, section).__struct_fields__
        if (section, field) != ("service", "shard")
    ]
    # of how many it is one may change: symbols come and go by that
    old_number, new_number = (
        shard and shard.number for shard in (Shard.parse(each.service.shard) for each in (before, after))
    )
    fixed.append(("service.shard", old_number, new_number))
    # a serializer has its doorbell and its spool, which no other one reads in this run
    old_count, new_count = (config.process_of("serializer").count for config in (before, after))
    fixed += [
        ("process.serializer.count", old_count, new_count),
        ("spool.path", before.spool.path, after.spool.path),
    ]
    changed = [key for key, old, new in fixed if old != new]
    if changed:
        raise ConfigError([(key, "a reload cannot change it: restart instead") for key in changed])


def _require_free(addresses: Sequence[tuple[str, str]]) -> None:
    """Refuse to start on addresses that another process serves."""
    errors = []
    for key, text in addresses:
        host, port = address(text)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                errors.append((key, f"{text}: {error.strerror}"))
    if errors:
        raise ConfigError(errors)
