"""When to start a child again: a pure function of (history, now, policy). No clock, no process, no dice of its own.

A child that ends is started again: at once when it had run for `stable` seconds, else after a backoff that grows with
its failures in a row. More than `intensity` exits
within `period` seconds open its circuit: from then on it is tried at the pace of `backoff.maximum`, for ever, and
never stops the others. A run of `stable` seconds makes it a healthy child again: history forgotten, circuit closed.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from wsadapter.backoff import Backoff

DEGRADED_SPREAD = 0.2
"""Part of the degraded pace that is left to chance, so that children broken together are not started together."""


class RestartPolicy(Struct, frozen=True):
    """``intensity`` exits within ``period`` seconds are borne; a run of ``stable`` seconds resets."""

    backoff: Backoff
    intensity: int
    period: float
    stable: float


class ChildRun(Struct, frozen=True):
    """One life of a child, monotonic seconds."""

    started: float
    ended: float


class RunHistory(Struct, frozen=True):
    """What is remembered of a child's runs since the last stable one. Bounded by the policy's intensity."""

    failures: int = 0
    """Runs in a row that were not stable."""
    exits: tuple[float, ...] = ()
    """When the last of them ended, oldest first."""
    open: bool = False
    """The circuit: more than intensity exits within one period."""


class NextStart(Struct, frozen=True):
    """The next action: start at this monotonic time. ``degraded``: at the pace of an open circuit."""

    at: float
    degraded: bool


def after(history: RunHistory, run: ChildRun, policy: RestartPolicy) -> RunHistory:
    """The history with one more exit in it."""
    if run.ended - run.started >= policy.stable:
        return RunHistory(exits=(run.ended,))
    exits = (*history.exits, run.ended)[-(policy.intensity + 1) :]
    crowded = len(exits) > policy.intensity and exits[-1] - exits[0] <= policy.period
    return RunHistory(failures=history.failures + 1, exits=exits, open=history.open or crowded)


def decide(history: RunHistory, now: float, policy: RestartPolicy, random: Callable[[], float]) -> NextStart:
    """When to start the child whose last exit is the newest in ``history``; never in the past."""
    ended = history.exits[-1] if history.exits else now
    if history.open:
        wait = policy.backoff.maximum * (1 - DEGRADED_SPREAD * random())
    else:
        wait = policy.backoff.delay(history.failures - 1, random) if history.failures else 0.0
    return NextStart(at=max(now, ended + wait), degraded=history.open)


def hopeless(children: Iterable[tuple[RunHistory, bool]]) -> bool:
    """Of the essential children (history, up): every one is over its intensity and none is up. No children: False."""
    known = tuple(children)
    return bool(known) and all(history.open and not up for history, up in known)
