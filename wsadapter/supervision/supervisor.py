"""The supervisor: starts children, restarts them by policy, stops them in order. It knows no market data.

One loop over a selector: pidfds of the children, signals, state changes of children (one eventfd), and the next
deadline as its timeout. Nothing polls with sleep.

* A child that ends is started again when `wsadapter.supervision.restart` says so; the others are not touched. Only
  when every essential child is over its intensity at the same time everything stops: exit 71.
* A child that refuses its configuration (exit 78) before it has ever been RUNNING stops everything: exit 78.
* Heartbeats older than their deadline: stack dump, SIGKILL, restart.
* SIGTERM, SIGINT: `wsadapter.supervision.drain` in the order of the stop groups; the second one kills what remains.
  SIGHUP: the application's `reload`, one at a time; only children whose spec changed are stopped and started, or given
  another order while they run.

Owned here, with `wsadapter.supervision.children`: the children, their stats pages, the stats page "supervisor". Rings
and doorbells are the caller's.
"""

import faulthandler
import os
import random
import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from wsadapter import log
from wsadapter.config.model import Config
from wsadapter.errors import ExitCode, WsadapterError
from wsadapter.shm import doorbell
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import ChildState
from wsadapter.supervision.children import ChildSet, PageObserver
from wsadapter.supervision.drain import Drain, Stage, group
from wsadapter.supervision.instance import Instance
from wsadapter.supervision.process import ChildSpec
from wsadapter.supervision.sdnotify import Notifier
from wsadapter.supervision.signals import NotedSignal, Signals
from wsadapter.supervision.spawn import ForkServer

BEAT_SECONDS: Final = 1.0
STALL_SECONDS: Final = 2.0
"""A step this late means that we were frozen: children get their whole heartbeat deadline again."""
RENEW_SECONDS: Final = 10.0
"""Least time between two times that shared memory is made anew."""
SERVICE_SECONDS: Final = 5.0
"""After the start the service manager is told that it is done, where children only wait for Kafka or ClickHouse."""
RELOAD_SECONDS: Final = 1.0
"""Least time between two reloads."""
REFUSED_SECONDS: Final = 2.0
"""For the other children to stop when one refused its configuration."""
GIVE_UP_SECONDS: Final = 0.8
"""After the end of a drain, for processes that do not even go at SIGKILL."""
REMOVED: Final = "RemoveIPC of systemd when the user's last session ended, or a cleaner of temporary files"
KEEP: Final = "RemoveIPC=no in logind.conf or a system user; no cleaning of /dev/shm/wsadapter-*"
STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
STACKS: Final = signal.SIGUSR1
SIGNALS: Final[Mapping[signal.Signals, str]] = {
    signal.SIGTERM: "Drain within service.drain_seconds, from the sources down, and end. A second one ends now.",
    signal.SIGINT: "As SIGTERM.",
    signal.SIGHUP: "Read the configuration again and apply what changed; a refused one changes nothing.",
    STACKS: "Write the stack of every thread to standard error, and go on. The children know this one, too.",
}
"""What the supervisor does at each, in an operator's words."""


Children = tuple[ChildSpec, ...]


class Application(PageObserver):
    """What is supervised, as its supervisor calls it at certain moments. This one wants nothing."""

    drained_group: int = 30
    """Stop groups up to this one are gone when `on_drained` is called."""

    @property
    def damaged_rings(self) -> int:
        """Rings that could not be read at a start or reload."""
        return 0

    def on_ready(self, stop: Callable[[], None]) -> None:
        """Every child is running (or has had its time to). ``stop`` is what the first SIGTERM does."""

    def on_beat(self, pages: Iterable[tuple[ChildSpec, StatsPage]]) -> None:
        """Once a second at least, until the stop begins; ``pages``: of all children."""

    def lost_segments(self) -> list[str]:
        """Segments of the application whose names were removed from outside. `on_renew` makes them anew."""
        return []

    def on_drained(self, deadline: float) -> None:
        """The drained groups are gone, the others still run. In a thread; to be done by this monotonic time."""

    def has_lost(self) -> bool:
        """After an unclean stop: is anything that reached a ring neither delivered nor kept?"""
        return False

    def reload(self) -> tuple[Config, Children] | None:
        """The configuration as it is to be read now, applied."""
        return None

    def apply(self, config: Config) -> tuple[Config, Children] | None:
        """This configuration and its children; raises `WsadapterError` when it is refused, and nothing has changed
        then. None: nothing to do."""
        return None

    def keeps_page(self, name: str) -> bool:
        """Whether this child's stats page is kept for the next start (as its ring is)."""
        return False


class Supervisor:
    def __init__(
        self,
        config: Config,
        specs: Sequence[ChildSpec],
        instance: Instance,
        application: Application,
        *,
        environ: Mapping[str, str] = os.environ,
        run_for: float | None = None,
        rng: Callable[[], float] = random.random,
        fork_server: ForkServer | None = None,
        hangup: NotedSignal | None = None,
    ) -> None:
        """``run_for``: stop that many seconds after everything is ready. ``fork_server``: where children come from; the
        caller closes it. ``hangup``: whether SIGHUP came since the program's start; noted until `run` is called.
        """
        self._config = config
        self._instance = instance
        self._application = application
        self._run_for = run_for
        self._patience = max((spec.start_deadline for spec in specs), default=0.0)
        """A service that is away keeps us from being announced no longer than this."""
        self._notifier = Notifier(environ)
        self._selector = selectors.DefaultSelector()
        self._wake = doorbell.create()
        """Rung by children whose state changed, by `stop` and by the thread of on_drained."""
        self._children = ChildSet(config, specs, instance, self._selector, self._wake, rng, application, fork_server)
        self._drain: Drain | None = None
        self._ready = False
        self._told_ready = False
        """The service manager knows; `_ready` may come later."""
        self._stop_requested = False
        self._stop_at = float("inf")
        self._hangup = hangup
        self._reload_requested = False
        self._to_apply: Config | None = None
        self._reload_at = 0.0
        self._last_reload = ""
        """What came of it, for the status line."""
        self._watchdog_at = 0.0
        self._renew_at = 0.0
        self._begun = self._resumed = time.monotonic()

    def stop(self) -> None:
        """As the first SIGTERM does. May be called from any thread."""
        self._stop_requested = True
        doorbell.ring(self._wake)

    def apply(self, config: Config) -> None:
        """Go on with this configuration, as a reload does with the one that it reads; the last one that is asked for
        counts. What came of it says the log alone: whether the file is in force it does not change. May be called from
        any thread."""
        self._to_apply = config
        doorbell.ring(self._wake)

    def run(self) -> int:
        """Run until told to stop; the exit code. For the main thread only: the kernel tells children of the death of
        the thread that started them."""
        faulthandler.register(STACKS, all_threads=True)
        with Signals(tuple(number for number in SIGNALS if number != STACKS)) as signals:
            self._selector.register(signals, selectors.EVENT_READ, lambda: self._on_signals(signals.poll()))
            self._selector.register(self._wake, selectors.EVENT_READ, lambda: doorbell.clear(self._wake))
            self._reload_requested = self._hangup is not None and self._hangup.came
            self._begun = self._resumed = time.monotonic()
            while not self._step(time.monotonic()):
                due = self._due()
                events = self._selector.select(max(0.0, due - time.monotonic()))
                if time.monotonic() > due + STALL_SECONDS:
                    self._resumed = time.monotonic()
                for key, _ in events:
                    key.data()
            return self._finish()

    def _step(self, now: float) -> bool:
        """Do everything that is due; True when it is over."""
        if self._drain is None:
            if self._children.verdict is not None:
                refused = self._children.verdict == ExitCode.CONFIG
                self._begin_stop(REFUSED_SECONDS if refused else self._config.service.drain_seconds)
            elif self._stop_requested or now >= self._stop_at:
                self._begin_stop(self._config.service.drain_seconds)
            elif self._reload_is_wanted and now >= self._reload_at and not self._children.replacing:
                self._reload()
            elif now >= self._renew_at and not self._children.replacing:
                self._renew_lost(now)
        self._children.step(now, self._resumed)
        self._publish_state(now)
        if self._drain is None:
            return False
        over = self._drain.step()
        if self._drain.stage is not None:
            self._notifier.status(f"stopping: {self._drain.stage.name}")
        return over or now >= self._drain.end + GIVE_UP_SECONDS

    def _due(self) -> float:
        """When the next step is needed at the latest."""
        now = time.monotonic()
        times = [now + BEAT_SECONDS, self._children.due(self._resumed)]
        if self._notifier.watchdog_interval is not None:
            times.append(self._watchdog_at)
        if self._drain is not None:
            times.append(self._drain.end + GIVE_UP_SECONDS)
            if self._drain.stage is not None and self._drain.stage.deadline > now:
                times.append(self._drain.stage.deadline)
        else:
            times.append(self._stop_at)
            if self._children.verdict is not None:
                times.append(now)
            if self._reload_is_wanted and not self._children.replacing:
                times.append(self._reload_at)
        return min(times)

    def _publish_state(self, now: float) -> None:
        """Own page, watchdog, readiness."""
        stopping = self._drain is not None
        self._instance.state.retry()
        state = ChildState.STOPPING if stopping else ChildState.RUNNING
        self._children.counters.beat(state, self._instance.state, self._application.damaged_rings)
        if self._notifier.watchdog_interval is not None and now >= self._watchdog_at:
            self._watchdog_at = now + self._notifier.watchdog_interval
            self._notifier.watchdog()
        if stopping:
            return
        self._application.on_beat(self._children.pages())
        total, missing = len(self._children), self._children.missing()
        waits = f", waiting for {' '.join(missing)}" if missing else ""
        self._notifier.status(f"{total - len(missing)} of {total} children running{waits}{self._last_reload}")
        is_late = now >= self._begun + self._patience
        # what only waits for a service outside keeps nothing from being recorded
        records = now >= self._begun + SERVICE_SECONDS and not self._children.starting()
        if not self._told_ready and (not missing or is_late or records):
            self._told_ready = True
            self._notifier.ready()
        if not self._ready and (not missing or is_late):
            self._ready = True
            if missing:
                log.get_logger().warning(
                    "not ready in time, going on", running=total - len(missing), children=total, missing=missing
                )
            else:
                log.get_logger().info("ready", children=total)
            self._application.on_ready(self.stop)
            if self._run_for is not None:
                self._stop_at = now + self._run_for

    def _on_signals(self, numbers: set[int]) -> None:
        if signal.SIGHUP in numbers:
            self._reload_requested = True
        if not numbers & STOP_SIGNALS:
            return
        if self._drain is None and not self._stop_requested:
            self._stop_requested = True
            return
        log.get_logger().warning("second stop signal, killing all children")
        self._begin_stop(0.0)
        self._children.kill_all("killed, second stop signal")
        self._drain = Drain([group("killed", self._children.all())], time.monotonic(), 0.0)

    def _begin_stop(self, seconds: float) -> None:
        if self._drain is not None:
            return
        seconds = min(seconds, self._config.service.drain_seconds)
        log.get_logger().info("stopping", drain_seconds=seconds)
        self._notifier.stopping()
        self._children.stopping = True
        stages = self._children.stages()
        before = [stage for number, stage in stages if number <= self._application.drained_group]
        behind = [stage for number, stage in stages if number > self._application.drained_group]
        # where the configuration was refused there is nothing to sum up
        summary = [] if self._children.verdict == ExitCode.CONFIG else [self._drained_stage()]
        self._drain = Drain([*before, *summary, *behind], time.monotonic(), seconds)

    def _drained_stage(self) -> Stage:
        """The application's account. In a thread, so that a second signal and the watchdog are still served."""
        threads: list[threading.Thread] = []

        def work(deadline: float) -> None:
            try:
                self._application.on_drained(deadline)
            finally:
                doorbell.ring(self._wake)

        def begin(deadline: float) -> None:
            threads.append(threading.Thread(target=work, args=(deadline,), name="drained", daemon=True))
            threads[0].start()

        def over() -> bool:
            return not threads[0].is_alive() or time.monotonic() >= stage.deadline

        stage = Stage("summary", begin, over)
        return stage

    @property
    def _reload_is_wanted(self) -> bool:
        return self._reload_requested or self._to_apply is not None

    def _reload(self) -> None:
        """What is to be read anew is newer than what was to be applied. Only what was read has an outcome."""
        given, self._to_apply = self._to_apply, None
        read, self._reload_requested = self._reload_requested, False
        if not read and given is not None:
            self._change(lambda: self._application.apply(given))
        else:
            if self._told_ready:
                self._notifier.reloading()
            if refused := self._change(self._application.reload):
                self._to_apply = self._to_apply or given
            self._note_reload(refused)
            if self._told_ready:
                self._notifier.ready()
        self._reload_at = time.monotonic() + RELOAD_SECONDS

    def _change(self, change: Callable[[], tuple[Config, Children] | None]) -> str:
        """Why it was refused; empty: it is in force."""
        try:
            changed = change()
            if changed is not None:
                self._children.replace(*changed)
                self._config = changed[0]
        except WsadapterError as error:
            log.get_logger().error("reload refused, the old configuration stays", reason=str(error))
            return str(error)
        except Exception as error:  # whatever it is: it must not end the recording
            log.get_logger().exception("reload failed, the old configuration stays")
            return f"{type(error).__name__}: {error}"
        return ""

    def _note_reload(self, refused: str) -> None:
        """For whoever asked for it: the counters, the status line, and the state directory (`wsadapter.cli.reload`)."""
        self._instance.reloaded(refused)
        counters = self._children.counters
        if refused:
            counters.reload_failed()
        else:
            counters.page["reloads_total"] += 1
            counters.reloaded()
        at = time.strftime("%H:%M:%S", time.gmtime())
        first, _, more = refused.partition("\n")
        reason = f" refused, the old configuration stays: {first}{' ...' if more else ''}" if refused else ""
        self._last_reload = f"; reload at {at} UTC{reason}"

    def _renew_lost(self, now: float) -> None:
        """See that every segment still has its name. Without it the children go on, but none can be started again."""
        self._renew_at = now + BEAT_SECONDS
        lost = {*self._children.lost_pages(), *self._application.lost_segments()}
        if lost:
            self._renew_at = now + RENEW_SECONDS
            self._children.counters.page["segments_lost_total"] += len(lost)
            log.get_logger().error(
                "shared memory was removed from outside and is made anew",
                segments=sorted(lost), cause=REMOVED, remedy=KEEP,
            )  # fmt: skip
            self._children.renew(lost)

    def _finish(self) -> int:
        """All children are gone (or cannot be killed): the exit code."""
        unclean = self._children.unclean or any(child.alive for child in self._children.all())
        code = self._children.verdict
        if code is None:
            code = ExitCode.LOSS if unclean and self._application.has_lost() else ExitCode.OK
        log.get_logger().info("stopped", exit_code=int(code))
        self._children.release(self._application.keeps_page)
        self._selector.close()
        self._notifier.close()
        os.close(self._wake)
        return int(code)
