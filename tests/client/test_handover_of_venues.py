"""Every venue's streams over sockets that follow one another: each event comes once, whatever the sockets' delays.

The venue is its counterpart, in one process and in market time; what it writes waits until the test reads it. A socket
that goes on may be far behind the one before when the next one is wanted already: reloads come in a row.
"""

from collections import Counter, deque
from collections.abc import Collection
from typing import Any

import pytest
from conformance.pair import MS, Line, Pair, Told
from conformance.test_conformance import EXCHANGES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsadapter.client.handover import Handover
from wsadapter.embedded.exchange import STAND_INS
from wsadapter.events import Event, FundingRate, Gap, Kline
from wsadapter.events.sequence import place
from wsadapter.events.streams import BY_EVENT, SPECS
from wsadapter.exchanges.venue import ConnectionPlan

EVENTS = [spec.event for spec in SPECS]
ALL = -1


class Socket(Line):
    """What the venue has written waits in ``unread``."""

    def __init__(self, pair: Pair, plan: ConnectionPlan, before: "Socket | None" = None) -> None:
        super().__init__(pair, plan)
        self.unread: deque[Told] = deque()
        self.changed = self._keep
        if before is not None:
            self.session.follow(before.session)
        self.open()

    def _keep(self, told: list[Told]) -> Collection[Told]:
        self.unread += told
        return ()

    def next(self) -> list[Event]:
        """Of one message."""
        items = self.receive(self.unread.popleft().text)
        self.read()
        return [item for item in items if isinstance(item, Event)]

    @property
    def subscribed(self) -> bool:
        return {*self.acked, *self.refused} >= self.session.last_receive_ns.keys()

    def close(self) -> None:
        """The venue sends no more."""
        self.read()
        self.pair.disconnected(self.connection)
        self.connection.open = False


class Chain:
    """One connection: the sockets that it has had, as `wsadapter.client.connection` goes from one to the next."""

    def __init__(self, pair: Pair, plan: ConnectionPlan) -> None:
        self.pair, self.plan = pair, plan
        self.out: list[Event] = []
        self.events: Any = dict.fromkeys(EVENTS, self.out.append)
        self.copies: Counter[str] = Counter()
        self.current = Socket(pair, plan)
        self.next: Socket | None = None
        self.handover: Handover | None = None
        self.lagging: Handover | None = None
        while not self.current.subscribed:
            self.read(self.current, 1)

    def read(self, socket: Socket, count: int) -> None:
        while count and socket.unread:
            count -= 1
            for event in socket.next():
                if socket is self.next:
                    assert self.handover is not None
                    self.handover.second(event)
                elif self.lagging is not None:
                    self.lagging.second(event)
                elif self.handover is not None:
                    self.handover.first(event)
                else:
                    self.out.append(event)

    def lose(self, socket: Socket, count: int) -> None:
        """Messages of data only: answers come, else the socket is of no use."""
        data = [told for told in socket.unread if told.stream][:count]
        socket.unread = deque(told for told in socket.unread if not any(told is one for one in data))

    def rotate(self) -> None:
        self.next = Socket(self.pair, self.plan, self.current)
        self.handover = Handover(
            self.events, self.current.session.reached, self.next.session, self.copies, before=self.lagging
        )
        if self.lagging is not None:
            self.lagging.deliver_to(dict.fromkeys(EVENTS, self.handover.first))

    def hand_over(self) -> None:
        assert self.next is not None
        assert self.handover is not None
        self.current.close()
        self.read(self.current, ALL)
        self.current.session.leave(self.next.session, self.pair.now_ms * MS)
        self.next.session.succeed(self.current.session)
        self.current, self.next = self.next, None
        self.handover.hand_over()
        self.lagging, self.handover = self.handover, None


def is_told_apart(event: Event) -> bool:
    """A rate is told once after each connect."""
    return place(event) is not None and not isinstance(event, FundingRate)


def key(event: Event) -> tuple[Any, ...]:
    """That of its table."""
    named = [part.removeprefix("ifNull(").removesuffix(", 0)") for part in BY_EVENT[type(event)].order_by]
    fields = event.__struct_fields__
    values = [getattr(event, name if name in fields else f"{name}_ns", None) for name in named if name != "time"]
    if isinstance(event, Kline):  # it closes once, whenever its last state was told
        return (Kline, event.symbol, *values, event.closed or event.event_time_ns)
    return (type(event), event.symbol, event.transaction_time_ns or event.event_time_ns, *values)


ACTIONS = st.one_of(
    st.tuples(st.just("trade"), st.integers(1, 5)),
    st.tuples(st.sampled_from(["current", "next"]), st.integers(1, 40)),
    st.tuples(st.just("rotate"), st.just(0)),
    st.tuples(st.just("hand over"), st.integers(0, 1)),
)
"""What happens, and how much of it: trading, messages that are read; the second kind of hand-over waits for longer."""
LOSSES = st.tuples(st.sampled_from(["current loses", "next loses"]), st.integers(1, 3))


@pytest.mark.parametrize("exchange", EXCHANGES)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(actions=st.lists(ACTIONS, min_size=10, max_size=40), changes=st.booleans())
def test_each_event_comes_once(exchange: str, actions: list[tuple[str, int]], changes: bool) -> None:
    pair = Pair(exchange, STAND_INS[exchange].feed.symbols[:1], changes=changes, rate=40.0)
    plans, pair.lines = [line.plan for line in pair.lines], []
    for plan in plans:
        play(pair, plan, actions)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_state_that_two_sockets_begin_with_comes_once(exchange: str) -> None:
    """Nothing changes between them, and the second one has waited for long enough when it takes over; then it lags."""
    reloads = [("rotate", 0), ("hand over", 1), ("rotate", 0), ("next", 40), ("hand over", 1)]
    lagging = [("trade", 5), ("current", 40), ("rotate", 0), ("trade", 5), ("next", 7), ("current", 400)]
    again = [("hand over", 0), ("rotate", 0), ("next", 400), ("trade", 5), ("current", 5), ("hand over", 1)]
    for changes in (True, False):
        pair = Pair(exchange, STAND_INS[exchange].feed.symbols[:1], changes=changes, rate=40.0)
        plans, pair.lines = [line.plan for line in pair.lines], []
        for plan in plans:
            play(pair, plan, reloads)
            play(pair, plan, lagging + again)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_state_that_came_before_the_next_socket_was_wanted_comes_once(exchange: str) -> None:
    """The second one takes over before it has brought anything, and begins with what is known."""
    for count in (1, 2, 5, 40):
        pair = Pair(exchange, STAND_INS[exchange].feed.symbols[:1], changes=False, rate=40.0)
        plans, pair.lines = [line.plan for line in pair.lines], []
        for plan in plans:
            play(pair, plan, [("current", count), ("rotate", 0), ("next", 1), ("hand over", 0), ("trade", 1)])


@pytest.mark.parametrize("exchange", EXCHANGES)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(actions=st.lists(ACTIONS | LOSSES, min_size=10, max_size=40), changes=st.booleans())
def test_each_event_names_a_gap_that_was_published_before(
    exchange: str, actions: list[tuple[str, int]], changes: bool
) -> None:
    """Messages of either socket get lost; that of both in one place, too."""
    pair = Pair(exchange, STAND_INS[exchange].feed.symbols[:1], changes=changes, rate=40.0)
    plans, pair.lines = [line.plan for line in pair.lines], []
    for plan in plans:
        assert_names_are_true(played(pair, plan, actions)[1])


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_what_only_the_second_socket_missed_is_no_gap(exchange: str) -> None:
    begin = [("trade", 5), ("current", 400), ("rotate", 0), ("trade", 2), ("current", 400), ("next", 400)]
    lossy = [("trade", 3), ("next loses", 3), ("trade", 5), ("next", 400)]
    actions = [*begin, *lossy, ("current", 400), ("hand over", 0), ("hand over", 1), ("trade", 5), ("current", 400)]
    pair = Pair(exchange, STAND_INS[exchange].feed.symbols[:1], changes=True, rate=40.0)
    plans, pair.lines = [line.plan for line in pair.lines], []
    for plan in plans:
        told, out = played(pair, plan, actions)
        assert_names_are_true(out)
        assert not [event for event in out if isinstance(event, Gap)], "the first one brought it"
        assert not Counter(map(key, filter(is_told_apart, told))) - Counter(map(key, filter(is_told_apart, out)))


def assert_names_are_true(out: list[Event]) -> None:
    gaps: set[tuple[str, str, int]] = set()
    for event in out:
        if isinstance(event, Gap):
            gaps.add((event.stream, event.symbol, event.receive_time_ns))
        elif (named := event.last_gap_ns) is not None:
            stream = event.stream_type.value
            assert gaps & {(stream, event.symbol, named), (stream, "", named), ("", "", named)}, event


def play(pair: Pair, plan: ConnectionPlan, actions: list[tuple[str, int]]) -> None:
    told, out = played(pair, plan, actions)
    expected, found = (Counter(map(key, filter(is_told_apart, events))) for events in (told, out))
    assert not (lost := expected - found), f"lost: {lost}"
    assert not (twice := [one for one, count in found.items() if count > 1]), f"twice: {twice}"


def played(pair: Pair, plan: ConnectionPlan, actions: list[tuple[str, int]]) -> tuple[list[Event], list[Event]]:
    """What one socket brings that has everything, and what the sockets that follow one another."""
    whole, chain, told = Socket(pair, plan), Chain(pair, plan), list[Event]()
    while not whole.subscribed:
        told += whole.next()

    def trade(count: int) -> None:
        pair.run(count * 0.1, 50)
        for socket in (whole, chain.current, chain.next):
            if socket is not None:
                socket.read()
        while whole.unread:
            told.extend(whole.next())

    for word, count in actions:
        if word == "trade":
            trade(count)
        elif word == "current":
            chain.read(chain.current, count)
        elif word == "next" and chain.next is not None:
            chain.read(chain.next, count)
        elif word == "current loses":
            chain.lose(chain.current, count)
        elif word == "next loses" and chain.next is not None:
            chain.lose(chain.next, count)
        elif word == "rotate" and chain.next is None and chain.current.subscribed:
            chain.rotate()
        elif word == "hand over" and chain.handover is not None and chain.next is not None and chain.next.subscribed:
            if count:
                chain.read(chain.current, ALL)
                chain.read(chain.next, ALL)
            if count or not chain.handover.unproven:
                chain.hand_over()
    trade(10)
    chain.read(chain.current, ALL)
    for socket in (whole, chain.current, chain.next):
        if socket is not None:
            socket.close()
    return told, chain.out
