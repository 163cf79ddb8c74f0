"""`tap`: messages as JSON lines, on librdkafka's in-memory broker."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.command import run
from confluent_kafka import Producer

from wsadapter.errors import ExitCode
from wsadapter.pb import market_pb2

TIME_NS = 1_795_000_000_123_456_789


class Broker:
    """A mock broker inside a producer."""

    def __init__(self) -> None:
        self.producer = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        broker = next(iter(self.producer.list_topics("websocket.trade", timeout=30).brokers.values()))
        self.address = f"{broker.host}:{broker.port}"

    def send(self, topic: str, value: bytes, key: str = "binance:BTCUSDT", partition: int = 0) -> None:
        self.producer.produce(topic, value, key, partition)
        assert self.producer.flush(30) == 0


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.producer.flush(5)


def trade(number: int) -> bytes:
    message = market_pb2.Trade(
        epoch=2**63 + 1, position=number, exchange="binance", symbol="BTCUSDT", receive_time_ns=TIME_NS,
        source=market_pb2.SOURCE_WEBSOCKET, connection="binance-market-0", trade_id=str(number), price="60000.10",
        quantity="0.001", aggregated=True,
    )  # fmt: skip
    encoded: bytes = message.SerializeToString()
    return encoded


def tap(directory: Path, broker: Broker, *arguments: str) -> list[dict[str, object]]:
    done = run(directory, "tap", *arguments, KAFKA_BOOTSTRAP_SERVERS=broker.address)
    assert done.returncode == ExitCode.OK, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_messages_from_the_beginning(tmp_path: Path, broker: Broker) -> None:
    for number in range(3):
        broker.send("websocket.trade", trade(number))
    first, second = tap(tmp_path, broker, "trade", "--from-beginning", "-n", "2")

    assert (first["partition"], first["offset"], first["key"]) == (0, 0, "binance:BTCUSDT")
    assert (first["epoch"], first["position"]) == (2**63 + 1, 0)
    assert (first["price"], first["quantity"]) == ("60000.10", "0.001")
    assert (first["receive_time_ns"], first["source"], first["aggregated"]) == (TIME_NS, "SOURCE_WEBSOCKET", True)
    assert "event_time_ns" not in first
    assert second["trade_id"] == "1"


def test_full_name_times_and_the_end(tmp_path: Path, broker: Broker) -> None:
    broker.send("websocket.trade", trade(9), partition=1)
    found = tap(tmp_path, broker, "websocket.trade", "--from-beginning", "--no-follow", "--times")

    assert "9" in {message["trade_id"] for message in found}
    assert {message["receive_time"] for message in found} == {"2026-11-18T11:06:40.123456789Z"}


def test_one_symbol(tmp_path: Path, broker: Broker) -> None:
    for key in ("binance:BTCUSDT", "binance:ETHUSDT", "bybit:ETHUSDT", "binance:", "binance:ETHUSDT"):
        broker.send("websocket.gap", b"", key)

    def keys(*arguments: str) -> list[object]:
        return [one["key"] for one in tap(tmp_path, broker, "gap", "--from-beginning", "--no-follow", *arguments)]

    assert keys("--symbol", "ETHUSDT") == ["binance:ETHUSDT", "bybit:ETHUSDT", "binance:", "binance:ETHUSDT"]
    assert keys("--symbol", "ETHUSDT", "--exchange", "bybit") == ["bybit:ETHUSDT"]
    assert keys("--exchange", "binance")[0] == "binance:BTCUSDT"
    refused = run(tmp_path, "tap", "gap", "--symbol", "ethusdt", KAFKA_BOOTSTRAP_SERVERS=broker.address)
    assert (refused.returncode, refused.stdout) == (ExitCode.USAGE, "")
    assert "near: ETHUSDT" in refused.stderr


def test_what_is_no_message_is_shown_as_it_is(tmp_path: Path, broker: Broker) -> None:
    broker.send("websocket.ticker", b"\xff\xff", key="a\nb")
    broker.send("websocket.dead_letter", b"\x00\x01")
    (ticker,) = tap(tmp_path, broker, "ticker", "--from-beginning", "-n", "1")
    (dead,) = tap(tmp_path, broker, "dead_letter", "--from-beginning", "-n", "1")

    assert (ticker["value_base64"], ticker["key"]) == ("//8=", "a\nb")
    assert "error" in ticker
    assert dead["value_base64"] == "AAE="


def test_no_broker_is_69(tmp_path: Path) -> None:
    done = run(tmp_path, "tap", "trade", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")

    assert done.returncode == ExitCode.UNAVAILABLE
    assert done.stdout == ""
    assert "127.0.0.1:1 does not answer" in done.stderr
