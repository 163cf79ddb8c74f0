"""The environment beats the file, `[[feed]]` included; what of it would do nothing is refused or said by name."""

from pathlib import Path

import pytest

from wsadapter.cli.options import exchanges
from wsadapter.config.load import Loaded, load_with_origins
from wsadapter.config.warnings import warnings
from wsadapter.errors import ConfigError

TWO = """
[[feed]]
exchange = "binance"
symbols = ["BTCUSDT"]
[[feed]]
exchange = "okx"
symbols = ["BTC-USDT"]
"""


def loaded(directory: Path, text: str = TWO, dotenv: str | None = None, **environ: str) -> Loaded:
    path = directory / "c.toml"
    path.write_text(text)
    return load_with_origins(str(path), {"HOME": str(directory), **environ}, dotenv=dotenv, exchanges=exchanges())


def refused(directory: Path, text: str = TWO, **environ: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as error:
        loaded(directory, text, **environ)
    return dict(error.value.errors)


def test_a_variable_sets_its_field_in_every_feed(tmp_path: Path) -> None:
    found = loaded(tmp_path, WEBSOCKET_USE_TESTNET="true", WEBSOCKET_PING_INTERVAL="3s")

    assert [(feed.testnet, feed.ping_interval) for feed in found.config.feed] == [(True, 3.0)] * 2
    assert [feed.symbols for feed in found.config.feed] == [("BTCUSDT",), ("BTC-USDT",)]
    assert found.origins["feed[1].testnet"] == "environment WEBSOCKET_USE_TESTNET"
    assert found.origins["feed[1].symbols"] == "file"


def test_or_in_those_of_the_exchanges_that_are_named(tmp_path: Path) -> None:
    found = loaded(tmp_path, WEBSOCKET_EXCHANGES="binance", WEBSOCKET_SYMBOLS="ethusdt", WEBSOCKET_STREAMS="trade")

    assert [(feed.symbols, feed.streams == ("trade",)) for feed in found.config.feed] == [
        (("ETHUSDT",), True), (("BTC-USDT",), False),
    ]  # fmt: skip


def test_what_would_set_nothing_is_refused_by_name(tmp_path: Path) -> None:
    assert "no [[feed]] of 'kraken'" in refused(
        tmp_path, WEBSOCKET_EXCHANGES="kraken", WEBSOCKET_SYMBOLS="XBT/USD"
    )["WEBSOCKET_EXCHANGES"]  # fmt: skip
    assert "the file has [[feed]]" in refused(tmp_path, WEBSOCKET_EXCHANGES="okx")["WEBSOCKET_EXCHANGES"]


def test_what_is_wrong_with_it_is_told_under_its_name(tmp_path: Path) -> None:
    assert refused(tmp_path, WEBSOCKET_DEPTH_LEVELS="7").keys() == {"WEBSOCKET_DEPTH_LEVELS"}
    assert "did you mean WEBSOCKET_SYMBOLS?" in refused(tmp_path, WEBSOCKET_SYMBOL="A")["WEBSOCKET_SYMBOL"]


def test_the_environment_alone_chooses_streams_and_addresses() -> None:
    environ = {
        "HOME": "/h", "WEBSOCKET_SYMBOLS": "BTCUSDT", "WEBSOCKET_STREAMS": "trade,depth", "WEBSOCKET_REDUNDANCY": "2",
        "WEBSOCKET_DEPTH_LEVELS": "0", "WEBSOCKET_WS_URL": "ws://127.0.0.1:1", "WEBSOCKET_REST_URL": "http://[::1]:2",
    }  # fmt: skip
    (feed,) = load_with_origins(None, environ, dotenv=None).config.feed

    assert (feed.streams, feed.redundancy, feed.depth_levels) == (("trade", "depth"), 2, 0)
    assert (feed.ws_url, feed.rest_url) == ("ws://127.0.0.1:1", "http://[::1]:2")


def test_near_names_are_warned_about(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("CLICKHOUSE_PASSWD=hunter2\nPOSTGRES_PASSWORD=x\n")
    environ = {"KAFKA_BOOTSTRAP": "a:1", "KAFKA_HEAP_OPTS": "-Xmx1g", "CLICKHOUSE_URL": "http://a:1"}
    config = loaded(tmp_path).config

    assert warnings(config, environ, str(dotenv)) == [
        "CLICKHOUSE_PASSWD: not a variable of ours and not read, did you mean CLICKHOUSE_PASSWORD?",
        "KAFKA_BOOTSTRAP: not a variable of ours and not read, did you mean KAFKA_BOOTSTRAP_SERVERS?",
    ]


def test_where_values_come_from(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("CLICKHOUSE_USER=writer\nKAFKA_BOOTSTRAP_SERVERS=dotenv:1\n")
    path = tmp_path / "c.toml"
    path.write_text(TWO + "[kafka]\npartitions = 2\n")
    origins = load_with_origins(
        str(path), {"KAFKA_BOOTSTRAP_SERVERS": "a:1", "STATE_DIRECTORY": "/s"}, dotenv=str(dotenv),
        overrides={"clickhouse.url": "http://line:1"},
    ).origins  # fmt: skip

    assert origins["clickhouse.user"] == ".env CLICKHOUSE_USER"
    assert origins["kafka.bootstrap_servers"] == "environment KAFKA_BOOTSTRAP_SERVERS"
    assert (origins["kafka.partitions"], origins["clickhouse.url"]) == ("file", "command line")
    assert origins["service.state_dir"] == "environment STATE_DIRECTORY"
    assert "kafka.topic_prefix" not in origins
