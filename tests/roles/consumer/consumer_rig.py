"""A consumer process between a real broker and a real engine, with topics and a database of its own."""

import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import clickhouse_connect
import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from eventually import eventually
from fresh import drop_database
from messages import message_of
from role_process import RoleProcess

from wsadapter import metrics as stats_fields
from wsadapter.config.model import ClickHouseConfig, Config, KafkaConfig, ProcessConfig, ServiceConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.events import Event
from wsadapter.events.streams import BY_EVENT, DEAD_LETTER
from wsadapter.kafka.settings import consumer_config, group_id, producer_config
from wsadapter.kafka.topics import ensure_topics, topic_name

_numbers = itertools.count()


def message(event: Event, epoch: int, position: int) -> bytes:
    """The event as it is in Kafka."""
    return bytes(message_of(BY_EVENT[type(event)])(event, epoch, position).SerializeToString())


class Rig:
    """``settings``: fields of [clickhouse], ``partitions``, ``drain_seconds``. Nothing runs before `start`."""

    def __init__(self, kafka: str, clickhouse: str, directory: Path, **settings: Any) -> None:
        unique = f"t{os.getpid()}x{next(_numbers)}"
        partitions, drain = settings.pop("partitions", 2), settings.pop("drain_seconds", 15.0)
        count, poll = settings.pop("count", 1), settings.pop("poll_seconds", 0)
        options = {"batch_seconds": 0.2, "database": unique, **settings}
        self.config = Config(
            service=ServiceConfig(instance=unique, state_dir=str(directory), log_level="warning", drain_seconds=drain),
            feed=(),
            kafka=KafkaConfig(
                bootstrap_servers=kafka,
                topic_prefix=f"{unique}.",
                partitions=partitions,
                consumer={"max.poll.interval.ms": 1000 * poll, "session.timeout.ms": 6000} if poll else {},
            ),
            clickhouse=ClickHouseConfig(url=clickhouse, **options),
            process={"consumer": ProcessConfig(count=count)},
        )
        self.process = self.another("consumer-0")
        self._producer: Producer | None = None

    def another(self, name: str, module: str = "wsadapter.roles.consumer") -> RoleProcess:
        fields = stats_fields.consumer(self.config.kafka.partitions, self.config.clickhouse.url.split(","))
        return RoleProcess(module, "consumer", self.config, fields, name=name)

    @property
    def page(self) -> Any:
        return self.process.page

    def topic(self, stream: str) -> str:
        return topic_name(self.config.kafka, stream)

    def send(self, stream: str, values: Iterable[bytes | None], partition: int = 0) -> None:
        """Put values into one partition, in order."""
        if self._producer is None:
            ensure_topics(self.config.kafka, 10.0)
            self._producer = Producer({**producer_config(self.config.kafka), "queue.buffering.max.messages": 1_000_000})
        for value in values:
            self._producer.produce(self.topic(stream), value, b"k", partition)
        assert self._producer.flush(60) == 0

    def forget_kafka(self) -> None:
        """The broker or its topics are others now: the next `send` begins anew."""
        self._producer = None

    def recreate(self, stream: str) -> None:
        """Delete the topic and make it again, empty; its offsets begin at 0."""
        admin = AdminClient({"bootstrap.servers": self.config.kafka.bootstrap_servers})
        admin.delete_topics([self.topic(stream)])[self.topic(stream)].result(60)
        self.forget_kafka()

        def there_again() -> bool:
            try:
                ensure_topics(self.config.kafka, 10.0)
            except (KafkaException, ServiceUnavailable):
                return False
            return self.topic(stream) in admin.list_topics(timeout=60).topics

        eventually(there_again, 60, f"{stream} is there again")

    def events(self, events: Sequence[Event], epoch: int = 1, first: int = 0, partition: int = 0) -> None:
        """Send events of any streams; positions count up by 64 from ``first``."""
        for number, event in enumerate(events):
            name = BY_EVENT[type(event)].name
            self.send(name, [message(event, epoch, first + 64 * number)], partition)

    def sql(self, query: str) -> list[list[Any]]:
        client = clickhouse_connect.get_client(
            dsn=self.config.clickhouse.url, compress=False, autogenerate_session_id=False
        )
        try:
            text = query.replace("{db}", self.config.clickhouse.database)
            answer: Any = client.raw_query(f"{text} FORMAT JSONCompactEachRow")
            return list(msgspec.json.Decoder(list[Any]).decode_lines(bytes(answer)))
        finally:
            client.close()

    def command(self, statement: str) -> None:
        client = clickhouse_connect.get_client(
            dsn=self.config.clickhouse.url, compress=False, autogenerate_session_id=False
        )
        try:
            client.command(statement.replace("{db}", self.config.clickhouse.database))
        finally:
            client.close()

    def counted(self, *processes: RoleProcess, stream: str = "trade") -> dict[str, int]:
        """What the members of the group counted together."""
        names = ("consumed_total", "redelivered_total", "accepted_rows_total", "rejected_rows_total", "unsettled_rows")
        pages = [process.page for process in (processes or (self.process,))]
        return {name: sum(page[f'{name}{{stream="{stream}"}}'] for page in pages) for name in names}

    def count(self, table: str, final: bool = False, where: str = "1") -> int:
        rows = self.sql(f"SELECT toInt64(count()) FROM {{db}}.{table} {'FINAL' if final else ''} WHERE {where}")
        return int(rows[0][0])

    def count_or_zero(self, table: str) -> int:
        """The same while the table may not be there yet."""
        found = self.sql(f"SELECT toInt64(count()) FROM system.tables WHERE database = '{{db}}' AND name = '{table}'")
        return self.count(table) if found[0][0] else 0

    def wait_rows(self, table: str, rows: int, timeout: float = 30.0) -> None:
        eventually(lambda: self.count(table) >= rows, timeout, f"{rows} rows in {table}, has {self.count(table)}")

    def read(self, stream: str) -> list[Any]:
        """All messages of a topic, from the beginning to its end now."""
        settings = consumer_config(self.config.kafka, "")
        del settings["group.instance.id"]
        reader = Consumer({**settings, "group.id": "reader", "auto.offset.reset": "earliest"})
        try:
            name, found = self.topic(stream), []
            for partition in reader.list_topics(name, timeout=60).topics[name].partitions:
                low, high = reader.get_watermark_offsets(TopicPartition(name, partition), timeout=60)
                reader.assign([TopicPartition(name, partition, low)])
                while low < high:
                    record = reader.poll(60)
                    assert record is not None, f"{name}:{partition} ends at {high}, got nothing after {low}"
                    assert record.error() is None, record.error()
                    found.append(record)
                    low = (record.offset() or 0) + 1
            return found
        finally:
            reader.close()

    def dead_letters(self) -> list[tuple[bytes, dict[str, str]]]:
        return [
            (record.value(), {name: text.decode() for name, text in record.headers()})
            for record in self.read(DEAD_LETTER)
        ]

    def committed(self, stream: str) -> dict[int, tuple[int, str]]:
        """Partition -> committed offset and metadata."""
        name = self.topic(stream)
        reader = Consumer(
            {"bootstrap.servers": self.config.kafka.bootstrap_servers, "group.id": group_id(self.config.kafka)}
        )
        try:
            numbers = reader.list_topics(name, timeout=60).topics[name].partitions
            found = reader.committed([TopicPartition(name, n) for n in numbers], timeout=60)
            return {f.partition: (f.offset, f.metadata or "") for f in found}
        finally:
            reader.close()

    def close(self) -> None:
        self.process.close()
        drop_database(self.config.clickhouse.url.partition(",")[0], self.config.clickhouse.database)
