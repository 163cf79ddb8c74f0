"""The capacity model: sums that can be done by hand, what must grow with what, and the page that quotes it."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cli.command import run
from msgspec import structs

from wsadapter.cli import capacity
from wsadapter.cli import capacity_figures as figures
from wsadapter.cli.placement import placed
from wsadapter.config.model import Config, Feed, KafkaConfig, ProcessConfig, ServiceConfig
from wsadapter.embedded.exchange import STAND_INS
from wsadapter.errors import ExitCode
from wsadapter.events.streams import SPECS
from wsadapter.roles.supervisor.topology import assemble

NINE = ("binance", "binance_spot", "bybit", "okx", "bitget", "gate", "deribit", "hyperliquid", "kraken")
STREAMS = ("kline", "ticker", "depth", "trade", "mark_price", "book_ticker")
PAGE = Path(__file__).parents[2] / "docs" / "capacity.md"


def model(*feeds: Feed, **changes: Any) -> capacity.Capacity:
    config = Config(ServiceConfig(instance="unit", state_dir="/nowhere"), feeds, **changes)
    return capacity.capacity(placed(assemble(config)), config)


def feed(symbols: int = 1, streams: tuple[str, ...] = ("trade",), **changes: Any) -> Feed:
    names = tuple(f"S{number}USDT" for number in range(symbols))
    return Feed(**{"name": "fut", "exchange": "binance", "symbols": names, "streams": streams, **changes})


def nine(symbols: int) -> capacity.Capacity:
    feeds = []
    for exchange in NINE:
        one = STAND_INS[exchange].feed
        names = tuple(one.symbols[0].replace("BTC", f"S{number}") for number in range(symbols))
        streams = tuple(word for word in one.streams if word in STREAMS)
        feeds.append(structs.replace(one, name=exchange, symbols=names, streams=streams))
    return model(*feeds)


def test_one_trade_stream_by_hand() -> None:
    found = model(feed())
    assert found.events == pytest.approx(36.1)
    assert found.network_bytes == pytest.approx(36.1 * 161)
    assert found.clickhouse_bytes == pytest.approx(36.1 * 18 * 86_400, abs=1)
    # fewer than one in a partition and 5 ms: each alone in its batch
    assert found.kafka_bytes == pytest.approx(36.1 * (131 + 80 + 20) * 86_400, abs=1)
    assert found.cores["ingest"] == pytest.approx(36.1 * figures.INGEST_US[0][1] / 1e6, abs=0.001)
    assert (found.connections, found.processes) == (1, 6)
    assert found.burst == pytest.approx(36.1 * 9.1, abs=0.1)


def test_later_symbols_are_quieter_and_more_of_them_cost_more() -> None:
    one, ten, hundred = (model(feed(count)) for count in (1, 10, 100))
    assert one.events < ten.events < 10 * one.events
    assert ten.events < hundred.events < 10 * ten.events
    assert sum(ten.cores.values()) < sum(hundred.cores.values()) < 10 * sum(ten.cores.values())


def test_kraken_is_what_was_measured_there() -> None:
    """3 books are 215 messages a second, 188 are 2,188: what the fall of the rates was made from."""
    for count, measured in ((3, 215.0), (188, 2188.0)):
        said = sum(capacity.rate("kraken", "depth", rank) for rank in range(count))
        assert said == pytest.approx(measured, rel=0.05)


def test_a_book_comes_at_its_pace_and_a_candle_no_oftener_than_trades() -> None:
    assert capacity.rate("binance", "depth", 0) == 4.0
    assert capacity.rate("hyperliquid", "depth", 0) == 0.2
    assert capacity.rate("binance", "kline", 0) == 4.0
    assert capacity.rate("binance", "kline", 499) == capacity.rate("binance", "trade", 499) < 4.0
    assert capacity.rate("binance", "raw_trade", 3) == capacity.rate("binance", "trade", 3)


def test_a_second_connection_is_received_and_not_stored() -> None:
    one, two = model(feed()), model(feed(redundancy=2))
    assert two.network_bytes == 2 * one.network_bytes
    assert (two.events, two.kafka_bytes, two.clickhouse_bytes) == (one.events, one.kafka_bytes, one.clickhouse_bytes)
    assert two.ring_bytes > one.ring_bytes


def test_fuller_batches_take_less_of_a_log() -> None:
    config = Config(ServiceConfig(instance="unit", state_dir="/nowhere"), kafka=KafkaConfig(partitions=4))
    each = [capacity.kafka_bytes("trade", rate, config) / rate for rate in (10, 1000, 10_000, 1_000_000)]
    assert each == sorted(each, reverse=True)
    assert each[-1] == pytest.approx(figures.SIZES["trade"].packed + figures.KAFKA_RECORD, rel=0.05)


@pytest.mark.parametrize("measured", [figures.INGEST_US, figures.SERIALIZER_US, figures.CONSUMER_US])
def test_measured_costs_are_hit_and_joined(measured: tuple[tuple[float, float], ...]) -> None:
    for events, us in measured:
        assert capacity.cores(events, measured) == pytest.approx(events * us / 1e6)
    for (low, dear), (high, cheap) in pairwise(measured):
        between = capacity.cores((low + high) / 2, measured) / ((low + high) / 2) * 1e6
        assert min(dear, cheap) <= between <= max(dear, cheap)
    assert capacity.cores(0.0, measured) == 0.0


def test_every_stream_has_its_sizes() -> None:
    assert set(figures.SIZES) == {spec.name for spec in SPECS if not spec.quiet}


def test_processes_and_partitions_follow_the_configuration() -> None:
    found = model(feed(20, STREAMS), process={"serializer": ProcessConfig(count=2), "consumer": ProcessConfig(count=3)})
    assert found.processes == found.connections + 2 + 3 + 3
    config = Config(ServiceConfig(instance="unit", state_dir="/nowhere"))
    assert "mark_price" in capacity.advice(found, config)
    assert capacity.advice(found, structs.replace(config, kafka=KafkaConfig(partitions=1))) == ""


def row(label: str, found: capacity.Capacity) -> str:
    """Of the table in docs/capacity.md."""
    cells = (
        label, f"{found.connections}", f"{found.processes}", f"{found.events:,.0f}", capacity.size(found.network_bytes),
        f"{sum(found.cores.values()):.1f}", f"{found.memory_mb / 1000:.1f} GB", capacity.size(found.ring_bytes),
        capacity.size(found.kafka_bytes), capacity.size(found.clickhouse_bytes),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def test_the_page_has_what_the_model_says() -> None:
    assert row("50", nine(50)) in PAGE.read_text().splitlines()


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(
        '[[feed]]\nname="fut"\nexchange="binance"\nsymbols=["BTCUSDT","ETHUSDT"]\nstreams=["trade","depth","kline"]\n'
    )
    done = run(tmp_path, "--config", "w.toml", "plan", "--capacity")
    assert done.returncode == ExitCode.OK
    assert max(map(len, done.stdout.splitlines())) <= 80
    for head in ("processes", "events", "network", "cores", "/dev/shm", "Kafka", "ClickHouse", "partitions"):
        assert f"  {head} " in done.stdout
    told = json.loads(run(tmp_path, "--config", "w.toml", "plan", "--capacity", "--json").stdout)
    assert told["topics"]["trade"] == pytest.approx(36.1 * (1 + 2**-0.54), abs=0.1)
    shown = run(tmp_path, "--config", "w.toml", "plan")
    assert "  expected    " in shown.stdout
    (connection, *_) = json.loads(run(tmp_path, "--config", "w.toml", "plan", "--json").stdout)
    assert connection["expected"]["events"] > 0
