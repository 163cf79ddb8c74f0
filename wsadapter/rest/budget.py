"""When a host may be asked next: its weight per minute, its pools, its bans, its absence. Pure: no clock, no dice.

All REST of a host goes through one `Budget`, told of every request and every answer, in seconds of a monotonic clock.

* Weight: as much as the host says that it allows (`Budget.allow`). What is used of it is what its header last said,
  plus what was sent since; without a header our own last minute. A share is left to others at the same address
  (`RESERVE`).
* 429, or an error of the API that means the same: nothing is sent before the wait that was announced is over. 418 is a
  ban, 403 the firewall's, 451 the law's: the wait that was announced, else two minutes, doubled with each in a row,
  three days at most.
* No answer, 5xx, a redirect (never followed), a 4xx that is not the API's own error: exponential waits with full
  jitter. Only what the API itself says about a request is final, of status 5xx only what is known to be about it.

What must outlive the process is the end of a pause: `Budget.pause` at the next start, see `wsadapter.rest.host`.
"""

from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from wsadapter.backoff import Backoff
from wsadapter.exchanges.rest_api import ErrorKind, Limit, Refusal, Request

RESERVE: Final = 0.25
"""Share of the host's weight that is not ours: charts, order programs and humans may share the address."""
RETRY: Final = Backoff(0.5, 60.0)
BAN: Final = Backoff(120.0, 3 * 86_400.0)
BANNED: Final = frozenset((403, 451))
LIMITED: Final = 429
LIMITED_SECONDS: Final = 60.0
"""Of a 429 that does not say how long."""


class Outcome(StrEnum):
    """What became of a request."""

    OK = "ok"
    AGAIN = "again"
    """Nothing about this request: send it again, `Budget.wait` says when."""
    ABSENT = "absent"
    """No answer, or 5xx: send it again, but not for ever, as it may be this request only."""
    UNANSWERED = "unanswered"
    """The same, but it may be this request only that gets no answer: let others go first."""
    REFUSED = "refused"
    """It will never be answered."""


class Budget:
    """See the module docstring. ``used`` is the weight of the current minute as far as it is known."""

    def __init__(
        self, weights: Limit, pools: Mapping[str, Limit], banned: frozenset[int], random: Callable[[], float]
    ) -> None:
        self._pools, self._banned, self._random = pools, banned | BANNED, random
        self.allow(weights)
        self._sent: deque[tuple[float, int]] = deque()
        self._in_pools: dict[str, deque[float]] = {name: deque() for name in pools}
        self._header: tuple[float, int] | None = None
        self._paused_until = float("-inf")
        self._failures = self._bans = 0

    def allow(self, weights: Limit) -> None:
        """So much the host allows in all, from now on."""
        self._weights = weights
        self._spendable = weights.units * (1 - RESERVE)

    @property
    def spendable(self) -> Limit:
        """What of that is ours to use."""
        return Limit(int(self._spendable), self._weights.seconds)

    @property
    def limit(self) -> int:
        """Weight that the host allows."""
        return self._weights.units

    def wait(self, request: Request, now: float, reserve: float = 0.0) -> float:
        """Seconds until ``request`` may be sent; 0 = now. ``reserve``: the share of the weight that it leaves to
        others of ours."""
        weight_wait = self._weight_wait(request, now, reserve)
        return max(0.0, self._paused_until - now, weight_wait, self._pool_wait(request.pool, now))

    def sent(self, request: Request, now: float) -> None:
        self._sent.append((now, request.weight))
        if request.pool:
            self._in_pools[request.pool].append(now)

    def answered(
        self, status: int, used: int | None, retry_after: float | None, now: float, refusal: Refusal | None = None
    ) -> Outcome:
        """The host answered; ``used``: what its header said, ``retry_after``: the wait that it announced (seconds),
        ``refusal``: the API's own error, if the answer is one."""
        if used is not None:
            self._header = now, max(0, used)
        kind = None if refusal is None else refusal.kind
        if status in self._banned:
            wait = BAN.bound(self._bans) if retry_after is None else retry_after
            self._bans += 1
            self.pause(now, min(wait, BAN.maximum))
            return Outcome.AGAIN
        if status == LIMITED or kind is ErrorKind.LIMITED:
            self.pause(now, min(LIMITED_SECONDS if retry_after is None else retry_after, BAN.maximum))
            return Outcome.AGAIN
        if (status >= 500 and kind is not ErrorKind.FINAL) or (status < 400 and status != 200) or status == 408:
            return self.failed(now)
        if kind is ErrorKind.AGAIN or (kind is None and status != 200):
            self.failed(now)
            return Outcome.UNANSWERED
        self._failures = self._bans = 0
        return Outcome.OK if kind is None else Outcome.REFUSED

    def failed(self, now: float) -> Outcome:
        """No answer, or one that says nothing about the request."""
        self.pause(now, RETRY.minimum + RETRY.delay(self._failures, self._random))
        self._failures += 1
        return Outcome.ABSENT

    def pause(self, now: float, seconds: float) -> None:
        """Send nothing for so long."""
        self._paused_until = max(self._paused_until, now + seconds)

    def paused(self, now: float) -> float:
        """Seconds that a pause lasts yet."""
        return max(0.0, self._paused_until - now)

    def used(self, now: float) -> int:
        self._forget(now)
        if self._header is not None and now - self._header[0] < self._weights.seconds:
            at, used = self._header
            return used + sum(weight for sent_at, weight in self._sent if sent_at > at)
        return sum(weight for _, weight in self._sent)

    def _weight_wait(self, request: Request, now: float, reserve: float) -> float:
        if not request.weight or self.used(now) + request.weight <= self._spendable - reserve * self._weights.units:
            return 0.0
        # what the header said is gone a minute later; what we sent before it is in it
        since = self._header[0] if self._header is not None else self._sent[0][0] if self._sent else now
        if self._header is None or now - since >= self._weights.seconds:
            since = self._sent[0][0] if self._sent else now - self._weights.seconds
        return max(0.0, since + self._weights.seconds - now)

    def _pool_wait(self, name: str, now: float) -> float:
        if not name:
            return 0.0
        limit, sent = self._pools[name], self._in_pools[name]
        while sent and now - sent[0] >= limit.seconds:
            sent.popleft()
        return sent[0] + limit.seconds - now if len(sent) >= limit.units * (1 - RESERVE) else 0.0

    def _forget(self, now: float) -> None:
        while self._sent and now - self._sent[0][0] >= self._weights.seconds:
            self._sent.popleft()
