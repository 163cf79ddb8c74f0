"""What a strategy pays for an event out of Kafka: `wsadapter.reader` beside loops written by hand.

All read the same trades of four partitions from the beginning, drop what comes again by (partition, epoch, position),
and make decimals of price and quantity. By hand, that is: `consume` (messages in batches) or `poll` (one by one, as
most examples have it), and the protobuf message as it is; ``typed`` makes an immutable Struct of all its fields, as the
reader does. None of them by hand looks for gaps. librdkafka's settings are its defaults by hand.

us of CPU an event: of the thread that reads (what a strategy waits for), and of the process with librdkafka's threads.
"""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.processes import BenchFailed
from bench.services import Services
from wsadapter.config.model import KafkaConfig
from wsadapter.events import Source, Trade, records
from wsadapter.events.streams import BY_STREAM
from wsadapter.kafka.topics import partition_counts, topic
from wsadapter.pb import market_pb2
from wsadapter.reader import Reader
from wsadapter.reader.decoding import parser

SPEC: Final = BY_STREAM["trade"]
NS: Final = 1_790_771_371_858_000_000
SYMBOLS: Final = tuple(f"COIN{number}USDT" for number in range(20))
CHUNK: Final = 5_000
SECONDS: Final = 120.0


def fill(kafka: KafkaConfig, count: int) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "enable.idempotence": True,
                         "partitioner": "murmur2_random", "compression.type": "lz4"})  # fmt: skip
    for first in range(1, count + 1, CHUNK):
        made: list[dict[str, Any]] = []
        for number in range(first, min(first + CHUNK, count + 1)):
            trade = Trade(
                "binance", SYMBOLS[number % 20], NS + number, NS + number, NS + number, Source.WEBSOCKET,
                "binance-market-0", None, str(number), number, f"{57000 + number % 100}.10", "0.001",
                number % 2 == 0, number, number, True,
            )  # fmt: skip
            records.messages([(number * 128, SPEC.kind, records.encode(trade))], NS, {SPEC.kind: made})
        for message in made:
            producer.produce(topic(kafka, SPEC), value=message["value"], key=message["key"])
        if producer.flush(60):
            raise BenchFailed("the broker does not take the trades")


def assigned(kafka: KafkaConfig) -> Consumer:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "bench-reading",
                         "enable.auto.commit": False, "auto.offset.reset": "earliest"})  # fmt: skip
    name = topic(kafka, SPEC)
    consumer.assign([TopicPartition(name, n, 0) for n in range(partition_counts(kafka, 10)[name])])
    return consumer


class Watch:
    """From the first event on."""

    def __init__(self) -> None:
        self._thread, self._process, self._wall = time.thread_time(), time.process_time(), time.monotonic()

    def found(self, events: int) -> dict[str, Any]:
        wall = time.monotonic() - self._wall
        thread, process = time.thread_time() - self._thread, time.process_time() - self._process
        return {"cpu_us": thread / events * 1e6, "process_us": process / events * 1e6, "per_s": events / wall}


def ours(kafka: KafkaConfig, count: int) -> dict[str, Any]:
    seen, total, watch = 0, Decimal(0), None
    with Reader(kafka.bootstrap_servers, streams="trade", start="earliest", topic_prefix=kafka.topic_prefix) as reader:
        for batch in reader.batches():
            watch = watch or Watch()
            for event in batch.events:
                price, quantity = Decimal(event.price), Decimal(event.quantity)  # type: ignore[attr-defined]
                if event.symbol == "COIN3USDT":
                    total += price * quantity
            seen += len(batch.events)
            if seen >= count:
                return watch.found(seen)
    raise BenchFailed("the reader has ended")


def by_hand(kafka: KafkaConfig, count: int, is_polled: bool = False, is_typed: bool = False) -> dict[str, Any]:
    consumer, last, seen, total = assigned(kafka), dict[tuple[int | None, int], int](), 0, Decimal(0)
    watch, parse, typed, until = None, market_pb2.Trade.FromString, parser(SPEC), time.monotonic() + SECONDS
    try:
        while seen < count:
            if time.monotonic() > until:
                raise BenchFailed(f"{seen} of {count} trades came")
            if is_polled:
                message = consumer.poll(0.2)
                messages = [] if message is None else [message]
            else:
                messages = consumer.consume(CHUNK, 0.2)
            for message in messages:
                if message.error() is not None:
                    continue
                watch = watch or Watch()
                event: Any
                if is_typed:
                    event, identity = typed(message.value() or b"")
                    epoch, position = identity or (0, 0)
                else:
                    event = parse(message.value() or b"")
                    epoch, position = event.epoch, event.position
                key = message.partition(), epoch
                if position <= last.get(key, -1):
                    continue
                last[key] = position
                price, quantity = Decimal(event.price), Decimal(event.quantity)
                seen += 1
                if event.symbol == "COIN3USDT":
                    total += price * quantity
        assert watch is not None
        return watch.found(seen)
    finally:
        consumer.close()


LOOPS: Final[dict[str, Callable[[KafkaConfig, int], dict[str, Any]]]] = {
    "ours": ours,
    "consume": by_hand,
    "poll": lambda kafka, count: by_hand(kafka, count, is_polled=True),
    "typed": lambda kafka, count: by_hand(kafka, count, is_typed=True),
}


def prepared(services: Services, count: int) -> KafkaConfig:
    kafka = services.topics(services.prefix())
    fill(kafka, count)
    return kafka
