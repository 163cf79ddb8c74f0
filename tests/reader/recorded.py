"""A serializer in miniature: events with ring identities in the topics of a real broker."""

import itertools
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from wsadapter.config.model import KafkaConfig
from wsadapter.events import BookTicker, Event, Gap, Source, Trade, records
from wsadapter.events.gaps import GapCause, begin
from wsadapter.events.streams import BY_EVENT
from wsadapter.kafka.topics import topic

NS = 1_790_771_371_858_000_000
_prefixes = itertools.count()


class Recorder:
    """One ring after another (`epoch`), with topics of its own."""

    def __init__(self, servers: str, partitions: int = 2) -> None:
        self.prefix = f"reader{next(_prefixes)}."
        self.config = KafkaConfig(bootstrap_servers=servers, topic_prefix=self.prefix, partitions=partitions)
        names = [self.prefix + stream for stream in ("trade", "book_ticker", "gap")]
        topics = [NewTopic(name, 1 if name.endswith("gap") else partitions, 1) for name in names]
        admin = AdminClient({"bootstrap.servers": servers})
        for made in admin.create_topics(topics).values():
            made.result(30)
        self._producer = Producer(
            {"bootstrap.servers": servers, "linger.ms": 0, "partitioner": "murmur2_random", "enable.idempotence": True}
        )
        self.epoch, self.position = NS, 0

    def arguments(self, **others: Any) -> dict[str, Any]:
        """Of a `Reader` of these topics."""
        own = {"bootstrap_servers": self.config.bootstrap_servers, "topic_prefix": self.prefix}
        return {**own, "streams": ["trade", "book_ticker"], **others}

    def write(self, *events: Event, flush: bool = True) -> None:
        """The next records of the ring."""
        for event in events:
            self.position += 64
            self.send(event, self.epoch, self.position)
        if flush:
            self.flush()

    def send(self, event: Event, epoch: int, position: int) -> None:
        kind = BY_EVENT[type(event)].kind
        made: list[dict[str, bytes]] = []
        if isinstance(event, Gap) and not event.gap_id:
            event.gap_id = f"{epoch}:{position}"
        records.messages([(position, kind, records.encode(event))], epoch, {kind: made})
        name, record = topic(self.config, BY_EVENT[type(event)]), made[0]
        self._producer.produce(name, value=record["value"], key=record["key"])

    def raw(self, name: str, value: bytes, key: bytes = b"binance:BTCUSDT") -> None:
        self._producer.produce(self.prefix + name, value=value, key=key)
        self.flush()

    def flush(self) -> None:
        assert not self._producer.flush(30)

    def restart(self) -> None:
        """Of the supervisor: another ring."""
        self.epoch, self.position = self.epoch + 1_000_000, 0


def trade(number: int, symbol: str = "BTCUSDT", gap_ns: int | None = None, exchange: str = "binance") -> Trade:
    return Trade(
        exchange, symbol, NS + number, NS + number, NS + number, Source.WEBSOCKET, "market-0", gap_ns,
        str(number), number, "57000.10", "0.001", number % 2 == 0, number, number, True,
    )  # fmt: skip


def quote(number: int, symbol: str = "BTCUSDT", gap_ns: int | None = None) -> BookTicker:
    return BookTicker(
        "binance", symbol, NS + number, NS + number, NS + number, Source.WEBSOCKET, "market-0", gap_ns,
        number, "57000.10", "1", "57000.20", "2",
    )  # fmt: skip


def gap(at_ns: int, stream: str = "trade", symbol: str = "BTCUSDT", cause: GapCause = GapCause.SEQUENCE) -> Gap:
    return begin(
        cause, at_ns - 5, at_ns, exchange="binance", connection="market-0", stream=stream, symbol=symbol, ended_ns=at_ns
    )


def numbers(events: Iterable[Event]) -> list[Any]:
    """Trades and quotes by their number, gaps by their cause."""
    return [
        event.cause
        if isinstance(event, Gap)
        else getattr(event, "trade_number", None) or getattr(event, "update_id", 0)
        for event in events
    ]
