"""One connection plan kept alive: dial, subscribe, read, and again after every end, until stopped.

Owns the exchange instance, its sessions (one at a time), the state of each subscription and all counters of the
connection. Guarantees: after every reconnect the desired state is asked for anew; waits grow exponentially with full
jitter, and start small again only after a connection that stood and delivered; what the venue asks (Retry-After, bans)
is obeyed; a subscription that is not answered ends the session, one that is refused does not.
"""

import asyncio
import logging
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable
from enum import IntEnum
from typing import Final

from picows import WSCloseCode, WSProtocolError, WSTransport

from wsadapter.backoff import Backoff
from wsadapter.connection_config import ConnectionConfig
from wsadapter.dial import DialFailed, Endpoint, dial
from wsadapter.errors import ServiceUnavailable
from wsadapter.exchanges import load
from wsadapter.exchanges.base import Acked, Bad, ConnectionPlan, Exchange, Refused
from wsadapter.handler import Hooks
from wsadapter.log import Repeated
from wsadapter.session import Lost, Rules, Session, Tally
from wsadapter.stale_watch import LOOK_SECONDS, StaleWatch
from wsadapter.timers import Timers

STABLE_SECONDS: Final = 10.0
"""A connection that stood so long, and delivered, was a good one."""
BANNED_SECONDS: Final = 120.0
"""Pause after 403 and 418 that do not say how long: the venue's shortest ban."""

logger = logging.getLogger(__name__)


class SubscriptionState(IntEnum):
    """As on the stats page. STALE: spoke or was acknowledged, and is silent for longer than such a stream is."""

    REQUESTED = 0
    ACKED = 1
    LIVE = 2
    STALE = 3
    REFUSED = 4


class GivenUp(ServiceUnavailable):
    """``max_reconnects`` failures in a row."""


class Connection:
    """``tally``, ``decode_errors`` (by kind), ``refused`` and ``reconnects`` (by reason) only grow."""

    def __init__(
        self,
        plan: ConnectionPlan,
        config: ConnectionConfig,
        hooks: Hooks,
        tls: ssl.SSLContext | None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.plan = plan
        self.exchange: Exchange = load(plan.exchange)(plan)
        self.tally = Tally()
        self.decode_errors: Counter[str] = Counter()
        self.reconnects: Counter[str] = Counter()
        self.refused = 0
        self.connected_ns = 0
        """Since when the socket is up, 0 = it is not."""
        self.subscribed = asyncio.Event()
        """Set while every subscription of the socket has its answer."""
        self._config, self._hooks, self._tls, self._dice = config, hooks, tls, dice
        self._backoff = Backoff(config.reconnect_backoff, config.reconnect_backoff_max)
        self._stop = asyncio.Event()
        self._session: Session | None = None
        self._states = dict.fromkeys(self.exchange.last_receive_ns, SubscriptionState.REQUESTED)
        self._unanswered: set[str] = set()
        self._at_open = dict(self.exchange.last_receive_ns)
        """Receive times when the socket came up: what differs was received since, whatever the wall clock did."""
        self._attempt = 0
        """Losses since the last good connection: the exponent of the wait."""
        self._failures = 0
        """Attempts in a row that brought no event."""
        self._repeated = Repeated()
        self._watch = StaleWatch(plan.connection, self.exchange, hooks)
        self._look_failed: BaseException | None = None

    @property
    def error_count(self) -> int:
        return self.decode_errors.total() + self.refused + self.reconnects.total()

    def subscriptions(self) -> dict[str, tuple[SubscriptionState, int]]:
        """Name -> state and receive time of its last frame (0 = none yet)."""
        received = self.exchange.last_receive_ns
        return {name: (self._state(name, state), received[name]) for name, state in self._states.items()}

    def _state(self, name: str, answered: SubscriptionState) -> SubscriptionState:
        if answered is SubscriptionState.REFUSED:
            return answered
        if self._watch.is_stale(name):
            return SubscriptionState.STALE
        spoke = self.exchange.last_receive_ns[name] != self._at_open[name]
        return SubscriptionState.LIVE if spoke else answered

    async def run(self) -> None:
        """Until `stop`; raises `GivenUp`, or what the handler raised."""
        while not self._stop.is_set():
            lost = await self._live()
            if not self._stop.is_set():
                await self._pause(lost)

    def stop(self) -> None:
        """End gracefully: what the venue sent before it answers our CLOSE is still delivered."""
        self._stop.set()
        if self._session is not None:
            self._session.close()

    async def _live(self) -> Lost:
        """One session from dial to end."""
        timers = Timers(asyncio.get_running_loop())
        self._session = session = Session(
            self.exchange,
            self._rules(),
            self.tally,
            {**self._hooks.events, Acked: self._on_acked, Refused: self._on_refused, Bad: self._on_bad},
            lambda session: self._on_open(session, timers),
            self._hooks.on_read_end,
        )
        started = time.monotonic()
        try:
            lost = await self._dial_and_read(session)
        finally:
            timers.clear_all()
            session.abort()
            self._judge(self.connected_ns != 0, time.monotonic() - started)
            self.connected_ns = 0
            self.subscribed.clear()
        if self._look_failed is not None:
            raise self._look_failed
        if self._stop.is_set():
            self._watch.end()
        self._hooks.on_disconnected(lost.reason, time.time_ns())
        return lost

    async def _dial_and_read(self, session: Session) -> Lost:
        try:
            transport = await self._dial(session)
        except DialFailed as error:
            return Lost(error.reason, error.detail, error.retry_after)
        if transport is None:
            return Lost("stopped")
        if self._stop.is_set():
            session.close()
        try:
            await transport.wait_disconnected()
        except WSProtocolError as error:
            return self._broken(error)
        return session.lost or Lost("reset", "the TCP connection ended without a CLOSE")

    async def _dial(self, session: Session) -> WSTransport | None:
        """None when told to stop meanwhile."""
        config = self._config
        endpoint = Endpoint(self.plan.url, config.connect_timeout, config.max_message_size, config.read_buffer_size)
        dialing = asyncio.ensure_future(dial(endpoint, session, self._tls))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((dialing, stopping), return_when=asyncio.FIRST_COMPLETED)
            return dialing.result() if dialing.done() else None
        finally:
            stopping.cancel()
            if not dialing.done():
                dialing.cancel()
                await asyncio.wait((dialing,))

    def _broken(self, error: WSProtocolError) -> Lost:
        """What picows itself found wrong with a frame."""
        if error.code == WSCloseCode.MESSAGE_TOO_BIG:
            return Lost("oversize", str(error))
        return Lost("protocol", str(error))

    def _judge(self, was_up: bool, seconds: float) -> None:
        """How good was it? Decides about giving up and about the next wait."""
        if not was_up or self.exchange.last_receive_ns == self._at_open:
            self._failures += 1
            return
        self._failures = 0
        if seconds >= STABLE_SECONDS:
            self._attempt = 0

    def wait_after(self, lost: Lost) -> float:
        """Seconds until the next attempt, one step further in the backoff."""
        wait = self._backoff.delay(self._attempt, self._dice)
        self._attempt += 1
        if lost.retry_after is not None:
            return max(wait, lost.retry_after)
        return max(wait, BANNED_SECONDS) if lost.reason in ("http_403", "http_418") else wait

    async def _pause(self, lost: Lost) -> None:
        self.reconnects[lost.reason] += 1
        if lost.reason == "oversize":
            self._on_bad(Bad("oversize", lost.detail))
        if 0 < self._config.max_reconnects <= self._failures:
            raise GivenUp(
                f"{self.plan.connection}: {self._failures} failures in a row, last {lost.reason}: {lost.detail}"
            )
        wait = self.wait_after(lost)
        logger.warning(
            "%s: lost (%s: %s), next attempt in %.3f s", self.plan.connection, lost.reason, lost.detail, wait
        )
        try:
            async with asyncio.timeout(wait):
                await self._stop.wait()
        except TimeoutError:
            pass

    def _rules(self) -> Rules:
        config = self._config
        return Rules(
            config.ping_interval,
            config.pong_timeout,
            config.ack_timeout or self.exchange.ack_timeout,
            self.exchange.message_interval,
            config.max_message_size,
            config.write_buffer_size,
        )

    # Called by the session.

    def _on_open(self, session: Session, timers: Timers) -> None:
        now_ns = self.connected_ns = time.time_ns()
        self._states = dict.fromkeys(self._states, SubscriptionState.REQUESTED)
        self._unanswered = set(self._states)
        self._at_open = dict(self.exchange.last_receive_ns)
        logger.info("%s: connected to %s", self.plan.connection, self.plan.url)
        self._hooks.on_connected(now_ns)
        for payload in self.exchange.open():
            session.request(payload)
        self._watch.opened()
        timers.set("look", LOOK_SECONDS, lambda: self._look(session, timers))

    def _look(self, session: Session, timers: Timers) -> None:
        """Does every stream speak that ought to?"""
        asked = {name for name, state in self._states.items() if state is SubscriptionState.ACKED}
        try:
            names = self._watch.look(session, self.connected_ns, asked - self._unanswered)
        except BaseException as error:  # of the handler: as in a read, the session ends and `run` raises
            self._look_failed = error
            session.abort()
            return
        if session.lost is None:
            self._unanswered.update(names)
            for payload in self.exchange.resubscribe(names):
                session.request(payload)
            timers.set("look", LOOK_SECONDS, lambda: self._look(session, timers))

    def _on_acked(self, item: Acked) -> None:
        self._answered(item.names, SubscriptionState.ACKED)

    def _on_refused(self, item: Refused) -> None:
        self.refused += 1
        detail = f"{' '.join(item.names)} {item.code} {item.message}".strip()
        logger.warning("%s: subscription refused: %s", self.plan.connection, detail)
        self._hooks.on_error("refused", detail)
        self._answered(item.names, SubscriptionState.REFUSED)

    def _answered(self, names: tuple[str, ...], state: SubscriptionState) -> None:
        self._states.update(dict.fromkeys(names, state))
        self._unanswered.difference_update(names)
        if self._unanswered or self._session is None:
            return
        self._session.settled()
        if not self.subscribed.is_set():
            self.subscribed.set()
            self._hooks.on_subscribed(time.time_ns())

    def _on_bad(self, item: Bad) -> None:
        self.decode_errors[item.kind] += 1
        if (kept_back := self._repeated(item.kind)) is not None:
            logger.warning(
                "%s: no event from a frame (%s: %s), %d more like it not said",
                self.plan.connection, item.kind, item.detail, kept_back,
            )  # fmt: skip
        self._hooks.on_error(item.kind, item.detail)
