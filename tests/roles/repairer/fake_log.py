"""A log in memory instead of a broker: what a lookup consumer asks, answered as Kafka does."""

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from wsadapter.kafka import time_range_reader
from wsadapter.pb import market_pb2

MS = 1_000_000
EPOCH = 7
CONNECTION = "fut-market-0"


class FakeLog:
    """One partition of ``websocket.trade``; ``low``: offsets before it are deleted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.messages: list[Any] = []
        self.low = 0
        self.consumed = 0
        self._positions = iter(range(10**9))
        monkeypatch.setattr(time_range_reader, "Consumer", lambda _: Reader(self))
        monkeypatch.setattr(time_range_reader, "partition_counts", lambda kafka, timeout: {"websocket.trade": 1})

    def place(self) -> int:
        """The next position of the connection's ring."""
        return next(self._positions)

    def trade(
        self, number: int, venue_ms: int, received_ms: int, connection: str = CONNECTION, rest: bool = False,
        symbol: str = "BTCUSDT", trade_id: str = "",
    ) -> None:  # fmt: skip
        source = market_pb2.SOURCE_REST if rest else market_pb2.SOURCE_WEBSOCKET
        own: dict[str, Any] = (
            {"epoch": EPOCH, "position": self.place()} if connection == CONNECTION else {"epoch": 3, "position": 1}
        )
        fields: dict[str, Any] = {"trade_id": trade_id} if trade_id else {"trade_number": number, "aggregated": True}
        value = market_pb2.Trade(
            exchange="binance", symbol=symbol, connection=connection, source=source, **fields, **own,
            receive_time_ns=received_ms * MS, transaction_time_ns=venue_ms * MS,
        ).SerializeToString()  # fmt: skip
        self.messages.append(
            SimpleNamespace(
                key=lambda: f"binance:{symbol}".encode(), value=lambda: value, error=lambda: None,
                topic=lambda: "websocket.trade", partition=lambda: 0, timestamp=lambda: (1, received_ms),
                offset=partial(int, len(self.messages)),
            )
        )  # fmt: skip


class Reader:
    """A consumer."""

    def __init__(self, log: FakeLog) -> None:
        self._log, self._next = log, 0

    def offsets_for_times(self, times: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(at.topic, at.partition, self._first(at.offset)) for at in times]

    def _first(self, ms: int) -> int:
        later = (n for n, m in enumerate(self._log.messages) if n >= self._log.low and m.timestamp()[1] >= ms)
        return next(later, -1)

    def get_watermark_offsets(self, at: TopicPartition, timeout: float) -> tuple[int, int]:
        return self._log.low, len(self._log.messages)

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._next = partitions[0].offset if partitions else 0

    def consume(self, count: int, timeout: float) -> list[Any]:
        found = self._log.messages[self._next : self._next + 100]
        self._next += len(found)
        self._log.consumed += len(found)
        return found

    def position(self, partitions: list[TopicPartition]) -> Iterator[TopicPartition]:
        return (TopicPartition(at.topic, at.partition, self._next) for at in partitions)

    def close(self) -> None: ...
