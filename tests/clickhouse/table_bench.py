"""A database of its own on the engine, and raw inserts into it, as the consumer makes them."""

import itertools
import os
from collections.abc import Iterable
from typing import Any

import msgspec
from messages import message_of

from wsadapter.clickhouse import catalog as clickhouse
from wsadapter.clickhouse.client import connect
from wsadapter.clickhouse.inserts import Inserter, statement, token
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import Event
from wsadapter.events.streams import BY_EVENT, BY_STREAM
from wsadapter.kafka.messages import varint

_numbers = itertools.count()


def message(event: Event, epoch: int, position: int) -> bytes:
    """The event as it is in Kafka."""
    return bytes(message_of(BY_EVENT[type(event)])(event, epoch, position).SerializeToString())


class TableBench:
    def __init__(self, url: str, **settings: Any) -> None:
        settings.setdefault("database", f"t{os.getpid()}b{next(_numbers)}")
        self.settings = ClickHouseConfig(url=url, **settings)
        self.client = connect(self.settings)
        self._inserts = itertools.count()
        self._tests = 0
        self.inserter = Inserter(self.client)

    def create(self) -> "TableBench":
        clickhouse.create_or_verify(self.client, self.settings)
        return self

    def insert(self, stream: str, messages: Iterable[bytes], made: str = "") -> int:
        """One insert; returns the rows that the server says it wrote."""
        head = statement(self.settings.database, BY_STREAM[stream])
        values = list(messages)
        body = b"".join(varint(len(value)) + value for value in values)
        made = self.token(made) if made else token("t", 0, next(self._inserts), 0, body)
        return self.inserter.insert(head + body, len(values), made)

    def token(self, name: str) -> str:
        """A token that no earlier test has used: tables remember them when they are emptied."""
        return f"{name}-{self._tests}"

    def clear(self) -> "TableBench":
        """Empty all tables for the next test; making them anew takes seconds."""
        self._tests += 1
        used = "SELECT name FROM system.tables WHERE database = '{db}' AND total_rows > 0"
        for (name,) in self.sql(used):
            self.command(f"TRUNCATE TABLE {{db}}.{name}")
        return self

    def events(self, *events: Event) -> None:
        """One insert per event; the ring identity is (1, its number)."""
        for number, event in enumerate(events):
            self.insert(BY_EVENT[type(event)].name, [message(event, 1, number)])

    def sql(self, query: str) -> list[list[Any]]:
        text = query.replace("{db}", self.settings.database)
        answer: Any = self.client.raw_query(f"{text} FORMAT JSONCompactEachRow")
        return list(msgspec.json.Decoder(list[Any]).decode_lines(bytes(answer)))

    def command(self, statement: str) -> None:
        self.client.command(statement.replace("{db}", self.settings.database))

    def count(self, table: str) -> int:
        return int(self.sql(f"SELECT toInt64(count()) FROM {{db}}.{table}")[0][0])

    def close(self) -> None:
        for database in (f"{self.settings.database}_inner", self.settings.database):
            self.client.command(f"DROP DATABASE IF EXISTS {database}")
        self.client.close()
