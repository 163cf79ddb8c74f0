"""What the producer makes of a client's failures, with a client that fails as told."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from eventually import eventually
from messages import message_of
from msgspec import structs
from samples import NS, trade

from wsadapter import metrics
from wsadapter.config import load as configuration
from wsadapter.events import Coverage, Source, Trade
from wsadapter.events.gaps import GapCause, begin
from wsadapter.events.streams import BY_EVENT
from wsadapter.kafka import native_client
from wsadapter.kafka.messages import gap_of
from wsadapter.roles.serializer import producer as module
from wsadapter.roles.serializer.producer import DeliveryFailed, KafkaProducer
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

NAME = f"wsadapter-producer{os.getpid()}-page"
GAPLESS = KafkaError(KafkaError._GAPLESS_GUARANTEE, "stopped", fatal=True)


class Message:
    def __init__(self, topic: str, value: bytes) -> None:
        self._topic, self._value = topic, value

    def topic(self) -> str:
        return self._topic

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return self._value

    def headers(self) -> None:
        return None


class Client:
    """``reports``: what the next poll or flush reports; ``end``: the error with which it ends; ``full``: it queues no
    single message."""

    made: list["Client"] = []

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.reports: list[tuple[int, Message]] = []
        self.late: list[tuple[int, Message]] = []
        self.end: KafkaError | None = None
        self.full = self.purged = False
        self.answers = True
        self.on_delivery: Callable[[KafkaError, Message], None] = settings["on_delivery"]
        self.letters: list[bytes] = []
        self.gaps: list[tuple[bytes, bytes]] = []
        self.made.append(self)

    def produce_batch(self, topic: str, messages: list[dict[str, Any]], partition: int) -> int:
        return len(messages)

    def produce(self, topic: str, value: bytes, key: bytes, headers: Any = None) -> None:
        if self.full:
            raise KafkaException(KafkaError(KafkaError._QUEUE_FULL))
        if topic.endswith("gap"):
            self.gaps.append((key, value))
        else:
            self.letters.append(value)

    def flush(self, seconds: float) -> int:
        if self.end is not None:
            self.settings["error_cb"](self.end)
        self._report(self.reports)
        return 0

    def poll(self, seconds: float) -> int:
        self._report(self.late)
        return 0

    def list_topics(self, timeout: float) -> None:
        if not self.answers:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def purge(self) -> None:
        self.purged = True

    def _report(self, reports: list[tuple[int, Message]]) -> None:
        while reports:
            code, message = reports.pop(0)
            self.on_delivery(KafkaError(code), message)


@pytest.fixture
def page() -> Iterator[StatsPage]:
    made = StatsPage.create(NAME, metrics.SERIALIZER)
    yield made
    made.release()
    Segment.unlink(NAME)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]

    def monotonic() -> float:
        now[0] += 0.001
        return now[0]

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=monotonic))
    return now


@pytest.fixture
def producer(page: StatsPage, clock: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KafkaProducer:
    path = tmp_path / "config.toml"
    path.write_text('[[feed]]\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n')
    Client.made.clear()
    monkeypatch.setattr(module, "AVAILABLE", False)
    monkeypatch.setattr(module, "Producer", Client)
    return KafkaProducer(configuration.load(str(path), {}), page)


def send(producer: KafkaProducer) -> Client:
    producer.send("trade", [{"key": b"key", "value": b"value"}], 0)
    return Client.made[-1]


def test_a_refusal_that_may_pass_is_tried_again_after_a_pause_that_grows(
    producer: KafkaProducer, page: StatsPage, clock: list[float]
) -> None:
    for pause in (1.0, 2.0, 4.0, 8.0, 8.0):
        client = send(producer)
        client.end = GAPLESS
        client.late = [(KafkaError.TOPIC_AUTHORIZATION_FAILED, Message("trade", b"value"))]
        with pytest.raises(DeliveryFailed, match=r"trade: .*authorization") as failure:
            producer.flush(0.0)
        assert not failure.value.topic_missing
        assert page["broker_refusal"] == KafkaError.TOPIC_AUTHORIZATION_FAILED
        assert client.purged
        assert Client.made[-1] is not client
        assert producer.is_refused
        clock[0] += pause - 0.1
        assert not producer.is_ready
        clock[0] += 0.2
        assert producer.is_ready
    assert page["single_messages"] == 0
    assert not producer.dead
    assert producer.flush(0.0)
    producer.acknowledged()
    assert (page["broker_refusal"], page["broker_up"], producer.is_refused) == (0, 1, False)


def test_a_broker_that_is_away_is_so_until_something_has_arrived(producer: KafkaProducer, page: StatsPage) -> None:
    """A client with nothing but an error to tell has nothing outstanding, too."""
    page["broker_up"] = 1
    client = Client.made[-1]
    client.end = KafkaError(
        KafkaError._TRANSPORT, "127.0.0.1:9: Connect to ipv4#127.0.0.1:9 failed: Connection refused"
    )
    assert producer.flush(0.0)
    assert (page["broker_up"], producer.trouble) == (0, "Kafka does not answer: connection refused")
    client.end = None
    send(producer)
    assert producer.flush(0.0)
    producer.acknowledged()
    assert page["broker_up"] == 1
    producer.away()
    assert (page["broker_up"], producer.trouble) == (0, "Kafka does not answer in time"), "what was heard is of before"


@pytest.mark.parametrize("is_native", [True, False])
def test_either_client_says_so_where_nothing_comes(
    page: StatsPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_native: bool
) -> None:
    if is_native and not native_client.AVAILABLE:
        pytest.skip("no extension here")
    monkeypatch.setattr(module, "AVAILABLE", is_native)
    path = tmp_path / "away.toml"
    path.write_text(
        '[[feed]]\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n[kafka]\nbootstrap_servers = "127.0.0.1:9"\n'
    )
    away = KafkaProducer(configuration.load(str(path), {}), page)
    assert away.is_direct == is_native
    page["broker_up"] = 1

    def told() -> bool:
        return len(away.producer) > 0 and away.flush(0.05) and not page["broker_up"]

    eventually(told)


def test_a_broker_that_is_away_is_asked_for_until_it_answers(producer: KafkaProducer, page: StatsPage) -> None:
    client = Client.made[-1]
    producer._on_error(
        KafkaError(KafkaError._TRANSPORT, "127.0.0.1:9: Connect to ipv4#127.0.0.1:9 failed: Connection refused")
    )
    client.answers = False
    producer.probe(0.0)
    assert page["broker_up"] == 0
    client.answers = True
    producer.probe(0.0)
    assert page["broker_up"] == 1
    producer.away()
    assert producer.trouble == "Kafka does not answer in time"


def test_a_refusal_of_the_message_itself_sends_each_alone_at_once(
    producer: KafkaProducer, page: StatsPage, clock: list[float]
) -> None:
    client = send(producer)
    client.end = GAPLESS
    client.reports = [(KafkaError.MSG_SIZE_TOO_LARGE, Message("trade", b"value"))]
    with pytest.raises(DeliveryFailed):
        producer.flush(0.0)
    assert (page["single_messages"], page["broker_refusal"], producer.is_ready) == (1, 0, True)
    alone = send(producer)
    assert alone.settings["batch.num.messages"] == 1
    alone.reports = [(KafkaError.MSG_SIZE_TOO_LARGE, Message("trade", b"value"))]
    assert not producer.flush(0.0), "the letter has to arrive"
    assert (producer.flush(0.0), dict(producer.dead), alone.letters) == (True, {("rejected", "trade"): 1}, [b"value"])
    clock[0] += module.SINGLE_SECONDS
    producer.rejoin()
    assert page["single_messages"] == 0
    assert "batch.num.messages" not in Client.made[-1].settings
    assert Client.made[-1].settings["batch.size"] == page["batch_bytes"] > 0


@pytest.mark.parametrize(
    ("event", "at_ns"),
    [(trade(7), NS), (structs.replace(trade(7), source=Source.REST), NS + 7)],
    ids=["received", "fetched"],
)
def test_an_event_that_becomes_a_letter_is_a_gap_of_its_series(
    producer: KafkaProducer, event: Trade, at_ns: int
) -> None:
    """It is in no table, and its time is covered. Nobody fetches it again: that would be refused again."""
    client = Client.made[-1]
    value = message_of(BY_EVENT[Trade])(event, 5, 77).SerializeToString()
    client.reports = [(KafkaError.MSG_SIZE_TOO_LARGE, Message("websocket.trade", value))]
    assert not producer.flush(0.0)
    assert producer.flush(0.0)

    ((key, made),) = client.gaps
    gap = gap_of(made)
    assert gap is not None
    assert (key, client.letters, dict(producer.letter_gaps)) == (b"binance:BTCUSDT", [value], {"trade": 1})
    assert (gap.exchange, gap.symbol, gap.stream, gap.interval) == ("binance", "BTCUSDT", "trade", "")
    assert (gap.cause, gap.repair_state, gap.started_ns, gap.ended_ns) == ("decode", "unrepairable", at_ns, at_ns + 1)
    assert (gap.gap_id, gap.version) == (f"letter:5:77:{NS}", 1), "the same each time, and nothing came before it"


def test_a_letter_about_the_recording_is_no_gap(producer: KafkaProducer) -> None:
    """The gap of a gap would be refused like it; coverage that does not arrive covers nothing."""
    client = Client.made[-1]
    gap = begin(GapCause.STALE, NS, NS, exchange="binance", connection="m-0", gap_id="1:1")
    said = Coverage("binance", "BTCUSDT", None, None, NS, Source.WEBSOCKET, "m-0", None, "trade", "", NS, NS)
    for event in (gap, said):
        spec = BY_EVENT[type(event)]
        value = message_of(spec)(event, 5, 77).SerializeToString()
        topic = f"websocket.{spec.name}"
        client.reports.append((KafkaError.MSG_SIZE_TOO_LARGE, Message(topic, value)))
    assert not producer.flush(0.0)

    assert (len(client.letters), client.gaps, dict(producer.letter_gaps)) == (2, [], {})


@pytest.mark.parametrize("code", [KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART])
def test_a_topic_that_is_gone_is_named_as_missing(producer: KafkaProducer, code: int) -> None:
    send(producer).reports = [(code, Message("trade", b"value"))]
    with pytest.raises(DeliveryFailed) as failure:
        producer.flush(0.0)
    assert failure.value.topic_missing


def test_an_end_without_a_reason_of_a_message_is_an_outage_too(producer: KafkaProducer, page: StatsPage) -> None:
    send(producer).end = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "no", fatal=True)
    with pytest.raises(DeliveryFailed):
        producer.flush(0.0)
    assert page["broker_refusal"] == KafkaError.CLUSTER_AUTHORIZATION_FAILED
    assert Client.made[-1].end is None, "a new client"


def test_a_client_that_had_ended_before_it_was_given_anything_says_why(
    producer: KafkaProducer, page: StatsPage, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id of an idempotent producer is asked for at once, and may be refused before there is a record."""
    denied = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "no id", fatal=True)

    def refuse(topic: str, messages: list[dict[str, Any]], partition: int) -> int:
        for message in messages:
            message["_error"] = KafkaError(KafkaError._FATAL)
        return 0

    monkeypatch.setattr(Client.made[-1], "produce_batch", refuse)
    monkeypatch.setattr(Client.made[-1], "poll", lambda seconds: Client.made[0].settings["error_cb"](denied))
    with pytest.raises(DeliveryFailed, match="no id"):
        producer.send("trade", [{"key": b"key", "value": b"value"}], 0)
    assert page["broker_refusal"] == KafkaError.CLUSTER_AUTHORIZATION_FAILED
    assert clock[0] < 1001.0, "and is not waited for"


def test_a_letter_that_cannot_be_queued_is_an_outage(producer: KafkaProducer, page: StatsPage) -> None:
    Client.made[-1].full = True
    with pytest.raises(DeliveryFailed):
        producer.dead_letter("encode", "trade", b"key", b"value", "broken")
    assert page["broker_refusal"] == KafkaError._QUEUE_FULL
    assert not producer.dead, "it is judged again"


@pytest.mark.parametrize(("servers", "up"), [("127.0.0.1:9", 0), ("127.0.0.1:9,127.0.0.1:10,127.0.0.1:11", 1)])
def test_one_of_several_that_is_away_is_not_all_of_them(
    producer: KafkaProducer, page: StatsPage, tmp_path: Path, servers: str, up: int
) -> None:
    path = tmp_path / "several.toml"
    path.write_text(
        f'[[feed]]\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n[kafka]\nbootstrap_servers = "{servers}"\n'
    )
    several = KafkaProducer(configuration.load(str(path), {}), page)
    page["broker_up"] = 1
    several._on_error(
        KafkaError(KafkaError._TRANSPORT, "127.0.0.1:9: Connect to ipv4#127.0.0.1:9 failed: Connection refused")
    )
    assert page["broker_up"] == up
    several._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "3/3 brokers are down"))
    assert page["broker_up"] == 0


def test_why_nothing_is_acknowledged_is_said_in_words(producer: KafkaProducer, page: StatsPage) -> None:
    assert producer.trouble == "Kafka does not answer in time"
    producer._on_error(
        KafkaError(KafkaError._TRANSPORT, "127.0.0.1:9: Connect to ipv4#127.0.0.1:9 failed: Connection refused")
    )
    assert producer.trouble == "Kafka does not answer: connection refused"
    page["broker_refusal"] = KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert producer.trouble.startswith("Kafka refuses: ")
    assert "TOPIC_AUTHORIZATION_FAILED" in producer.trouble
