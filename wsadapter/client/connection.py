"""One connection plan kept alive: dial, subscribe, read, and again after every end, until stopped.

Owns the exchange instance, its session, the state of each subscription and the counters of the connection; while a
socket is exchanged for the next one (`wsadapter.client.rotation`) also that one. Guarantees: after every reconnect
the desired state is asked for anew; waits grow exponentially with full jitter, and start small again only after a
connection that stood and delivered; what the venue asks (Retry-After, bans) is obeyed; a subscription that is not
answered ends the session, one that is refused does not, and one that falls silent costs the others nothing; and every
time in which events are missed is a `Gap` for the handler, in its place among the events: one for the connection,
open from the last event until every subscription is acknowledged again, and one for each stream that falls silent.
"""

import asyncio
import logging
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import get_args

from wsadapter.backoff import Backoff, Retries
from wsadapter.client.clock import clock
from wsadapter.client.config import ConnectionConfig
from wsadapter.client.connect_limit import ConnectLimiter
from wsadapter.client.dial import Dialer
from wsadapter.client.handler import BoundHandler
from wsadapter.client.reader import ReceiveCount
from wsadapter.client.rotation import AFTER_SECONDS, RETRY_SECONDS, Dispatch, NextSocket, Reason, due_in
from wsadapter.client.rotation import LOOK_SECONDS as SUCCESSOR_LOOK_SECONDS
from wsadapter.client.session import Lost, Session, Timers
from wsadapter.client.stream_watch import LOOK_SECONDS, StreamWatch, some
from wsadapter.client.subscriptions import Subscriptions, SubscriptionState
from wsadapter.errors import ServiceUnavailable
from wsadapter.events import Gap
from wsadapter.events.gaps import GapCause, begin, ended
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import Acked, Bad, ClosesSoon, ConnectionPlan, Exchange, Refused
from wsadapter.log import Repeated

logger = logging.getLogger(__name__)


class GivenUp(ServiceUnavailable):
    """``max_reconnects`` failures in a row."""


class Connection:
    """``attempts`` grants every dial. ``last_event_ns``: when an earlier process received the last event of this
    connection (0 = there was none): the first gap begins there.

    ``tally``, ``decode_errors`` (by kind), ``refused``, ``reconnects`` (by reason)
    and ``copies`` (events that two sockets brought, by stream word) only grow."""

    def __init__(
        self,
        plan: ConnectionPlan,
        config: ConnectionConfig,
        hooks: BoundHandler,
        tls: ssl.SSLContext | None,
        attempts: ConnectLimiter,
        last_event_ns: int = 0,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.plan = plan
        self.exchange: Exchange = load(plan.exchange)(plan)
        self.tally = ReceiveCount()
        self.decode_errors: Counter[str] = Counter()
        self.reconnects: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()
        self.refused = 0
        self.connected_ns = 0
        """Since when the socket is up, 0 = it is not."""
        self.subscribed = asyncio.Event()
        """Set while every subscription of the socket has its answer."""
        self._config, self._hooks, self._dice = config, hooks, dice
        self._retries = Retries(Backoff(config.reconnect_backoff, config.reconnect_backoff_max), dice)
        self._stop = asyncio.Event()
        self.sockets = Dialer(plan, config, tls, attempts, self._stop)
        self._session: Session | None = None
        self._asked = Subscriptions(self.exchange.last_receive_ns)
        self._successor: NextSocket | None = None
        """The next socket, while this one still delivers."""
        self._repeated = Repeated()
        self._last_event_ns = last_event_ns
        self._gap: Gap | None = None
        """Of the whole connection, while it lasts."""
        self._watch = StreamWatch(plan.connection, self.exchange, hooks)
        self._look_failed: BaseException | None = None

    @property
    def losses(self) -> int:
        """Connections lost, or renewed for streams that died, and attempts failed; a rotation is none of them."""
        return self.reconnects.total() - self.reconnects["rotation"]

    @property
    def error_count(self) -> int:
        return self.decode_errors.total() + self.refused + self.losses

    def subscriptions(self) -> dict[str, tuple[SubscriptionState, int]]:
        """Name -> state and receive time of its last frame (0 = none yet)."""
        received, asked, is_stale = self.exchange.last_receive_ns, self._asked, self._watch.is_stale
        return {name: (asked.state(name, at, is_stale(name)), at) for name, at in received.items()}

    async def run(self) -> None:
        """Until `stop`; raises `GivenUp`, or what the handler raised."""
        successor: NextSocket | None = None
        before_ns = self._last_event_ns
        self._begin_gap(GapCause.RESTART if before_ns else GapCause.CONNECT, before_ns)
        try:
            while successor is not None or not self._stop.is_set():
                lost = await self._live(successor)
                successor, self._successor = self._successor, None
                if successor is not None:
                    self.reconnects[lost.reason] += 1
                elif not self._stop.is_set():
                    self.reconnects[lost.reason] += 1
                    await self._pause(lost)
        finally:
            for left in (successor, self._successor):
                if left is not None:
                    await self._drop(left)

    def mark(self, stream: str, symbol: str, at_ns: int) -> None:
        """Events of this stream word and symbol (empty: of all) come after a gap that the handler noticed."""
        self.exchange.mark(stream, symbol, at_ns)
        if self._successor is not None:
            self._successor.exchange.mark(stream, symbol, at_ns)

    def stop(self) -> None:
        """End gracefully: what the venue sent before it answers our CLOSE is still delivered."""
        self._stop.set()
        if self._session is not None:
            self._session.close()

    async def _live(self, successor: NextSocket | None) -> Lost:
        """One session from dial (or from the end of the one before it) to its own end."""
        timers = Timers(asyncio.get_running_loop())
        started = time.monotonic()
        try:
            if successor is None:
                self._session = Session(
                    self.exchange,
                    self._config,
                    self.tally,
                    self._dispatch(self._hooks.events, timers),
                    lambda session: self._on_open(session, timers),
                    self._hooks.on_read_end,
                )
                lost = await self.sockets.live(self._session)
            else:
                started = successor.began
                self._go_on_with(successor, timers)
                lost = await successor.ended
        finally:
            timers.clear_all()
            if self._session is not None:
                self._session.abort()
            delivered = self.connected_ns != 0 and self.exchange.last_receive_ns != self._asked.at_open
            self._retries.judge(delivered, time.monotonic() - started)
        if self._look_failed is not None:
            raise self._look_failed
        await self._end(lost)
        return lost

    async def _end(self, lost: Lost) -> None:
        """A socket has ended: is there another one to go on with, and is anything missing between them?"""
        next_one, planned = self._successor, lost.reason in get_args(Reason)
        if next_one is not None and not (next_one.subscribed and (planned or not self._stop.is_set())):
            self._successor = None
            await self._drop(next_one)
        if self._successor is None or not (planned or self._successor.overlaps()):
            self.connected_ns = 0
            self.subscribed.clear()
            if self._stop.is_set():
                self._watch.end()
            reason = "stopped" if planned and self._stop.is_set() else lost.reason
            if reason != "stopped":
                self._begin_gap(GapCause.DISCONNECT, max(self.exchange.last_receive_ns.values(), default=0))
            self._hooks.on_disconnected(reason, clock.now_ns())

    async def _pause(self, lost: Lost) -> None:
        if lost.reason == "oversize":
            self._on_bad(Bad("oversize", lost.detail))
        if 0 < self._config.max_reconnects <= self._retries.failures:
            raise GivenUp(
                f"{self.plan.connection}: {self._retries.failures} failures in a row, last {lost.reason}: {lost.detail}"
            )
        wait = self._retries.next_wait(lost.asked_to_wait)
        logger.warning(
            "%s: connection lost (%s: %s), next attempt in %.3f s", self.plan.connection, lost.reason, lost.detail, wait
        )
        try:
            async with asyncio.timeout(wait):
                await self._stop.wait()
        except TimeoutError:
            pass

    def _dispatch(self, events: Dispatch, timers: Timers) -> Dispatch:
        return {
            **events,
            Acked: self._on_acked,
            Refused: self._on_refused,
            Bad: self._on_bad,
            ClosesSoon: lambda item: self._rotate(timers, item.detail),
        }

    # The gap of the whole connection.

    def _begin_gap(self, cause: GapCause, started_ns: int) -> None:
        """Nothing is received since ``started_ns`` (0 = since now). Called between reads."""
        if self._gap is None:
            now_ns = clock.now_ns()
            plan = self.plan
            self._gap = begin(cause, started_ns or now_ns, now_ns, exchange=plan.exchange, connection=plan.connection)
            self._deliver(self._gap)

    def _end_gap(self, now_ns: int) -> None:
        """Every subscription is live; the read during which this is called has its own end."""
        self.exchange.last_gap_ns = now_ns
        if self._gap is not None:
            gap, self._gap = ended(self._gap, now_ns), None
            self._deliver(gap)

    def _deliver(self, gap: Gap) -> None:
        if (handle := self._hooks.events.get(Gap)) is not None:
            handle(gap)

    # Rotation.

    def _rotate(self, timers: Timers, why: str, dead: Collection[str] = (), trial: bool = False) -> None:
        """Begin to make the next socket, as planned or for ``dead`` streams; this one delivers on."""
        if self._stop.is_set() or self._session is None:
            return
        if self._successor is not None:
            if not dead:
                self._successor.plan()
            return
        logger.info("%s: rotation begins (%s)", self.plan.connection, why)
        hooks, config = self._hooks, self._config
        next_one = NextSocket(self.plan, self.exchange, hooks, config, self.tally, self.copies, dead, trial)
        self._successor = next_one
        self._session.redirect(self._dispatch(dict.fromkeys(self._hooks.events, next_one.overlap.first), timers))
        next_one.ended = asyncio.ensure_future(self.sockets.live(next_one.session))
        timers.set("successor", SUCCESSOR_LOOK_SECONDS, lambda: self._look_at(next_one, timers))

    def _look_at(self, next_one: NextSocket, timers: Timers) -> None:
        if self._session is None or self._successor is not next_one:
            return
        if next_one.ready():
            self._session.close(next_one.reason)
        elif why := next_one.useless():
            self._put_off(next_one, why, timers)
        else:
            timers.set("successor", SUCCESSOR_LOOK_SECONDS, lambda: self._look_at(next_one, timers))

    def _put_off(self, next_one: NextSocket, why: str, timers: Timers) -> None:
        """What is planned is tried again soon; for dead streams the watch says when."""
        logger.warning("%s: rotation put off (%s)", self.plan.connection, why)
        next_one.drop()
        self._successor = None
        if self._session is not None:
            self._session.redirect(self._dispatch(self._hooks.events, timers))
        self._watch.put_off()
        if next_one.reason == "rotation":
            again = min(RETRY_SECONDS, self._config.rotate_after or RETRY_SECONDS)
            timers.set("rotate", max(again, next_one.asked_to_wait), self._due(timers))

    def _go_on_with(self, next_one: NextSocket, timers: Timers) -> None:
        """The old socket has ended: what it did not bring is delivered, then what comes."""
        seamless = self.connected_ns != 0
        self._session, self._asked = next_one.session, next_one.subscriptions
        self.connected_ns = next_one.connected_ns
        before, self.exchange = self.exchange, next_one.exchange
        if not seamless:
            self._hooks.on_connected(next_one.connected_ns)
        self.exchange.succeed(before)
        self._watch.succeed(self.exchange, seamless)
        next_one.overlap.hand_over()
        self._session.redirect(self._dispatch(next_one.events, timers))
        timers.set("copies", AFTER_SECONDS, lambda: self._forget_copies(next_one, timers))
        if not seamless:
            self._all_subscribed()
        self._hooks.on_read_end()
        logger.info("%s: rotated to the next connection", self.plan.connection)
        self._begin(next_one.session, timers)
        if self._stop.is_set():
            self._session.close()

    def _forget_copies(self, before: NextSocket, timers: Timers) -> None:
        if self._session is before.session and self._successor is None:
            self._session.redirect(self._dispatch(self._hooks.events, timers))

    async def _drop(self, successor: NextSocket) -> None:
        successor.drop()
        await asyncio.wait((successor.ended,))

    def _due(self, timers: Timers) -> Callable[[], None]:
        return lambda: self._rotate(timers, "its time is over")

    def _begin(self, session: Session, timers: Timers) -> None:
        """A socket is the connection's from now on."""
        timers.set("look", LOOK_SECONDS, lambda: self._look(session, timers))
        if (seconds := due_in(self._config.rotate_after, self.exchange.max_life, self._dice)) is not None:
            timers.set("rotate", seconds, self._due(timers))

    # Called by the session.

    def _on_open(self, session: Session, timers: Timers) -> None:
        now_ns = self.connected_ns = clock.now_ns()
        self._asked = Subscriptions(self.exchange.last_receive_ns)
        logger.info("%s: connected to %s", self.plan.connection, self.plan.url)
        self._hooks.on_connected(now_ns)
        for payload in self.exchange.open():
            session.request(payload)
        self._watch.opened()
        self._begin(session, timers)

    def _look(self, session: Session, timers: Timers) -> None:
        """Does every stream speak that ought to?"""
        try:
            verdict = self._watch.check(session.last_read, self.connected_ns, self._asked.expected())
        except BaseException as error:  # of the handler: as in a read, the session ends and `run` raises
            self._look_failed = error
            session.abort()
            return
        if session.lost is None:
            self._asked.unanswered.update(verdict.resubscribe)
            for payload in self.exchange.resubscribe(tuple(verdict.resubscribe)):
                session.request(payload)
            if verdict.renew:
                self._rotate(timers, f"silent: {some(verdict.renew)}", verdict.renew, verdict.trial)
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
        if not self._asked.answered(names, state) or self._session is None:
            return
        self._session.settled()
        if not self.subscribed.is_set():
            self._all_subscribed()

    def _all_subscribed(self) -> None:
        now_ns = clock.now_ns()
        self.subscribed.set()
        self._end_gap(now_ns)
        self._hooks.on_subscribed(now_ns)

    def _on_bad(self, item: Bad) -> None:
        self.decode_errors[item.kind] += 1
        if (kept_back := self._repeated(item.kind)) is not None:
            logger.warning(
                "%s: a frame could not be decoded (%s: %s), %d more of the kind not logged",
                self.plan.connection, item.kind, item.detail, kept_back,
            )  # fmt: skip
        self._hooks.on_error(item.kind, item.detail)
