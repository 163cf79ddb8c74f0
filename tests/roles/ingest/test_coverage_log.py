"""Coverage: which series a connection records, from when to when, as rows that grow while it lives."""

import os
from collections.abc import Iterator

import pytest
from roles.ingest.test_ring_publisher import Bench
from samples import NS, trade

from wsadapter.client.subscriptions import SubscriptionState
from wsadapter.events import Coverage, Gap, Source, StreamType
from wsadapter.events.gaps import GapCause, begin, ended
from wsadapter.exchanges.venue import ConnectionPlan, Subscription
from wsadapter.roles.ingest.coverage_log import DAY_NS, EVERY_SECONDS, MOST_ROWS, CoverageLog

SECOND = 10**9
START = 20_000 * DAY_NS + 3600 * SECOND
ACKED, LIVE, STALE = SubscriptionState.ACKED, SubscriptionState.LIVE, SubscriptionState.STALE
REFUSED = SubscriptionState.REFUSED
PLAN = ConnectionPlan(
    "binance-market-0",
    "binance",
    "ws://127.0.0.1:1",
    (
        Subscription("btcusdt@aggTrade", StreamType.TRADE, "BTCUSDT"),
        Subscription("btcusdt@kline_1m", StreamType.KLINE, "BTCUSDT", "1m"),
        Subscription("btcusdt@trade", StreamType.TRADE, "BTCUSDT", feeds=("raw_trade",)),
        Subscription("!markPrice@arr@1s", StreamType.MARK_PRICE, "", feeds=("mark_price", "funding_rate")),
    ),
    ("BTCUSDT", "ETHUSDT"),
)
ETH_TRADES = Subscription("ethusdt@aggTrade", StreamType.TRADE, "ETHUSDT")
SERIES = {
    ("BTCUSDT", "trade", ""), ("BTCUSDT", "raw_trade", ""), ("BTCUSDT", "kline", "1m"),
    *((symbol, word, "") for symbol in ("BTCUSDT", "ETHUSDT") for word in ("mark_price", "funding_rate")),
}  # fmt: skip


class Connection:
    """What a `CoverageLog` is told of, second by second of one clock."""

    def __init__(self, plan: ConnectionPlan = PLAN) -> None:
        self.plan, self.rows, self.room = plan, list[Coverage](), True
        self.log = CoverageLog(self._write)
        self.states = {one.name: (ACKED, 0) for one in plan.subscriptions}
        self.at = 0.0
        self._gap: Gap | None = None

    def _write(self, row: Coverage) -> bool:
        if self.room:
            self.rows.append(row)
        return self.room

    def has(self, *subscriptions: Subscription, symbols: tuple[str, ...] = PLAN.symbols) -> None:
        """Other ones from now on, by a socket that took over without a gap."""
        self.plan = ConnectionPlan(PLAN.connection, PLAN.exchange, PLAN.url, subscriptions, symbols)
        self.states = {one.name: self.states.get(one.name, (ACKED, 0)) for one in subscriptions}

    def ns(self, at: float) -> int:
        return START + round(at * SECOND)

    def down(self, since: float) -> None:
        self._gap = begin(
            GapCause.DISCONNECT, self.ns(since), self.ns(self.at), exchange="binance", connection=self.plan.connection
        )
        self.log.on_gap(self._gap, self.ns(self.at))

    def up(self) -> None:
        assert self._gap is not None
        self.log.on_gap(ended(self._gap, self.ns(self.at)), self.ns(self.at))

    def live(self, until: float) -> None:
        """A look a second, and a sign of life right before each."""
        while self.at < until:
            self.at += 1
            self.log.look(self.plan, lambda: self.states, self.ns(self.at), self.ns(self.at), self.at)

    def stored(self) -> dict[tuple[tuple[str, str, str], float], float]:
        """As the table shows it with FINAL: (series, from) -> to, in seconds."""
        found = {}
        for row in sorted(self.rows, key=lambda row: row.receive_time_ns):
            key = (row.symbol, row.stream, row.interval), (row.from_ns - START) / SECOND
            found[key] = (row.to_ns - START) / SECOND
        return found


@pytest.fixture
def made() -> Connection:
    connection = Connection()
    connection.down(0)
    connection.up()
    return connection


def test_each_kind_of_trades_is_a_series_of_its_own() -> None:
    """Single ones that fell silent are not covered by the aggregated ones of the same socket."""
    connection = Connection()
    connection.down(0)
    connection.up()
    connection.live(30)
    connection.states["btcusdt@trade"] = STALE, connection.ns(20)
    connection.live(60)

    ends = {series[1]: to for (series, _), to in connection.stored().items() if series[0] == "BTCUSDT"}
    assert (ends["raw_trade"], ends["trade"]) == (20, 51)


def test_every_series_has_a_row_that_grows(made: Connection) -> None:
    made.live(1)
    assert {key for key, _ in made.stored()} == SERIES
    made.live(65)
    assert {(since, 55 < to <= 65) for (_, since), to in made.stored().items()} == {(0, True)}
    assert len(made.rows) <= len(SERIES) * (65 / EVERY_SECONDS + 1), "no more often than needed"
    assert all(row.receive_time_ns >= row.to_ns for row in made.rows), "nothing is said in advance"


def test_it_ends_where_the_gap_of_its_connection_begins(made: Connection) -> None:
    made.live(37)
    made.at = 39.0
    made.down(since=36.5)
    assert set(made.stored().values()) == {36.5}
    made.live(60)
    assert set(made.stored().values()) == {36.5}, "nothing is covered while nothing comes"
    made.up()
    made.live(62)
    assert {since for _, since in made.stored()} == {0, 60}


def test_a_silent_stream_ends_and_the_others_go_on(made: Connection) -> None:
    made.live(20)
    made.states["btcusdt@aggTrade"] = (STALE, made.ns(12))
    made.live(40)
    trades = {since: to for (key, since), to in made.stored().items() if key[1] == "trade"}
    assert trades == {0: 12}
    made.states["btcusdt@aggTrade"] = (LIVE, made.ns(40.5))
    made.live(60)
    trades = {since: to for (key, since), to in made.stored().items() if key[1] == "trade"}
    assert (set(trades), trades[0], trades[40] > 45) == ({0, 40}, 12, True)
    assert {since for key, since in made.stored() if key[1] != "trade"} == {0}


def test_what_is_not_acknowledged_is_not_covered(made: Connection) -> None:
    made.states["btcusdt@kline_1m"] = (REFUSED, 0)
    made.live(30)
    assert {key for key, _ in made.stored()} == SERIES - {("BTCUSDT", "kline", "1m")}


def test_a_full_ring_is_said_later(made: Connection) -> None:
    made.room = False
    made.live(30)
    assert made.rows == []
    made.room = True
    made.live(31)
    assert {since for _, since in made.stored()} == {0}, "from its beginning on"


def test_an_end_that_finds_the_ring_full_is_said_later(made: Connection) -> None:
    made.live(12)
    made.room = False
    made.live(37)
    made.log.end(made.ns(36.5), made.ns(37))
    assert set(made.stored().values()) == {11}
    made.room = True
    assert made.log.catch_up() == len(SERIES)
    assert set(made.stored().values()) == {36.5}
    assert made.log.catch_up() == 0, "once"


def test_a_look_at_a_connection_that_says_goodbye_takes_nothing_back(made: Connection) -> None:
    """Its socket is closed and there is no gap: it is being stopped."""
    made.live(25)
    for _ in range(15):
        made.at += 1
        assert not made.log.look(made.plan, lambda: made.states, 0, made.ns(made.at), made.at)
    made.log.end(made.ns(25.5), made.ns(made.at))
    assert {(since, to) for (_, since), to in made.stored().items()} == {(0, 25.5)}
    assert not made.log.look(made.plan, lambda: made.states, 0, made.ns(made.at + 5), made.at + 5)


def test_a_new_day_is_a_new_row(made: Connection) -> None:
    made.at = (DAY_NS - 3600 * SECOND) / SECOND - 30
    made.live(made.at + 60)
    days = {(row.from_ns // DAY_NS, row.to_ns // DAY_NS) for row in made.rows if row.to_ns > row.from_ns}
    assert len({row.from_ns // DAY_NS for row in made.rows}) == 2, days
    joined: dict[tuple[str, str, str], float] = {}
    for (key, since), to in sorted(made.stored().items()):
        assert since == joined.get(key, 0), "without a hole between them"
        joined[key] = to


def test_other_subscriptions(made: Connection) -> None:
    made.live(20)
    made.has(*PLAN.subscriptions[1:])
    made.live(60)
    ends = {key[1]: to for (key, _), to in made.stored().items()}
    assert (ends["trade"], ends["kline"] > 45) == (21, True)


def test_one_that_is_added_is_covered_from_then_on(made: Connection) -> None:
    """Also a symbol of a stream that the connection had, and one that went before."""
    made.live(100)
    made.has(*PLAN.subscriptions, ETH_TRADES, symbols=(*PLAN.symbols, "SOLUSDT"))
    made.live(130)
    made.has(*PLAN.subscriptions[1:], ETH_TRADES)
    made.live(200)
    made.has(*PLAN.subscriptions, ETH_TRADES)
    made.live(230)
    begins = {key: [since for one, since in made.stored() if one == key] for key, _ in made.stored()}
    assert begins["ETHUSDT", "trade", ""] == [101]
    assert begins["SOLUSDT", "mark_price", ""] == [101]
    assert begins["BTCUSDT", "mark_price", ""] == [0, 101, 131], "its row goes on in another one"
    assert made.stored()[("BTCUSDT", "mark_price", ""), 0] == 101
    assert begins["BTCUSDT", "trade", ""] == [0, 201]
    assert begins["BTCUSDT", "kline", "1m"] == [0]


def test_what_is_added_while_the_connection_is_down_is_covered_from_its_end_on(made: Connection) -> None:
    made.live(20)
    made.down(since=19.5)
    made.at = 30.5
    made.has(*PLAN.subscriptions, ETH_TRADES)
    made.up()
    made.live(50.5)
    assert {since for _, since in made.stored()} == {0, 30.5}


def test_a_stream_that_was_refused_is_covered_once_it_is_not(made: Connection) -> None:
    """By the next socket, which took over without a gap; also where other subscriptions come with it."""
    made.states["btcusdt@kline_1m"] = made.states["btcusdt@aggTrade"] = (REFUSED, 0)
    made.live(900)
    made.states["btcusdt@kline_1m"] = (ACKED, 0)
    made.live(920)
    made.has(*PLAN.subscriptions, ETH_TRADES)
    made.states["btcusdt@aggTrade"] = (ACKED, 0)
    made.live(940)
    begins = {key[1]: since for key, since in made.stored() if key[:2] != ("ETHUSDT", "trade")}
    assert (begins["kline"], begins["trade"], begins["mark_price"]) == (900, 920, 0)


def test_a_silent_stream_that_speaks_beside_other_subscriptions_was_silent(made: Connection) -> None:
    made.live(20)
    made.states["btcusdt@aggTrade"] = (STALE, made.ns(12))
    made.live(40)
    made.has(*PLAN.subscriptions, ETH_TRADES)
    made.live(50)
    made.states["btcusdt@aggTrade"] = (LIVE, made.ns(50.5))
    made.live(70)
    trades = {since: to for (key, since), to in made.stored().items() if key[:2] == ("BTCUSDT", "trade")}
    assert (set(trades), trades[0]) == ({0, 50}, 12)


def test_many_series_are_said_a_few_at_a_time() -> None:
    names = [f"s{n}@trade" for n in range(1000)]
    plan = ConnectionPlan(
        "c", "binance", "", tuple(Subscription(n, StreamType.TRADE, n.upper()) for n in names), tuple(names)
    )
    made = Connection(plan)
    made.down(0)
    made.up()
    most, before = 0, 0
    for second in range(1, 60):
        made.live(second)
        most, before = max(most, len(made.rows) - before), len(made.rows)
    assert most <= MOST_ROWS
    assert {(since, to > 40) for (_, since), to in made.stored().items()} == {(0, True)}
    assert len(made.stored()) == len(names)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(f"wsadapter-test-coverage-{os.getpid()}")
    yield made
    made.close()


def test_in_the_ring_it_stands_behind_what_it_covers(bench: Bench) -> None:
    """Whoever reads so far has read the events, and the end of a row stands before the gap that ends it."""
    publisher = bench.publisher
    first = begin(GapCause.CONNECT, NS, NS, exchange="binance", connection="binance-market-0")
    publisher.on_gap(first)
    publisher.on_gap(ended(first, NS + 1))
    publisher.publish(trade(1))
    states = {one.name: (LIVE, NS) for one in PLAN.subscriptions}
    assert publisher.coverage.look(PLAN, lambda: states, NS + 5, NS + 6, 1.0)
    publisher.publish(trade(2))
    publisher.on_gap(begin(GapCause.DISCONNECT, NS + 9, NS + 10, exchange="binance", connection="binance-market-0"))
    publisher.on_read_end()
    read = bench.read()

    kinds = [type(each).__name__ for each in read if not isinstance(each, Gap) or each.cause == "disconnect"]
    size = len(SERIES)
    assert kinds == ["Trade", *["Coverage"] * size, "Trade", *["Coverage"] * size, "Gap"]
    rows = [each for each in read if isinstance(each, Coverage)]
    assert {(row.from_ns, row.to_ns, row.source) for row in rows[:size]} == {(NS + 1, NS + 5, Source.WEBSOCKET)}
    assert {(row.from_ns, row.to_ns) for row in rows[size:]} == {(NS + 1, NS + 9)}
    assert bench.page['events_total{stream="coverage"}'] == 2 * size
    assert bench.page["decoded_total"] == 2, "no event of the venue"
