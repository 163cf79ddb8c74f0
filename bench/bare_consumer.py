"""What a consumer costs that promises nothing: the two loops that ours is measured against.

    python -m bench.bare_consumer raw|insert CONFIG_JSON EXPECTED

``raw``: take messages, put lengths before them, `raw_insert` them into the Null tables (exactly once, watermarks,
letters: nothing of it; not a call in its loop that could be left out). ``insert``: decode each message, make Python
values of it, `client.insert` into the tables, as most programs do. Both read every partition from its beginning until
EXPECTED messages came; batches as ours. One line of JSON: CPU from the first message to the end of the last insert,
rows/s from the end of the first insert on.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, get_type_hints

import msgspec
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Message, TopicPartition

from wsadapter.clickhouse import catalog as clickhouse
from wsadapter.clickhouse.client import connect
from wsadapter.clickhouse.inserts import Inserter, statement
from wsadapter.config.model import Config, KafkaConfig
from wsadapter.events.streams import SPECS, Column, StreamSpec, columns
from wsadapter.kafka.messages import varint
from wsadapter.kafka.topics import topic
from wsadapter.pb import market_pb2

CHUNK: Final = 2_000
BYTES: Final = 32 << 20
PREFIXES: Final = tuple(varint(length) for length in range(16_384))


class Raw:
    """Bytes in, bytes out."""

    def __init__(self, client: Client, config: Config) -> None:
        settings = config.clickhouse
        self._inserter, self._rows = Inserter(client), settings.batch_rows
        self._specs = {topic(config.kafka, spec): spec for spec in SPECS}
        self._heads = {name: statement(settings.database, spec) for name, spec in self._specs.items()}
        self._bodies = {name: bytearray(head) for name, head in self._heads.items()}
        self._counts = dict.fromkeys(self._heads, 0)
        self.first = 0.0, 0
        """When the first insert had ended, and its rows."""

    def take(self, messages: list[Message]) -> int:
        bodies, counts, prefixes = self._bodies, self._counts, PREFIXES
        for message in messages:
            if message.error() is None:
                name, value = message.topic(), message.value()
                body = bodies[name]  # type: ignore[index]
                body += prefixes[len(value)]  # type: ignore[arg-type]
                body += value  # type: ignore[arg-type]
                counts[name] += 1  # type: ignore[index]
        for name, count in counts.items():
            if count >= self._rows or len(bodies[name]) >= BYTES:
                self._insert(name)
        return len(messages)

    def flush(self) -> None:
        for name, count in self._counts.items():
            if count:
                self._insert(name)

    def _insert(self, name: str) -> None:
        self._inserter.insert(self._bodies[name], self._counts[name], f"bare-{name}-{time.monotonic_ns()}")
        self.first = self.first if self.first[1] else (time.monotonic(), self._counts[name])
        self._bodies[name], self._counts[name] = bytearray(self._heads[name]), 0


class Insert:
    """Decoded rows."""

    def __init__(self, client: Client, config: Config) -> None:
        self._client, self._settings = client, config.clickhouse
        self._specs = {topic(config.kafka, spec): spec for spec in SPECS}
        self._rows: dict[str, list[Sequence[Any]]] = {spec.name: [] for spec in SPECS}
        self._parse = {spec.name: getattr(market_pb2, spec.message).FromString for spec in SPECS}
        self._row = {spec.name: row_of(spec) for spec in SPECS}
        self.first = 0.0, 0

    def take(self, messages: list[Message]) -> int:
        for message in messages:
            if message.error() is None:
                self._take(self._specs[str(message.topic())], message.value() or b"")
        return len(messages)

    def _take(self, spec: StreamSpec, value: bytes) -> None:
        message = self._parse[spec.name](value)
        if spec.name == "kline" and not message.closed:
            return
        rows = self._rows[spec.name]
        rows.append(self._row[spec.name](message))
        if len(rows) >= self._settings.batch_rows:
            self._insert(spec)

    def flush(self) -> None:
        for spec in SPECS:
            if self._rows[spec.name]:
                self._insert(spec)

    def _insert(self, spec: StreamSpec) -> None:
        names = ["epoch", "position", *(c.name for c in columns(spec.event)), "time"]
        names += [] if spec.name == "gap" else ["version"]
        self._client.insert(spec.name, self._rows[spec.name], names, database=self._settings.database)
        self.first = self.first if self.first[1] else (time.monotonic(), len(self._rows[spec.name]))
        self._rows[spec.name] = []


def row_of(spec: StreamSpec) -> Callable[[Any], Sequence[Any]]:
    """message -> row, one expression: what careful hand-written code would be."""
    names: dict[str, Any] = {"D": Decimal}
    hints = get_type_hints(spec.event)

    def value(column: Column) -> str:
        field = f"m.{column.field}"
        if column.enum:
            names[f"E{column.field}"] = {member.value: member.name for member in hints[column.field]}
            return f"E{column.field}.get({field}, '')"
        if column.repeated:
            return f"[D(x) for x in {field}]" if column.decimal else f"list({field})"
        made = f"D({field})" if column.decimal else field
        return f"({made} if m.HasField('{column.field}') else None)" if column.nullable else made

    cells = ["m.epoch", "m.position", *(value(column) for column in columns(spec.event))]
    cells.append("m.transaction_time_ns or m.event_time_ns or m.receive_time_ns")
    cells += [] if spec.name == "gap" else ["m.receive_time_ns"]
    made: Callable[[Any], Sequence[Any]] = eval(f"lambda m: ({', '.join(cells)})", names)
    return made


def consumer(kafka: KafkaConfig) -> Consumer:
    made = Consumer({
        "bootstrap.servers": kafka.bootstrap_servers, "group.id": "bench-bare", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100, "queued.max.messages.kbytes": 16_384,
        "fetch.queue.backoff.ms": 20,
    })  # fmt: skip
    there = made.list_topics(timeout=20).topics
    names = [topic(kafka, spec) for spec in SPECS]
    made.assign([TopicPartition(name, number, 0) for name in names for number in there[name].partitions])
    return made


def main() -> None:
    mode, expected = sys.argv[1], int(sys.argv[3])
    config = msgspec.json.decode(sys.argv[2], type=Config)
    client = connect(config.clickhouse)
    clickhouse.create_or_verify(client, config.clickhouse)
    sink: Raw | Insert = (Raw if mode == "raw" else Insert)(client, config)
    source = consumer(config.kafka)
    messages = source.consume(1, 20)
    cpu, count, next_flush = time.process_time(), 0, time.monotonic() + 1
    while True:
        count += sink.take(messages)
        if time.monotonic() > next_flush or count >= expected:
            sink.flush()
            next_flush = time.monotonic() + 1
        if count >= expected:
            break
        messages = source.consume(CHUNK, 0.1)
    cpu = time.process_time() - cpu
    began, first = sink.first
    per_s = (count - first) / (time.monotonic() - began)
    print(json.dumps({"rows": count, "cpu_us": cpu / count * 1e6, "per_s": per_s}), flush=True)


if __name__ == "__main__":
    main()
