"""One host as its process sees it: requests within its budget, one under way at a time, bans remembered.

    request -> `RestHost.wait` says 0 -> `RestHost.send` -> a future of `Result`; ``notify`` is called from its thread

One request at a time means one per symbol, too, and that the budget is never touched by two threads: the caller's
while nothing is under way, the sender's meanwhile. Owns the connection, the budget and the file of bans.

A ban outlives the process: one small file per host in the state directory, in wall-clock time, mode 0600, replaced
whole. A file that cannot be read counts as none, and no entry is believed for longer than the longest ban, so that a
clock that was wrong cannot silence us for ever.
"""

import hashlib
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from wsadapter import files
from wsadapter.exchanges.rest_api import Request, RestExchange
from wsadapter.executor import DaemonExecutor
from wsadapter.log import Repeated, get_logger
from wsadapter.rest.budget import BAN, Budget, Outcome
from wsadapter.rest.client import RestClient, Unreachable

WORTH_KEEPING: Final = 5.0
"""Seconds of a pause that a restart must not cut short."""

log = get_logger()


class Result(Struct, frozen=True):
    """``body`` is the answer of `Outcome.OK`, the venue's error of `Outcome.REFUSED`, else empty."""

    outcome: Outcome
    body: bytes = b""
    received_ns: int = 0


class RequestCounts(Struct):
    """Since the start."""

    requests: int = 0
    limited: int = 0
    """429."""
    banned: int = 0
    """418, 403 and the like."""
    failed: int = 0
    """No answer, 5xx."""
    refused: int = 0
    reported: dict[str, int] = {}

    def increments(self) -> dict[str, int]:
        """What came since this was asked last. The sender's thread counts on meanwhile."""
        now = {name: getattr(self, name) for name in ("requests", "limited", "banned", "failed", "refused")}
        before, self.reported = self.reported, now
        return {name: count - before.get(name, 0) for name, count in now.items()}


class RestHost:
    """See the module docstring. ``exchange`` knows the limits, ``base`` is scheme and host."""

    def __init__(self, exchange: RestExchange, base: str, state_dir: str, notify: Callable[[], None]) -> None:
        self._bans = Bans(state_dir, base)
        self._base = base
        self._client = RestClient(base, exchange.weight_header)
        self._exchange = exchange
        self.budget = Budget(exchange.weights, exchange.pools, exchange.banned, random.random)
        self._threads = DaemonExecutor(1, "rest")
        self._notify = notify
        self._under_way: Future[Result] | None = None
        self._repeated = Repeated()
        self.counts = RequestCounts()
        if (seconds := self._bans.remaining(time.time())) > 0:
            log.warning(
                "REST host is not asked yet: a ban from before the restart lasts", host=base, seconds=round(seconds)
            )
            self.budget.pause(time.monotonic(), seconds)

    def wait(self, request: Request) -> float:
        """Seconds until it may be sent: 0 = now, infinite while another one is under way."""
        if self._under_way is not None and not self._under_way.done():
            return float("inf")
        return self.budget.wait(request, time.monotonic())

    def send(self, request: Request) -> Future[Result]:
        """Only when `wait` says 0."""
        self.budget.sent(request, time.monotonic())
        self.counts.requests += 1
        future = self._threads.call(lambda: self._perform(request))
        future.add_done_callback(lambda _: self._notify())
        self._under_way = future
        return future

    @property
    def used(self) -> int:
        """Weight of the current minute."""
        return self.budget.used(time.monotonic())

    @property
    def paused(self) -> float:
        """Seconds for which it is left alone."""
        return self.budget.paused(time.monotonic())

    def _perform(self, request: Request) -> Result:
        try:
            answer = self._client.get(request)
        except Unreachable as error:
            self.counts.failed += 1
            self._log("no answer", str(error))
            return Result(self.budget.failed(time.monotonic()))
        now = time.monotonic()
        outcome = self.budget.answered(answer.status, answer.used, answer.retry_after, now)
        if outcome is Outcome.OK:
            return Result(outcome, answer.body, answer.received_ns)
        refusal = self._exchange.refusal(answer.body)
        self._log(f"HTTP {answer.status}", f"{request.path}: {refusal.code} {refusal.message}")
        if outcome is Outcome.REFUSED:
            self.counts.refused += 1
            return Result(outcome, answer.body, answer.received_ns)
        self._count(answer.status)
        if (seconds := self.budget.paused(now)) >= WORTH_KEEPING:
            self._bans.save(time.time() + seconds, f"HTTP {answer.status}")
        return Result(outcome)

    def _count(self, status: int) -> None:
        if status == 429:
            self.counts.limited += 1
        elif status < 500 and status >= 400:
            self.counts.banned += 1
        else:
            self.counts.failed += 1

    def _log(self, what: str, detail: str) -> None:
        if (repeated := self._repeated(what)) is not None:
            seconds = round(self.budget.paused(time.monotonic()), 1)
            log.warning(f"REST: {what}", host=self._base, detail=detail, paused_seconds=seconds, repeated=repeated)


class Ban(Struct, frozen=True):
    """``host`` is for whoever reads the file; ``until`` are seconds since the epoch."""

    host: str
    until: float
    reason: str


_decode: Final = msgspec.json.Decoder(Ban).decode


class Bans:
    """The file of one host. Written by the one process that asks it."""

    def __init__(self, state_dir: str, host: str) -> None:
        name = hashlib.sha1(host.encode()).hexdigest()[:12]
        self._path = Path(state_dir) / f"rest-ban-{name}.json"
        self._host = host

    def remaining(self, wall: float) -> float:
        """Seconds that the remembered ban lasts yet."""
        try:
            ban = _decode(self._path.read_bytes())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return 0.0
        return min(max(0.0, ban.until - wall), BAN.maximum)

    def save(self, until: float, reason: str) -> None:
        files.replace(self._path, msgspec.json.encode(Ban(self._host, until, reason)), durable=True)
