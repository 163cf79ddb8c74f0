"""The role alone, beside a real broker and the loopback venue: the test is its serializer."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from confluent_kafka import Producer
from eventually import eventually
from ring_records import event_of
from role_process import RoleProcess

from wsadapter import metrics as stats_fields
from wsadapter.config import load as configuration
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.market import binance_rest as embedded_rest
from wsadapter.embedded.servers import VenueThread
from wsadapter.events import Event, FundingRate, Gap, Kline, Source, Trade
from wsadapter.events.records import message_of
from wsadapter.events.streams import BY_EVENT
from wsadapter.kafka.topics import ensure_topics
from wsadapter.pb import market_pb2
from wsadapter.roles.orders import Assignment, RepairerOrder
from wsadapter.roles.supervisor import topology
from wsadapter.shm import doorbell, ring
from wsadapter.shm.ring import RingReader
from wsadapter.shm.segment import Segment
from wsadapter.supervision.child import ChildState, RingRef

pytestmark = pytest.mark.integration
EPOCH = time.time_ns()
"""Also when all gaps were."""
MS = 1_000_000


@pytest.fixture
def venue() -> Iterator[VenueThread]:
    with VenueThread(lambda: LoopbackVenue(Options(rate=400, symbols=("BTCUSDT",)))) as made:
        yield made


class Bench:
    """A repairer, its ring and its broker."""

    def __init__(
        self, kafka: str, venue: VenueThread, directory: Path, exchange: str = "binance", symbol: str = "BTCUSDT",
        streams: str = '"trade", "kline", "ticker"', topics: bool = True,
    ) -> None:  # fmt: skip
        instance = f"rr{os.getpid()}-{directory.name[-6:-1]}".replace("_", "-")
        path = directory / "wsadapter.toml"
        path.write_text(
            f'[service]\ninstance = "{instance}"\nstate_dir = "{directory}"\n'
            f'[[feed]]\nname = "fut"\nexchange = "{exchange}"\nsymbols = ["{symbol}"]\n'
            f"streams = [{streams}]\n"
            f'ws_url = "{venue.venue.url}"\nrest_url = "{venue.venue.rest_url}"\n'
            f'[kafka]\nbootstrap_servers = "{kafka}"\ntopic_prefix = "{instance}."\n'
        )
        self.config = configuration.load(str(path), {}, dotenv=None)
        if topics:
            ensure_topics(self.config.kafka, 20.0)
        self.producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
        self.name = f"wsadapter-{instance}-repair"
        ring.create(self.name, 1 << 20, EPOCH)
        self.bell = doorbell.create()
        self.reader = RingReader.attach(self.name)
        host = venue.venue.rest_url
        (plan,) = topology.assemble(self.config).plans
        self.role = RoleProcess(
            "wsadapter.roles.repairer",
            "repairer",
            self.config,
            stats_fields.repairer([stats_fields.host_label(host)]),
            ring=RingRef("repair", self.name, EPOCH, self.bell),
            order=RepairerOrder((Assignment(plan, host),)),
        )

    def say(self, word: str, message: Any) -> None:
        self.producer.produce(
            f"{self.config.kafka.topic_prefix}{word}", message.SerializeToString(), b"binance:BTCUSDT"
        )
        assert self.producer.flush(30) == 0

    def taken(self) -> list[Event]:
        """What it published, delivered to the broker like a serializer would."""
        events = []
        for record in self.reader.poll(10_000):
            _, kind, payload = record
            event = event_of(kind, payload)
            self.say(BY_EVENT[type(event)].name, message_of(record, EPOCH))
            events.append(event)
        self.reader.commit(self.reader.position)
        return events

    def until(self, kind: type[Event], count: int) -> list[Event]:
        """All that comes until so many of a kind have."""
        events: list[Event] = []

        def enough() -> bool:
            events.extend(self.taken())
            return sum(type(event) is kind for event in events) >= count

        eventually(enough, 60, f"{kind.__name__}")
        return events

    def close(self) -> None:
        self.role.close()
        self.reader.release()
        os.close(self.bell)
        Segment.unlink(self.name)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gaps are of now: a repairer looks into the log around them, not around the start of the test run."""
    monkeypatch.setattr(sys.modules[__name__], "EPOCH", time.time_ns())


@pytest.fixture
def bench(kafka: str, venue: VenueThread, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(kafka, venue, tmp_path)
    yield made
    made.close()


def gap(number: int, first: int, last: int, version: int = 1) -> Any:
    return market_pb2.Gap(
        epoch=1, position=number, exchange="binance", symbol="BTCUSDT", receive_time_ns=EPOCH,
        source=market_pb2.SOURCE_WEBSOCKET, connection="fut-market-0", gap_id=f"1:{number}", version=version,
        stream="trade", cause="sequence", started_ns=EPOCH, ended_ns=EPOCH, first_missing=first, last_missing=last,
        missing_count=last - first + 1, repair_state="open",
    )  # fmt: skip


def numbers(events: list[Event]) -> list[int]:
    return [event.trade_number or 0 for event in events if isinstance(event, Trade)]


def traded(venue: VenueThread, least: int) -> int:
    """The first aggregate id of a market that has traded so much."""
    market = venue.call(lambda made: made.floor.open("BTCUSDT"))
    eventually(lambda: venue.call(lambda made: len(market.deals)) >= least, 60, "trades at the venue")
    return int(venue.call(lambda made: market.deals[0].aggregate_id))


def test_a_gap_is_repaired_once_whatever_is_killed(bench: Bench, venue: VenueThread) -> None:
    first = traded(venue, 40)
    bench.role.start()
    bench.say("gap", gap(1, first, first + 9))
    events = bench.until(Gap, 1)
    assert numbers(events) == list(range(first, first + 10))
    state = events[-1]
    assert isinstance(state, Gap)
    assert (state.gap_id, state.version, state.repair_state) == ("1:1", 2, "repaired")
    assert (state.first_missing, state.started_ns, state.cause) == (first, EPOCH, "sequence")
    assert {event.source for event in events if isinstance(event, Trade)} == {Source.REST}

    # published and not acknowledged when it was killed: nothing of it comes a second time
    bench.say("gap", gap(2, first + 10, first + 19))
    eventually(lambda: bench.reader.unread() == 10, 60, "the second one in the ring")
    bench.role.kill()
    bench.role.start(until=None)
    assert numbers(bench.until(Gap, 1)) == list(range(first + 10, first + 20))
    bench.say("gap", gap(3, first + 20, first + 20))
    assert numbers(bench.until(Gap, 1)) == [first + 20]

    # killed in the middle, the trades in the log and the state not: the state alone follows
    for number in (first + 21, first + 22):
        trade = market_pb2.Trade(
            exchange="binance", symbol="BTCUSDT", source=market_pb2.SOURCE_REST, trade_number=number, aggregated=True,
            receive_time_ns=EPOCH,
        )  # fmt: skip
        bench.producer.produce(
            f"{bench.config.kafka.topic_prefix}trade", trade.SerializeToString(), b"binance:BTCUSDT",
        )  # fmt: skip
    assert bench.producer.flush(30) == 0
    bench.say("gap", gap(4, first + 21, first + 23))
    assert numbers(bench.until(Gap, 1)) == [first + 23]
    eventually(lambda: bench.role.page['repaired_total{stream="trade"}'] == 22, 20, "counted")
    assert bench.role.stop() == 0


def test_the_budget_is_what_the_venue_says(bench: Bench, venue: VenueThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_rest, "WEIGHT_LIMIT", 1234)
    label = f'{{host="{stats_fields.host_label(venue.venue.rest_url)}"}}'
    bench.role.start()
    eventually(lambda: bench.role.page[f"rest_weight_limit{label}"] == 1234, 30, "what it allows")
    assert bench.role.stop() == 0


def test_gaps_that_nobody_can_repair(bench: Bench, venue: VenueThread) -> None:
    bench.role.start()
    other = gap(1, 1, 1)
    other.connection = "gone-market-0"
    bench.say("gap", other)
    ticker = gap(2, 1, 1)
    ticker.stream, ticker.cause = "liquidation", "stale"
    bench.say("gap", ticker)
    lasting = gap(3, 1, 1)
    lasting.ClearField("ended_ns")
    bench.say("gap", lasting)
    expired = gap(4, 1, 2)
    bench.say("gap", expired)
    states = {event.gap_id: event.repair_state for event in bench.until(Gap, 3) if isinstance(event, Gap)}
    assert states == {"1:1": "unrepairable", "1:2": "unrepairable", "1:4": "unrepairable"}
    assert bench.role.stop() == 0


def test_a_gap_of_another_venue_is_not_filled_with_what_this_one_has(bench: Bench, venue: VenueThread) -> None:
    """The feed's `exchange` was another one, and its connection had the same name."""
    traded(venue, 40)
    former = gap(1, 1, 1)
    former.exchange = "bybit"
    for name in ("first_missing", "last_missing", "missing_count"):
        former.ClearField(name)
    bench.say("gap", former)
    bench.role.start()
    (state,) = (event for event in bench.until(Gap, 1) if isinstance(event, Gap))
    assert (state.exchange, state.repair_state) == ("bybit", "unrepairable")
    assert bench.role.stop() == 0


def test_a_gap_of_a_connection_says_what_became_of_each_stream(bench: Bench, venue: VenueThread) -> None:
    traded(venue, 40)
    whole = gap(1, 1, 1)
    for name in ("symbol", "stream", "first_missing", "last_missing", "missing_count"):
        whole.ClearField(name)
    bench.say("gap", whole)
    # an earlier process was killed when it had said a part of it
    part = market_pb2.Gap()
    part.CopyFrom(whole)
    part.stream, part.version, part.repair_state = "trade", 2, "repaired"
    bench.say("gap", part)
    bench.role.start()
    states = [event for event in bench.until(Gap, 4) if isinstance(event, Gap)]
    assert {(event.gap_id, event.version, event.symbol) for event in states} == {("1:1", 2, "")}
    assert {event.stream: event.repair_state for event in states[:-1]} == {
        "trade": "repaired", "kline": "repaired", "ticker": "unrepairable",
    }  # fmt: skip
    assert (states[-1].stream, states[-1].repair_state) == ("", "partial")
    eventually(lambda: bench.role.page["gaps_open"] == 0, 20, "done")
    eventually(lambda: bench.role.page['repairs_total{state="partial"}'] == 1, 20, "counted")
    assert bench.role.stop() == 0


def test_candles_that_do_not_chain_are_compared(bench: Bench, venue: VenueThread) -> None:
    market = venue.call(lambda made: made.floor.open("BTCUSDT"))
    for closed in (1, 2):
        eventually(lambda: venue.call(lambda made: made.clock.end_minute_in(1)) is None, 5, "")
        eventually(lambda n=closed: venue.call(lambda made: len(market.candles.closed["1m"])) >= n, 30, "a candle")  # type: ignore[misc]
    bench.role.start()
    rows = venue.call(lambda made: [(c.open_ms, c.first_id, c.last_id) for c in [*market.candles.closed["1m"]][-2:]])
    for index, (opened, first, last) in enumerate(rows):
        candle = market_pb2.Kline(
            exchange="binance", symbol="BTCUSDT", source=market_pb2.SOURCE_WEBSOCKET, interval="1m",
            open_time_ns=opened * MS, close_time_ns=(opened + 59_999) * MS, open="1", high="1", low="1", close="1",
            volume="1", trade_count=1, closed=True, first_trade_id=first + 3 * index, last_trade_id=last,
            receive_time_ns=EPOCH,
        )  # fmt: skip
        bench.say("kline", candle)
    found = [event for event in bench.until(Kline, 2) if isinstance(event, Kline)]
    assert [event.open_time_ns for event in found] == [row[0] * MS for row in rows]
    assert all(event.closed and event.source is Source.REST and event.open != "1" for event in found)
    counters = ("candle_checks_total", "candles_differing_total")
    eventually(lambda: [bench.role.page[name] for name in counters] == [1, 2], 20, "counted")
    assert bench.role.stop() == 0


def test_a_candle_that_nothing_closes_is_fetched_whatever_is_killed(kafka: str, tmp_path: Path) -> None:
    symbol = "BTC_USDT"
    with VenueThread(lambda: LoopbackVenue(Options(exchange="gate", symbols=(symbol,)))) as venue:
        # minutes that ended some minutes ago: nobody waits for the end of one
        venue.call(lambda made: setattr(made.clock, "_base_ms", made.clock.now_ms() - 300_000))
        market = venue.call(lambda made: made.floor.open(symbol))
        for closed in (1, 2):
            eventually(lambda: venue.call(lambda made: made.clock.end_minute_in(1)) is None, 5, "")
            eventually(lambda n=closed: venue.call(lambda made: len(market.candles.closed["1m"])) >= n, 30, "a candle")  # type: ignore[misc]
        bench = Bench(kafka, venue, tmp_path, "gate", symbol, '"kline"')
        try:
            opened = venue.call(lambda made: market.candles.closed["1m"][-1].open_ms)
            said = market_pb2.Kline(
                exchange="gate", symbol=symbol, source=market_pb2.SOURCE_WEBSOCKET, interval="1m",
                open_time_ns=opened * MS, close_time_ns=(opened + 59_999) * MS, open="1", high="1", low="1", close="1",
                volume="1", receive_time_ns=EPOCH,
            )  # fmt: skip
            bench.role.start()
            bench.say("kline", said)
            eventually(lambda: bench.reader.unread() == 1, 60, "its row in the ring")
            bench.role.kill()  # published and not acknowledged
            bench.role.start(until=None)
            (candle,) = bench.until(Kline, 1)
            assert isinstance(candle, Kline)
            assert (candle.open_time_ns, candle.closed, candle.source) == (opened * MS, True, Source.REST)
            assert candle.open != "1"
        finally:
            bench.close()


def test_settled_funding_comes_without_a_gap(kafka: str, venue: VenueThread, tmp_path: Path) -> None:
    bench = Bench(kafka, venue, tmp_path, streams='"mark_price", "funding_rate"')
    try:
        bench.role.start()
        rates = [event for event in bench.until(FundingRate, 3) if isinstance(event, FundingRate)]
    finally:
        bench.close()
    with urlopen(f"{venue.venue.rest_url}/fapi/v1/fundingRate?symbol=BTCUSDT&limit=3") as answer:
        settled = json.load(answer)

    assert [(rate.transaction_time_ns, rate.funding_rate) for rate in rates] == [
        (each["fundingTime"] * MS, each["fundingRate"]) for each in settled
    ]
    assert all(rate.settled and rate.source is Source.REST for rate in rates)


def test_topics_that_nobody_has_made_yet_are_nothing_to_be_warned_of(
    kafka: str, venue: VenueThread, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A first start: the serializer makes them just then."""
    bench, said = Bench(kafka, venue, tmp_path, topics=False), ""

    def told() -> list[str]:
        nonlocal said
        said += capfd.readouterr().err
        return [line for line in said.splitlines() if "gap topic cannot be read yet" in line]

    try:
        bench.role.start(until=None)
        line = eventually(told, 60, "it says what it waits for")[0]
        assert "no topic" in line
        assert "info" in line
        assert "warning" not in line
        ensure_topics(bench.config.kafka, 20.0)
        eventually(lambda: bench.role.page["state"] == ChildState.RUNNING, 60, "it goes on when they are there")
    finally:
        bench.close()
