"""A feed of 300 symbols and five streams is up within the venue's limits: in time that a test moves, against the rules
of its counterpart, which come from the documentation."""

import heapq
import re
from collections import Counter, deque
from collections.abc import Sequence
from itertools import count, product
from string import ascii_uppercase
from urllib.parse import urlsplit

import msgspec
import pytest
from conformance.test_conformance import EXCHANGES

from wsadapter.client.connect_limit import MARGIN_SECONDS, LocalLimiter
from wsadapter.config.model import Feed
from wsadapter.config.symbol_rules import Rules
from wsadapter.embedded.exchange import STAND_INS
from wsadapter.embedded.exchange.connection import NUMBER
from wsadapter.embedded.exchange.dialect import Dialect
from wsadapter.embedded.exchange.dialects import dialect
from wsadapter.exchanges import load, load_rest
from wsadapter.exchanges.venue import Acked, ConnectionPlan, Refused, Reply
from wsadapter.listings.selection import Before, Market, select

SYMBOLS = 300
STREAMS = 5
SECONDS = 60.0
"""By then all is asked for and answered."""
LONGEST = {"binance": 4096, "binance_spot": 4096, "binance_coinm": 4096}
"""Octets of a request, as documented; a longer one is never answered."""


class Socket:
    """A connection: ``sent``: when, and what."""

    def __init__(self, plan: ConnectionPlan, venue: Dialect) -> None:
        path = urlsplit(plan.url)
        goal = venue.target(path.path + (f"?{path.query}" if path.query else ""))
        assert goal is not None
        self.plan, self.session = plan, load(plan.exchange)(plan)
        self.subscriptions = venue.subscriptions(goal, venue.limits.streams)
        self.waiting: deque[bytes] = deque()
        self.sent: list[tuple[float, bytes]] = []
        self.dialled = 0.0
        self.acked: Counter[str] = Counter()
        self.refused: list[Refused] = []
        self.numbers = count()

    def send(self, now: float) -> None:
        request = self.waiting.popleft()
        self.sent.append((now, request))
        for text in self.subscriptions.answer(request).replies:
            numbered = text.replace(NUMBER.encode(), b"%d" % next(self.numbers))
            for item in self.session.receive(numbered, round(now * 1e9) + 1):
                if isinstance(item, Reply):
                    self.waiting.append(item.payload)
                elif isinstance(item, Acked):
                    self.acked.update(item.names)
                elif isinstance(item, Refused):
                    self.refused.append(item)


def started(sockets: Sequence[Socket]) -> float:
    """Dial and ask as the client does: one grant a dial, one request an interval. Returns the time of the last one."""
    now, order = 0.0, count()
    limiter = LocalLimiter(sockets[0].session.attempt_limit, lambda: now)
    due = [(0.0, next(order), socket, True) for socket in sockets]
    heapq.heapify(due)
    while due:
        now, _, socket, dials = heapq.heappop(due)
        if dials:
            if wait := limiter.acquire():
                heapq.heappush(due, (now + wait, next(order), socket, True))
                continue
            socket.dialled = now
            socket.waiting.extend(socket.session.open())
        else:
            socket.send(now)
        if socket.waiting:
            interval = 0.0 if dials else socket.session.message_interval
            heapq.heappush(due, (now + interval, next(order), socket, False))
    return now


def most_within(times: Sequence[float], seconds: float) -> int:
    """The most that lie in any span, its end not included."""
    return max((sum(1 for at in times if begin <= at < begin + seconds - 1e-9) for begin in times), default=0)


def sockets_of(exchange: str, relisted: int) -> list[Socket]:
    """``relisted``: of so many symbols that a rule stood for others came into their place."""
    feed, rest = STAND_INS[exchange].feed, load_rest(exchange)
    coins = ["".join(letters) for letters in product(ascii_uppercase[10:20], repeat=3)][: SYMBOLS + relisted]
    listed = [re.sub("BTC|XBT", coin, feed.symbols[0]) for coin in coins]
    assert len(set(listed)) == SYMBOLS + relisted
    first = select(Rules(globs=("*",)), Market(listed[:SYMBOLS]), Before(), lambda symbol: "").symbols
    second = select(Rules(globs=("*",)), Market(listed[relisted:]), Before(tuple(first)), lambda symbol: "").symbols
    polled = rest.polled if rest else frozenset()
    streams = tuple(word for word in feed.streams if word not in polled)[:STREAMS]
    before, now = (
        msgspec.structs.replace(feed, ws_url="ws://venue", symbols=tuple(symbols), streams=streams)
        for symbols in (first, second)
    )
    placement = {plan.connection: [each.name for each in plan.subscriptions] for plan in load(exchange).plan(before)}
    return [Socket(plan, dialect(exchange)) for plan in load(exchange).plan(now, placement)]


@pytest.mark.parametrize("relisted", [0, 40])
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_large_feed_starts_within_the_limits(exchange: str, relisted: int) -> None:
    sockets, limits = sockets_of(exchange, relisted), dialect(exchange).limits
    took = started(sockets)

    assert took < SECONDS
    for socket in sockets:
        names = [subscription.name for subscription in socket.plan.subscriptions]
        assert len(names) <= limits.streams
        assert socket.refused == []
        assert sorted(socket.acked) == sorted(names)
        assert socket.session.ack_timeout > 0
        times = [at for at, _ in socket.sent]
        # a pong is a message, too
        assert most_within(times, 1.0) < (limits.messages or 1 << 30)
        assert max(len(request) for _, request in socket.sent) <= LONGEST.get(exchange, 1 << 30)
    symbols = {each.symbol for socket in sockets for each in socket.plan.subscriptions if each.symbol}
    assert len(symbols) in (SYMBOLS, 0), "a stream of the whole market names none"
    allowed = sockets[0].session.attempt_limit
    assert most_within([socket.dialled for socket in sockets], allowed.seconds) <= allowed.attempts


def test_more_connections_than_attempts_wait_for_theirs() -> None:
    (plan,) = load("binance_spot").plan(Feed("s", "binance_spot", ("BTCUSDT",), ("trade",), ws_url="ws://venue"))
    sockets = [Socket(plan, dialect("binance_spot")) for _ in range(700)]
    took = started(sockets)

    dialled = sorted(socket.dialled for socket in sockets)
    assert most_within(dialled, 300.0) == 300
    assert took == dialled[-1] == 2 * (300.0 + MARGIN_SECONDS)
    assert all(socket.acked for socket in sockets)
