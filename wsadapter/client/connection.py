"""One connection plan kept alive: dial, subscribe, read, and again after every end, until stopped.

Owns the `current` socket, while it rotates also the `next` one, and the counters of the connection. A hand-over is an
assignment; what the handler gets is one sequence over both (`wsadapter.client.handover`). Other subscriptions or
settings (`change`) come with another socket: where one is up by a rotation, make before break, so that the streams that
stay have no hole; else with the next one that is dialled. Guarantees: after every
reconnect the desired state is asked for anew; waits grow exponentially with full jitter, and start small again only
after a connection that stood and delivered; what the venue asks (Retry-After, bans) is obeyed; a subscription that is
not answered ends the session, one that is refused does not, and one that falls silent costs the others nothing; and
every time in which events are missed is a `Gap` for the handler, in its place among the events: one for the connection,
open from the last event until every subscription is acknowledged again, and one for each stream that falls silent.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar, get_args

from wsadapter.backoff import Backoff, Retries
from wsadapter.client.clock import clock
from wsadapter.client.config import ConnectionConfig
from wsadapter.client.connect_limit import ConnectLimiter
from wsadapter.client.dial import Dialer, TrustStore
from wsadapter.client.handler import BoundHandler
from wsadapter.client.handover import Handover
from wsadapter.client.live_socket import LiveSocket, NextSocket
from wsadapter.client.reader import ReceiveCount
from wsadapter.client.rotation import AFTER_SECONDS, CHANGE_BACKOFF, RETRY_SECONDS, Reason, Rotation, due_in
from wsadapter.client.rotation import CHECK_SECONDS as NEXT_CHECK_SECONDS
from wsadapter.client.session import Lost
from wsadapter.client.stream_watch import CHECK_SECONDS, StreamWatch
from wsadapter.client.subscriptions import SubscriptionState
from wsadapter.client.tap import Tap
from wsadapter.client.terms import LeftStreams, Terms, added
from wsadapter.errors import ServiceUnavailable
from wsadapter.events import Gap
from wsadapter.events.gaps import GapCause, begin, ended
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import Acked, Bad, ClosesSoon, ConnectionPlan, Exchange, Refused
from wsadapter.log import Repeated
from wsadapter.text import some

logger = logging.getLogger(__name__)

S = TypeVar("S", bound=LiveSocket)
Events = Mapping[type, Callable[[Any], object]]
"""Event type -> who handles it."""


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
        trust: TrustStore | None,
        attempts: ConnectLimiter,
        last_event_ns: int = 0,
        missed_by: GapCause = GapCause.RESTART,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.tally = ReceiveCount()
        self.tap: Tap | None = None
        """Of the messages of each socket that is made from now on."""
        self.decode_errors: Counter[str] = Counter()
        self.reconnects: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()
        self.refused = 0
        self.subscribed = asyncio.Event()
        """Set while every subscription of the socket has its answer."""
        self._terms = self._wanted = Terms(plan, config)
        self._left = LeftStreams()
        self._again = ""
        """Why another socket is to follow the one that takes over now."""
        self._tries = 0
        """Sockets in a row that were to bring what is wanted, and were given up."""
        self._hooks, self._dice = hooks, dice
        self._retries = _retries(config, dice)
        self._stop = asyncio.Event()
        self.dialer = Dialer(plan, config, trust, attempts, self._stop)
        self.current = self._new(LiveSocket, load(plan.exchange)(plan))
        self.next: NextSocket | None = None
        """The one that is to take over, while the current one still delivers."""
        self._lagging: Handover | None = None
        """By which the current one came, while copies of what the socket before it brought may come."""
        self._repeated = Repeated()
        self._last_event_ns, self._missed_by = last_event_ns, missed_by
        self._gap: Gap | None = None
        """Of the whole connection, while it lasts."""
        self._watch = StreamWatch(plan.connection, self.exchange, hooks)
        self._failed: BaseException | None = None
        """What a handler raised outside of a read."""

    @property
    def plan(self) -> ConnectionPlan:
        return self._terms.plan

    @property
    def _config(self) -> ConnectionConfig:
        return self._terms.config

    @property
    def exchange(self) -> Exchange:
        return self.current.exchange

    @property
    def connected_ns(self) -> int:
        """Since when the connection is up, 0 = it is not."""
        return self.current.connected_ns

    @property
    def alive_ns(self) -> int:
        """When the connection last gave any sign of life, by our clock; 0 = it is down."""
        if not self.connected_ns:
            return 0
        return clock.now_ns() - max(0, round((time.monotonic() - self.current.session.last_read) * 1e9))

    @property
    def losses(self) -> int:
        """Connections lost, or renewed for streams that died, and attempts failed; a rotation is none of them."""
        return self.reconnects.total() - self.reconnects["rotation"]

    @property
    def error_count(self) -> int:
        return self.decode_errors.total() + self.refused + self.losses

    def subscriptions(self) -> dict[str, tuple[SubscriptionState, int]]:
        """Name -> state and receive time of its last frame (0 = none yet)."""
        state, is_stale = self.current.subscriptions.state, self._watch.is_stale
        return {name: (state(name, at, is_stale(name)), at) for name, at in self.exchange.last_receive_ns.items()}

    async def run(self) -> None:
        """Until `stop`; raises `GivenUp`, or what the handler raised."""
        before_ns = self._last_event_ns
        self._begin_gap(self._missed_by if before_ns else GapCause.CONNECT, before_ns)
        try:
            while self.next is not None or not self._stop.is_set():
                lost = await self._live()
                if self.next is not None:
                    self.reconnects[lost.reason] += 1
                elif not self._stop.is_set():
                    self.reconnects[lost.reason] += 1
                    await self._pause(lost)
        finally:
            await self._drop_next()

    def mark(self, stream: str, symbol: str, at_ns: int) -> None:
        """Events of this stream word and symbol (empty: of all) come after a gap that the handler noticed."""
        self.exchange.mark(stream, symbol, at_ns)
        if self.next is not None:
            self.next.exchange.mark(stream, symbol, at_ns)

    def change(self, plan: ConnectionPlan, config: ConnectionConfig) -> None:
        """Other subscriptions, at the same address, or other settings; they are the connection's when `has` says so. A
        change that comes before the last one was made takes its place."""
        wanted = Terms(plan, config)
        if wanted == self._wanted:
            return
        self._wanted, self._tries = wanted, 0
        if self.next is not None and not self._is_leaving:
            self._put_off(self.next, "other subscriptions are wanted")
            self._begin()
        self._rotate_if_wanted()

    def renew(self, why: str) -> None:
        """Another socket takes over, without a hole; where none is up, the next one is new anyway."""
        if self.next is not None and not self._is_leaving:
            self._put_off(self.next, why)
            self._begin()
        if self._is_leaving:
            self._again = why
        elif self.subscribed.is_set():
            self._rotate(why)

    def has(self, plan: ConnectionPlan, config: ConnectionConfig) -> bool:
        """Whether this is what it keeps now."""
        return self._terms == Terms(plan, config)

    def stop(self) -> None:
        """End gracefully: what the venue sent before it answers our CLOSE is still delivered."""
        self._stop.set()
        self.current.session.close()

    async def _live(self) -> Lost:
        """One socket until its end: the next one, which takes over, or a new one."""
        try:
            if self.next is not None:
                self._hand_over(self.next)
            else:
                self.current = self._new(LiveSocket, self._exchange_of_new_socket())
                self._lagging, self._again = None, ""
                self._lead_to(self._hooks.events)
                self.current.dial(self.dialer)
            lost = await self.current.ended
        finally:
            self.current.end()
            self._retries.judge(self.current.delivered, time.monotonic() - self.current.began)
        if self._failed is not None:
            raise self._failed
        await self._end(lost)
        return lost

    async def _end(self, lost: Lost) -> None:
        """A socket has ended: is there another one to go on with, and is anything missing between them?"""
        planned = lost.reason in get_args(Reason)
        if self.next is not None and not (self.next.subscribed and (planned or not self._stop.is_set())):
            await self._drop_next()
        if self.next is None or not (planned or self.next.rotation.overlaps(time.monotonic())):
            self.current.connected_ns = 0
            self.subscribed.clear()
            if self._stop.is_set():
                self._watch.end()
            reason = "stopped" if planned and self._stop.is_set() else lost.reason
            if reason != "stopped":
                cause = GapCause.NOTICE if self.current.is_announced else GapCause.DISCONNECT
                self._begin_gap(cause, max(self.exchange.last_receive_ns.values(), default=0))
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

    def _new(self, kind: type[S], exchange: Exchange, config: ConnectionConfig | None = None) -> S:
        return kind(exchange, config or self._config, self.tally, self._on_open, self._hooks.on_read_end, self.tap)

    def _exchange_of_new_socket(self) -> Exchange:
        """Where none goes on: with the subscriptions that are wanted now."""
        before, wanted = self.exchange, self._wanted
        if wanted == self._terms:
            return before
        exchange = load(wanted.plan.exchange)(wanted.plan)
        ends = before.leave(exchange, clock.now_ns())
        exchange.replace(before)
        self._watch.watch(exchange)
        self._take(wanted, ends, before.last_receive_ns)
        return exchange

    def _take(self, terms: Terms, ends: Iterable[Gap], received: Mapping[str, int]) -> None:
        """From now on they are the connection's. ``ends``: of the gaps of streams that it does not have any more.
        ``received``: until when each stream was."""
        returned = self._left.exchanged(self.plan, terms.plan, received, clock.now_ns())
        if terms.config != self._config:
            self.dialer.config = terms.config
            self._retries = _retries(terms.config, self._dice)
        self._terms, self._tries = terms, 0
        for gap in (*ends, *returned):
            self._deliver(gap)
        self._hooks.on_read_end()
        logger.info("%s: has its new subscriptions and settings", self.plan.connection)

    def _deliver_to(self, socket: LiveSocket, events: Events) -> None:
        """From now on these handle the events of the socket. Of the next one only answers and notices count beside
        them."""
        socket.session.redirect(
            {
                **events,
                Acked: lambda item: self._on_answer(socket, item.names, SubscriptionState.ACKED),
                Refused: lambda item: self._on_refused(socket, item),
                Bad: lambda item: self._on_bad(item) if socket is self.current else None,
                ClosesSoon: lambda item: self._on_notice(socket, item),
            }
        )

    def _lead_to(self, events: Events) -> None:
        """From now on these handle what the current socket brings and the one before it has not."""
        if self._lagging is None:
            self._deliver_to(self.current, events)
        else:
            self._lagging.deliver_to(events)

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

    def _on_notice(self, socket: LiveSocket, item: ClosesSoon) -> None:
        """The next one takes over first: the current one may be told the same."""
        socket.is_announced |= item.announced
        if socket is self.current:
            self._rotate(item.detail)
        else:
            socket.leave_for = item.detail or "notice"

    def _rotate(self, why: str, dead: Collection[str] = (), trial: bool = False) -> None:
        """Begin to make the next socket, as planned or for ``dead`` streams; this one delivers on."""
        if self._stop.is_set():
            return
        if self.next is not None:
            if not dead:
                self.next.rotation.plan()
            return
        logger.info("%s: rotation begins (%s)", self.plan.connection, why)
        events, terms, plan = self._hooks.events, self._wanted, self._wanted.plan
        next_one = self.next = self._new(NextSocket, load(plan.exchange)(plan), terms.config)
        next_one.terms = terms
        if terms != self._terms:
            dead, trial = (), False  # it is to be exchanged whatever they do
        mute = {(one.stream, one.symbol, one.interval) for one in plan.subscriptions if one.name in dead}
        handover = Handover(
            events, self.exchange.reached, next_one.exchange, self.copies, mute, added(self.plan, plan),
            self._lagging,
        )  # fmt: skip
        next_one.rotation = Rotation(
            self.exchange, next_one.exchange, handover, lambda: self._expected_of(next_one), dead, trial
        )
        self._lead_to(dict.fromkeys(events, handover.first))
        self._deliver_to(next_one, dict.fromkeys(events, handover.second))
        next_one.dial(self.dialer)
        self.current.timers.set("next", NEXT_CHECK_SECONDS, lambda: self._check_next(next_one))

    def _expected_of(self, next_one: NextSocket) -> set[str]:
        """Streams that are acknowledged on both sockets and not stale on the current one."""
        both = self.current.subscriptions.expected() & next_one.subscriptions.expected()
        return {name for name in both if not self._watch.is_stale(name)}

    def _check_next(self, next_one: NextSocket) -> None:
        """Is it ready, or of no use?"""
        rotation, now = next_one.rotation, time.monotonic()
        if next_one.ended.done() and (error := next_one.ended.exception()) is not None:
            self._fail(error)
        elif next_one.ended.done():
            self._put_off(next_one, f"it ended: {next_one.ended.result().reason}")
        elif rotation.ready(now):
            self.current.session.close(rotation.reason)
        elif why := rotation.useless(now):
            self._put_off(next_one, why)
        else:
            self.current.timers.set("next", NEXT_CHECK_SECONDS, lambda: self._check_next(next_one))

    def _put_off(self, next_one: NextSocket, why: str) -> None:
        """What is planned is tried again soon; for dead streams the watch says when."""
        logger.warning("%s: rotation put off (%s)", self.plan.connection, why)
        if next_one.rotation.reason == "rotation":
            again = min(RETRY_SECONDS, self._config.rotate_after or RETRY_SECONDS)
            if next_one.terms != self._terms:
                again = CHANGE_BACKOFF.bound(self._tries)
                self._tries += 1
                self.exchange.learn(next_one.exchange)
            wait = next_one.ended.result().asked_to_wait if next_one.ended.done() else 0.0
            self.current.timers.set("rotate", max(again, wait), self._rotate_in_time)
        self.next = None
        self.current.timers.clear("next")
        next_one.end()
        self._lead_to(self._hooks.events)
        self._watch.put_off()

    async def _drop_next(self) -> None:
        if (dropped := self.next) is not None:
            self.next = None
            dropped.end()
            await asyncio.wait((dropped.ended,))

    def _hand_over(self, next_one: NextSocket) -> None:
        """The current socket has ended: what it did not bring is delivered, then what comes."""
        before, seamless, handover = self.exchange, self.connected_ns != 0, next_one.rotation.handover
        # a venue that tells every new socket so is not left for ever
        told = "" if self.current.leave_for else next_one.leave_for
        ends = before.leave(next_one.exchange, clock.now_ns())
        self.current, self.next = next_one, None
        if not seamless:
            self._hooks.on_connected(next_one.connected_ns)
        heard = {name for name, at_ns in self.exchange.last_receive_ns.items() if at_ns}
        self.exchange.succeed(before)
        self._watch.succeed(self.exchange, heard, seamless)
        if next_one.terms != self._terms:
            self._take(next_one.terms, ends, before.last_receive_ns)
        handover.hand_over()
        self._lagging = handover
        next_one.timers.set("copies", AFTER_SECONDS, self._forget_copies)
        self._note_answers()
        if not seamless:
            self._all_subscribed()
        self._hooks.on_read_end()
        logger.info("%s: rotated to the next connection", self.plan.connection)
        self._begin()
        if self._stop.is_set():
            next_one.session.close()
        again, self._again = self._again or told, ""
        if again:
            self._rotate(again)
        self._rotate_if_wanted()

    def _forget_copies(self) -> None:
        """The socket before is long gone."""
        self._lagging, events = None, self._hooks.events
        if self.next is not None:
            events = dict.fromkeys(events, self.next.rotation.handover.first)
        self._lead_to(events)

    @property
    def _is_leaving(self) -> bool:
        """The current socket is closed for the next one, which must take over: another one follows that."""
        return self.next is not None and self.current.session.lost is not None

    def _rotate_in_time(self) -> None:
        self._rotate("its time is over")

    def _rotate_if_wanted(self) -> None:
        if self._wanted != self._terms and self.subscribed.is_set():
            self._rotate("other subscriptions are wanted")

    def _begin(self) -> None:
        """A socket is the connection's from now on, or stays so; its life is counted from when it came up."""
        self.current.timers.set("streams", CHECK_SECONDS, self._check_streams)
        if (seconds := due_in(self._config.rotate_after, self.exchange.max_life, self._dice)) is not None:
            age = time.monotonic() - self.current.opened
            self.current.timers.set("rotate", seconds - age, self._rotate_in_time)

    # Called by a socket.

    def _on_open(self, socket: LiveSocket) -> None:
        if socket is not self.current:
            socket.exchange.follow(self.exchange)
            socket.request(socket.exchange.open())
            return
        logger.info("%s: connected to %s", self.plan.connection, self.plan.url)
        self._hooks.on_connected(socket.connected_ns)
        socket.request(socket.exchange.open())
        self._watch.opened()
        self._begin()

    def _check_streams(self) -> None:
        """Does every stream speak that ought to?"""
        socket, states = self.current, self.current.subscriptions
        try:
            verdict = self._watch.check(
                socket.session.last_read, socket.connected_ns, states.expected(), states.refused() - states.given_up
            )
        except BaseException as error:
            self._fail(error)
            return
        if socket.session.lost is None:
            states.unanswered.update(verdict.resubscribe)
            socket.request(socket.exchange.resubscribe(tuple(verdict.resubscribe)))
            if verdict.renew:
                self._rotate(f"silent: {some(verdict.renew, between=' ')}", verdict.renew, verdict.trial)
            socket.timers.set("streams", CHECK_SECONDS, self._check_streams)

    def _fail(self, error: BaseException) -> None:
        """A handler has raised outside of the current socket's reads: as in one, the session ends and `run` raises."""
        self._failed = error
        self.current.session.abort()

    def _on_refused(self, socket: LiveSocket, item: Refused) -> None:
        if socket is self.current:
            self.refused += 1
            detail = f"{' '.join(item.names)} {item.code} {item.message}".strip()
            logger.warning("%s: subscription refused: %s", self.plan.connection, detail)
            self._hooks.on_error("refused", detail)
        if not item.again:
            socket.subscriptions.given_up.update(item.names)
        self._on_answer(socket, item.names, SubscriptionState.REFUSED)

    def _on_answer(self, socket: LiveSocket, names: tuple[str, ...], state: SubscriptionState) -> None:
        if not socket.answer(names, state):
            return
        if self.next is not None and socket is self.next:
            self.next.rotation.answered(time.monotonic(), clock.now_ns())
        elif socket is self.current:
            self._note_answers()
            if not self.subscribed.is_set():
                self._all_subscribed()

    def _note_answers(self) -> None:
        """What is refused now and was received before, on whichever socket, is missing from its last event on; until it
        speaks, or is taken again and may be silent for ever."""
        now_ns, states = clock.now_ns(), self.current.subscriptions
        for name in states.refused():
            if self.exchange.last_receive_ns[name] and (gap := self.exchange.silent(name, now_ns, now_ns)) is not None:
                self._deliver(gap)
        for gap in self._watch.acknowledged(states.acknowledged()):
            self._deliver(gap)

    def _all_subscribed(self) -> None:
        now_ns = clock.now_ns()
        self.subscribed.set()
        self._end_gap(now_ns)
        self._hooks.on_subscribed(now_ns)
        self._rotate_if_wanted()

    def _on_bad(self, item: Bad) -> None:
        self.decode_errors[item.kind] += 1
        if (kept_back := self._repeated(item.kind)) is not None:
            logger.warning(
                "%s: a frame could not be decoded (%s: %s), %d more of the kind not logged",
                self.plan.connection, item.kind, item.detail, kept_back,
            )  # fmt: skip
        self._hooks.on_error(item.kind, item.detail)


def _retries(config: ConnectionConfig, dice: Callable[[], float]) -> Retries:
    return Retries(Backoff(config.reconnect_backoff, config.reconnect_backoff_max), dice)
