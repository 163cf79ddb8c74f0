"""One host as its process sees it: requests within its budget, one under way at a time, bans remembered.

    request -> `RestHost.wait` says 0 -> `RestHost.send` -> a future of `Result`; ``notify`` is called from its thread

What it sends it takes of the host's shared budget first (`wsadapter.rest.shared_budget`): all instances of a host have
one address, and the venue counts that. One request at a time means one per symbol, too, and that the budget is never
touched by two threads: the caller's while nothing is under way, the sender's meanwhile. Owns the connection, the budget
and the file of bans.

A ban outlives the process: one small file per host in the state directory, in wall-clock time, mode 0600, replaced
whole. A file that cannot be read is set aside, and no entry is believed for longer than the longest ban, so that a
clock that was wrong cannot silence us for ever. A ban that cannot be written (a full disk) is obeyed all the same, by
this process.
"""

import hashlib
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from wsadapter import announced_wait
from wsadapter.exchanges.rest_api import ErrorKind, Refusal, Request, RestExchange
from wsadapter.executor import DaemonExecutor
from wsadapter.files import StateDirectory
from wsadapter.log import Repeated, get_logger
from wsadapter.rest.budget import BAN, RESERVE, Budget, Outcome
from wsadapter.rest.client import RestClient, RestResponse, Unreachable
from wsadapter.rest.shared_budget import SharedBudget, Take

WORTH_KEEPING: Final = 5.0
"""Seconds of a pause that a restart must not cut short."""

log = get_logger()


class Result(Struct, frozen=True):
    """``body`` is the answer of `Outcome.OK`, the venue's error of `Outcome.REFUSED`, else empty; ``reason``: why there
    is none. ``dated_ns``: when the host made it, in whole seconds of its own clock; 0: it does not say.
    ``is_too_old``: refused for that alone."""

    outcome: Outcome
    body: bytes = b""
    received_ns: int = 0
    reason: str = ""
    dated_ns: int = 0
    is_too_old: bool = False


class RequestCounts(Struct):
    """Since the start."""

    requests: int = 0
    limited: int = 0
    """429."""
    banned: int = 0
    """418, 403 and the like."""
    failed: int = 0
    """No answer, 5xx, a page that is not the API's."""
    refused: int = 0
    reported: dict[str, int] = {}

    def increments(self) -> dict[str, int]:
        """What came since this was asked last. The sender's thread counts on meanwhile."""
        now = {name: getattr(self, name) for name in ("requests", "limited", "banned", "failed", "refused")}
        before, self.reported = self.reported, now
        return {name: count - before.get(name, 0) for name, count in now.items()}


class RestHost:
    """See the module docstring. ``exchange`` knows the limits, ``base`` is scheme and host, ``shared`` the directory of
    what all instances share."""

    def __init__(
        self, exchange: RestExchange, base: str, state: StateDirectory, shared: Path, notify: Callable[[], None]
    ) -> None:
        self._bans = Bans(state, base)
        self._base = base
        headers = {**exchange.headers, **(exchange.testnet_headers if base == exchange.base(True) else {})}
        self._client = RestClient(base, exchange.weight_header, exchange.reset_header, headers)
        self._exchange = exchange
        self.budget = Budget(exchange.weights, exchange.pools, exchange.banned, random.random)
        self._pools = sorted(exchange.pools)
        name = re.sub(r"[^A-Za-z0-9.-]", "_", urlsplit(base).netloc)
        self.shared = SharedBudget(shared / "rest" / name, 1 + len(self._pools))
        self._held_until = float("-inf")
        self._threads = DaemonExecutor(1, "rest")
        self._notify = notify
        self._under_way: Future[Result] | None = None
        self._repeated = Repeated()
        self.counts = RequestCounts()
        self.trip_ns = 0
        """Of the last answer: from its request to its last byte."""
        self._ahead_ns = 0
        """So far our clock is ahead of the host's, as its last answer showed."""
        if (seconds := self._bans.remaining(time.time())) > 0:
            log.warning(
                "REST host is not asked yet: a ban from before the restart lasts", host=base, seconds=round(seconds)
            )
            self.budget.pause(time.monotonic(), seconds)

    def wait(self, request: Request, reserve: float = 0.0) -> float:
        """Seconds until it may be sent: 0 = now, infinite while another one is under way. ``reserve``: as of
        `Budget.wait`."""
        if self._under_way is not None and not self._under_way.done():
            return float("inf")
        now = time.monotonic()
        return max(self._held_until - now, self.budget.wait(request, now, reserve))

    def send(self, request: Request) -> Future[Result]:
        """Only when `wait` says 0. `Outcome.AGAIN` at once where other instances have used up what the host allows."""
        if held := self.shared.take(self._takes(request)):
            self._held_until = time.monotonic() + held
            refused: Future[Result] = Future()
            refused.set_result(Result(Outcome.AGAIN, reason="the address has used up what the host allows"))
            self._notify()
            return refused
        self.budget.sent(request, time.monotonic())
        self.counts.requests += 1
        future = self._threads.call(lambda: self._perform(request))
        future.add_done_callback(lambda _: self._notify())
        self._under_way = future
        return future

    def _takes(self, request: Request) -> list[Take]:
        spendable = self.budget.spendable
        takes = [Take(0, request.weight, spendable.units, spendable.seconds)] if request.weight else []
        if request.pool:
            pool = self._exchange.pools[request.pool]
            number = 1 + self._pools.index(request.pool)
            takes.append(Take(number, 1, pool.units * (1 - RESERVE), pool.seconds))
        return takes

    @property
    def base(self) -> str:
        """Scheme and host."""
        return self._base

    @property
    def used(self) -> int:
        """Weight of the current minute."""
        return self.budget.used(time.monotonic())

    @property
    def paused(self) -> float:
        """Seconds for which it is left alone."""
        return self.budget.paused(time.monotonic())

    def venue_ns(self) -> int:
        """The host's clock, up to a second behind; ours as long as it has not said any."""
        return time.time_ns() - self._ahead_ns

    def _perform(self, request: Request) -> Result:
        asked_ns = time.monotonic_ns()
        try:
            answer = self._client.ask(request)
        except Unreachable as error:
            self.counts.failed += 1
            self._log("no answer", str(error))
            return Result(self.budget.failed(time.monotonic()))
        now = time.monotonic()
        self.trip_ns = time.monotonic_ns() - asked_ns
        self._ahead_ns = answer.received_ns - round(answer.host_clock * 1e9)
        refusal = self._exchange.refusal(answer.status, answer.body)
        wait = _announced_wait(answer, refusal)
        outcome = self.budget.answered(answer.status, answer.used, wait, now, refusal)
        if outcome is Outcome.OK:
            return Result(outcome, answer.body, answer.received_ns, dated_ns=answer.dated_ns)
        detail = "not an answer of the API" if refusal is None else f"{refusal.code} {refusal.message}"
        self._log(f"HTTP {answer.status}", f"{request.path}: {detail}")
        if outcome is Outcome.REFUSED:
            self.counts.refused += 1
            is_too_old = refusal is not None and refusal.kind is ErrorKind.TOO_OLD
            return Result(outcome, answer.body, answer.received_ns, detail, is_too_old=is_too_old)
        self._count(answer.status, outcome, refusal)
        if outcome is not Outcome.UNANSWERED and (seconds := self.budget.paused(now)) >= WORTH_KEEPING:
            self._keep_ban(seconds, f"HTTP {answer.status}")
        return Result(outcome, reason=f"HTTP {answer.status}: {detail}")

    def _keep_ban(self, seconds: float, reason: str) -> None:
        if not self._bans.save(time.time() + seconds, reason):
            log.warning(
                "a ban cannot be written down: it is obeyed, but a restart would forget it",
                host=self._base,
                seconds=round(seconds),
            )

    def _count(self, status: int, outcome: Outcome, refusal: Refusal | None) -> None:
        if status == 429 or (refusal is not None and refusal.kind is ErrorKind.LIMITED):
            self.counts.limited += 1
        elif 400 <= status < 500 and outcome is Outcome.AGAIN:
            self.counts.banned += 1
        else:
            self.counts.failed += 1

    def _log(self, what: str, detail: str) -> None:
        if (repeated := self._repeated(what)) is not None:
            seconds = round(self.budget.paused(time.monotonic()), 1)
            log.warning(f"REST: {what}", host=self._base, detail=detail, paused_seconds=seconds, repeated=repeated)


def _announced_wait(answer: RestResponse, refusal: Refusal | None) -> float | None:
    """The longest wait (seconds) that an answer announces, None where it announces none."""
    if answer.status == 200 and refusal is None:
        return None
    waits = (
        answer.retry_after,
        announced_wait.of_text(answer.body, answer.host_clock),
        None if refusal is None else refusal.seconds,
    )
    return max((wait for wait in waits if wait is not None), default=None)


class Ban(Struct, frozen=True):
    """``host`` is for whoever reads the file; ``until`` are seconds since the epoch."""

    host: str
    until: float
    reason: str


class Bans:
    """The file of one host. Written by the one process that asks it."""

    def __init__(self, state: StateDirectory, host: str) -> None:
        name = hashlib.sha1(host.encode()).hexdigest()[:12]
        self._file = state.file(f"rest-ban-{name}.json", Ban, Ban(host, 0.0, ""), durable=True)
        self._host = host

    def remaining(self, wall: float) -> float:
        """Seconds that the remembered ban lasts yet."""
        return min(max(0.0, self._file.read().until - wall), BAN.maximum)

    def save(self, until: float, reason: str) -> bool:
        """False when the disk refuses it, which is logged."""
        return self._file.write(Ban(self._host, until, reason))
