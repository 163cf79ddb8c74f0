"""The set of children: start them, notice their ends, start them again by policy, count, replace them.

What must happen to the whole because of one child is not done here but written to `verdict`; the supervisor acts on it.
"""

import os
import selectors
import time
from collections.abc import Callable, Collection, Sequence, Set
from typing import Final

from wsadapter import log
from wsadapter.backoff import Backoff
from wsadapter.config.model import Config
from wsadapter.errors import ExitCode, SegmentError
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision import restart, spawn
from wsadapter.supervision.child import ChildState
from wsadapter.supervision.counters import SupervisorPage
from wsadapter.supervision.drain import Drain, Stage, group
from wsadapter.supervision.instance import Instance
from wsadapter.supervision.process import ChildProcess, ChildSpec, ExitStatus, RestartKind
from wsadapter.supervision.restart import ChildRun, RestartPolicy
from wsadapter.supervision.spawn import ForkServer

RENEW_SECONDS: Final = 5.0
"""For children to stop whose shared memory is made anew."""
ADD_SECONDS: Final = 5.0
"""Between two attempts to add a child for which there was no memory."""


class PageObserver:
    """Who wants to see the stats page of a child while no process writes to it. This one does not."""

    def on_page(self, spec: ChildSpec, page: StatsPage) -> None:
        """It is there, perhaps with what an earlier child left, and the child has not been started."""

    def on_order_done(self, spec: ChildSpec, page: StatsPage) -> None:
        """A child that runs has become this one, and writes to this page; beside them nothing has changed."""

    def on_renew(self, lost: Set[str]) -> None:
        """The names of these segments were removed from outside. Their users are gone, the next ones are not there yet:
        now they can be made anew."""

    def on_leave(self, spec: ChildSpec, page: StatsPage, for_good: bool) -> None:
        """The child is gone; ``for_good``: no child of this name follows in this run."""


class ChildSet:
    """Children by name. The supervisor's loop calls `step`; ends arrive through its selector."""

    def __init__(
        self,
        config: Config,
        specs: Sequence[ChildSpec],
        instance: Instance,
        selector: selectors.BaseSelector,
        notify_fd: int,
        random: Callable[[], float],
        observer: PageObserver | None = None,
        fork_server: ForkServer | None = None,
    ) -> None:
        self._config = config
        self._instance = instance
        self._selector = selector
        self._notify_fd = notify_fd
        self._random = random
        self._observer = observer or PageObserver()
        self._fork_server = fork_server
        self._children = {spec.name: self._child(spec) for spec in specs}
        self._initial = frozenset(self._children)
        self._leaving: dict[str, ChildProcess] = {}
        self._next: tuple[ChildSpec, ...] = ()
        self._replacement: Drain | None = None
        self._lost: frozenset[str] = frozenset()
        """Segments that are made anew in this replacement."""
        self._absent: dict[str, ChildSpec] = {}
        """Of the last reload, without a stats page yet."""
        self._add_at = 0.0
        self._tell_at = 0.0
        self.counters = SupervisorPage(config.service.instance, specs)
        self.verdict: ExitCode | None = None
        """Why everything must stop."""
        self.unclean = False
        """A child that was told to stop did not end with 0."""
        self.stopping = False

    def all(self) -> list[ChildProcess]:
        return [*self._children.values(), *self._leaving.values()]

    def pages(self) -> list[tuple[ChildSpec, StatsPage]]:
        return [(child.spec, child.page) for child in self.all()]

    def _child(self, spec: ChildSpec) -> ChildProcess:
        child = ChildProcess(spec, self._config.service.instance)
        self._observer.on_page(spec, child.page)
        return child

    def missing(self) -> list[str]:
        return [*(child.spec.name for child in self._children.values() if not child.up), *self._absent]

    def starting(self) -> bool:
        """Whether one neither runs nor waits for a service that it is a client of."""
        waits = (child.alive and child.state is ChildState.WAITING for child in self._children.values() if not child.up)
        return bool(self._absent) or not all(waits)

    def __len__(self) -> int:
        return len(self._children) + len(self._absent)

    def due(self, resumed: float) -> float:
        due = min((child.due(resumed) for child in self.all()), default=float("inf"))
        return min(due, self._add_at) if self._absent and not self.stopping else due

    def step(self, now: float, resumed: float) -> None:
        """Start what is to be started, kill what hangs, publish who is up."""
        if self._fork_server is not None:
            self._fork_server.start()
            spawn.collect({self._fork_server.pid, *(child.pid for child in self.all())})
        self._see_orders()
        if not self.stopping and now >= self._tell_at:
            self._tell()
        for child in self.all():
            if child.restart_at is not None and now >= child.restart_at:
                self._start(child)
            child.watch(now, resumed)
        for child in self._children.values():
            self.counters.up(child.spec, child.up)
            child.was_running = child.was_running or child.state == ChildState.RUNNING
        if self._replacement is not None and not self.stopping and self._replacement.step():
            self._add_new()
        if self._absent and now >= self._add_at and not self.stopping and not self.replacing:
            self._add()

    def _see_orders(self) -> None:
        """Who has done what it was ordered while it ran?"""
        for child in self.all():
            if child.has_become():
                self._order_done(child)

    def _order_done(self, child: ChildProcess) -> None:
        self._observer.on_order_done(child.spec, child.page)
        log.get_logger().info("child has done its order", child=child.spec.name)

    def _tell(self) -> None:
        """Give the orders that no process has; what the system refuses is tried again."""
        for child in self._children.values():
            if child.wanted is not None and child.up and not child.told and child.stop_by is None:
                try:
                    child.tell(self._config, self._notify_fd)
                except (OSError, SegmentError) as error:
                    self._tell_at = time.monotonic() + ADD_SECONDS
                    log.get_logger().critical(
                        "child cannot be given its order, trying again", child=child.spec.name, reason=str(error),
                        seconds=ADD_SECONDS,
                    )  # fmt: skip

    def kill_all(self, why: str) -> None:
        for child in self.all():
            child.order_stop(time.monotonic())
            child.kill(why)

    def stages(self) -> list[tuple[int, Stage]]:
        """(stop group, what stops it) for all children, in order."""
        return _stages(self.all(), self._finish_work)

    def _finish_work(self, children: Sequence[ChildProcess]) -> None:
        for child in children:
            if child.spec.drains and child.restart_at is not None and not child.history.open:
                self._start(child)

    def _start(self, child: ChildProcess) -> None:
        try:
            child.start(self._config, self._instance.lock_fd, self._notify_fd, self._fork_server)
        except OSError as error:
            now = time.monotonic()
            text = f"could not be started: {os.strerror(error.errno or 0)}"
            self._restart_later(child, ExitStatus("exit", text, 1), now, now)
            return
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._on_end(child))
        self._record()
        log.get_logger().info("child started", child=child.spec.name, pid=child.pid)

    def _record(self) -> None:
        self._instance.record(child.record() for child in self.all() if child.alive)

    def _on_end(self, child: ChildProcess) -> None:
        self._selector.unregister(child.pidfd)
        pid = child.pid
        end = child.reap()
        self._record()
        self._see_orders()
        if child.wanted is not None and child.stop_by is None:
            self._become(child)
        spec = child.spec
        if child.stop_by is not None:
            self.unclean = self.unclean or end.code != 0
            report = log.get_logger().info if end.code == 0 else log.get_logger().warning
            report("child stopped", child=spec.name, pid=pid, how=end.text)
        elif end.code == 0 and spec.restart == RestartKind.TRANSIENT:
            log.get_logger().info("child finished", child=spec.name)
            self.counters.up(spec, False)
            del (self._children if self._children.get(spec.name) is child else self._leaving)[spec.name]
            child.release(keep_page=False)
        elif end.reason == "config" and not child.was_running and spec.name in self._initial and not self.stopping:
            log.get_logger().critical("configuration refused, stopping", child=spec.name, how=end.text)
            self.verdict = ExitCode.CONFIG
        else:
            self._restart_later(child, end, child.started, time.monotonic())

    def _become(self, child: ChildProcess) -> None:
        """It ended before it had done its order."""
        try:
            child.become()
        except SegmentError as error:
            log.get_logger().critical("child goes on as it was", child=child.spec.name, reason=str(error))
        else:
            self._observer.on_page(child.spec, child.page)

    def _restart_later(self, child: ChildProcess, end: ExitStatus, started: float, now: float) -> None:
        """An end that nobody ordered: count it and decide when to start the child again."""
        policy = _policy(self._config)
        child.history = restart.after(child.history, ChildRun(started, now), policy)
        decision = restart.decide(child.history, now, policy, self._random)
        child.restart_at = decision.at
        self.counters.restarted(child.spec, end.reason)
        log.get_logger().error(
            "child ended, circuit open" if decision.degraded else "child ended",
            child=child.spec.name,
            how=end.text,
            ran_seconds=round(now - started, 3),
            restart_in_seconds=round(decision.at - now, 3),
        )
        essential = [(c.history, c.up) for c in self._children.values() if c.spec.essential]
        if self.verdict is None and restart.hopeless(essential):
            log.get_logger().critical("no essential child stays up, stopping")
            self.verdict = ExitCode.CHILDREN

    @property
    def replacing(self) -> bool:
        """A reload is not over yet."""
        return self._replacement is not None

    def lost_pages(self) -> list[str]:
        """Stats pages whose names were removed from outside."""
        own = [self.counters.page.name] if not self.counters.page.is_named else []
        return [*own, *(child.page.name for child in self.all() if child.page_is_lost)]

    def renew(self, lost: Set[str]) -> None:
        """These segments have no name any more. Whoever uses one is stopped, in order, and started again with new ones;
        what they hold is not lost meanwhile, as it stays mapped."""
        self.counters.restore()
        self._lost = frozenset(lost)
        users = [child for child in self.all() if child.spec.watches or not lost.isdisjoint(_used(child))]
        specs = [*(child.wanted or child.spec for child in self._children.values()), *self._absent.values()]
        # what is not delivered by then stays in its ring
        seconds = min(RENEW_SECONDS, self._config.service.drain_seconds)
        self.replace(self._config, specs, [child.spec.name for child in users], seconds)

    def replace(
        self, config: Config, specs: Sequence[ChildSpec], renewed: Collection[str] = (), seconds: float | None = None
    ) -> None:
        """Make these the children. Those whose spec is the same are not touched, unless they are ``renewed``; those
        that differ in an order which they take while they run are given it. Others are stopped, group by group, and
        only when all of them are gone the new ones are started: never two readers on one ring. ``seconds`` for all of
        them to stop, by default those of a drain."""
        self._see_orders()
        wanted = {spec.name: spec for spec in specs}
        both = [(name, child) for name, child in self._children.items() if name in wanted and name not in renewed]
        same = {name: child for name, child in both if wanted[name] == (child.wanted or child.spec)}
        told = {name: child for name, child in both if name not in same and child.becomes(wanted[name])}
        kept = {name: child for name, child in both if name in same or name in told}
        self._leaving = {name: child for name, child in self._children.items() if name not in kept}
        self._children = kept
        self._config = config
        self._next, self._absent = tuple(specs), {}
        self._initial = self._initial & kept.keys()
        for name, child in told.items():
            if child.want(wanted[name]):
                self._order_done(child)
        self._tell_at = 0.0
        self._tell()
        log.get_logger().info(
            "reload", unchanged=len(same.keys() & kept.keys()), ordered=list(told), stopping=list(self._leaving),
            children=len(specs),
        )  # fmt: skip
        stages = [stage for _, stage in _stages(list(self._leaving.values()), self._finish_work)]
        self._replacement = Drain(
            stages, time.monotonic(), config.service.drain_seconds if seconds is None else seconds
        )

    def _add_new(self) -> None:
        """Those that had to go are gone: the new ones."""
        names = {spec.name for spec in self._next}
        for name, child in self._leaving.items():
            self._observer.on_leave(child.spec, child.page, name not in names)
            child.release(keep_page=name in names)
        self._leaving = {}
        self._replacement = None
        if self._lost:
            self._observer.on_renew(self._lost)
            self._lost = frozenset()
        self._absent = {spec.name: spec for spec in self._next if spec.name not in self._children}
        self._add()

    def _add(self) -> None:
        """Those without a page get one; what the system refuses is tried again: the others must not stop for it."""
        self._add_at = time.monotonic() + ADD_SECONDS
        for name, spec in tuple(self._absent.items()):
            try:
                self._children[name] = self._child(spec)
                del self._absent[name]
            except SegmentError as error:
                log.get_logger().critical(
                    "child cannot be added, trying again", child=name, reason=str(error), seconds=ADD_SECONDS
                )
        self.counters.replace([child.spec for child in self._children.values()])

    def release(self, keep_page: Callable[[str], bool]) -> None:
        """Unmap and unlink the pages; all children are gone. ``keep_page`` is asked when of each was said that it is:
        what is kept goes by the sums of all."""
        self._instance.record(())
        self._see_orders()
        following = {spec.name for spec in self._next}
        for child in self.all():
            gone = child.spec.name in self._leaving and child.spec.name not in following
            self._observer.on_leave(child.spec, child.page, gone)
        for child in self.all():
            child.release(keep_page(child.spec.name))
        self.counters.release()


def _used(child: ChildProcess) -> set[str]:
    """The segments that a child has mapped."""
    rings = (*child.spec.rings, *([child.spec.ring] if child.spec.ring is not None else []))
    return {child.page.name, *(ring.name for ring in rings), *(ring.marks for ring in rings)}


def _stages(
    children: Sequence[ChildProcess], prepare: Callable[[Sequence[ChildProcess]], None]
) -> list[tuple[int, Stage]]:
    stages = []
    for number in sorted({child.spec.stop_group for child in children}):
        members = [child for child in children if child.spec.stop_group == number]
        name = " ".join(child.spec.name for child in members)
        stages.append((number, group(name, members, lambda members=members: prepare(members))))  # type: ignore[misc]
    return stages


def _policy(config: Config) -> RestartPolicy:
    r = config.restart
    return RestartPolicy(Backoff(r.backoff_min, r.backoff_max), r.intensity, r.period, stable=r.period)
