"""What a configuration becomes: defaults, sources and their order, durations, paths."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from wsadapter.config.feeds import Exchanges
from wsadapter.config.load import enabled, load
from wsadapter.config.model import DEFAULT_STREAMS, Config
from wsadapter.config.types import STREAMS
from wsadapter.config.warnings import warnings
from wsadapter.errors import ConfigError
from wsadapter.events import StreamType
from wsadapter.exchanges import OURS, spelled
from wsadapter.times import duration

FEED = '[[feed]]\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n'


def write(path: Path, text: str) -> str:
    file = path / "c.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_defaults(tmp_path: Path) -> None:
    config = load(write(tmp_path, FEED), {"XDG_STATE_HOME": str(tmp_path)}, dotenv=None)
    feed = config.feed[0]

    assert (feed.name, feed.streams, feed.intervals) == ("binance", DEFAULT_STREAMS, ("1m",))
    assert (feed.depth_levels, feed.depth_speed, feed.max_reconnects, feed.redundancy) == (20, "100ms", 0, 1)
    assert config.ring.capacity_bytes == 64 * 1024 * 1024
    assert (config.kafka.bootstrap_servers, config.kafka.topic_prefix) == ("127.0.0.1:9092", "websocket.")
    assert (config.kafka.partitions, config.kafka.retention_hours) == (4, 168)
    assert (config.clickhouse.url, config.clickhouse.database) == ("http://127.0.0.1:8123", "market")
    assert config.monitor.listen == "127.0.0.1:9464"
    assert config.process == {}
    assert config.process_of("serializer").count == 1


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/w:/other", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/var/lib/w"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/wsadapter"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/wsadapter"),
        ({"HOME": "/h"}, "/h/.local/state/wsadapter"),
    ],
)
def test_the_state_directory_follows_from_where_we_run(environ: dict[str, str], expected: str) -> None:
    service = load(None, {**environ, "WEBSOCKET_SYMBOLS": "BTCUSDT"}, dotenv=None).service

    assert service.state_dir == expected
    assert service.instance == hashlib.sha1(expected.encode()).hexdigest()[:8]


TWO = "http://a:8123,http://b:8123"


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ('[clickhouse]\nurl = ["http://a:8123/", "http://b:8123"]\n', {}),
        ('[clickhouse]\nurl = "http://a:8123, http://b:8123"\n', {}),
        ("", {"CLICKHOUSE_URL": "http://a:8123,http://b:8123"}),
    ],
)
def test_several_endpoints_of_clickhouse_as_list_text_or_variable(
    tmp_path: Path, text: str, environ: dict[str, str]
) -> None:
    config = load(write(tmp_path, FEED + text), {"HOME": str(tmp_path), **environ}, dotenv=None)
    assert config.clickhouse.url == TWO
    assert msgspec.json.decode(msgspec.json.encode(config), type=Config).clickhouse.url == TWO


@pytest.mark.parametrize(
    ("value", "path", "says"),
    [
        ('["http://a:1", "ftp://b:1"]', "clickhouse.url[1]", "must begin with http:// or https://"),
        ('"http://a:1,b:1"', "clickhouse.url[1]", "must begin with http:// or https://"),
        ('["http://a:1", "http://u:p@b:1"]', "clickhouse.url[1]", "holds credentials"),
        ('["http://a:1", "http://a:1/"]', "clickhouse.url[1]", "stands there twice"),
        ('["http://a:1", 5]', "clickhouse.url[1]", "must be str, not int"),
        ('["http://a:1", "https://b:1"]', "clickhouse.url", "some endpoints are http:// and some https://"),
        ("[]", "clickhouse.url", "names none"),
        ("5", "clickhouse.url", "must be text or a list"),
        (str([f"http://a:{port}" for port in range(1, 18)]), "clickhouse.url", "at most 16 are allowed"),
    ],
)
def test_each_endpoint_of_clickhouse_is_checked_under_its_key_path(
    tmp_path: Path, value: str, path: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, f"{FEED}[clickhouse]\nurl = {value}\n"), {"HOME": str(tmp_path)}, dotenv=None)
    ((where, text),) = caught.value.errors
    assert (where, says in text) == (path, True)


def test_an_endpoint_of_the_variable_is_called_by_its_name(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "CLICKHOUSE_URL": "http://a:1,b"}
    with pytest.raises(ConfigError, match=r"CLICKHOUSE_URL\[1\]: must begin with"):
        load(write(tmp_path, FEED), environ, dotenv=None)


def test_two_state_directories_never_share_an_instance(tmp_path: Path) -> None:
    texts = [f'[service]\nstate_dir = "{tmp_path / name}"\n{FEED}' for name in ("a", "b")]
    instances = {load(write(tmp_path, text), {}, dotenv=None).service.instance for text in texts}

    assert len(instances) == 2


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("s3cret")
    text = f'{FEED}[service]\nstate_dir = "st"\n[clickhouse]\npassword_file = "secret"\n'
    config = load(write(tmp_path, text), {}, dotenv=None)

    assert config.service.state_dir == str(tmp_path / "st")
    assert config.clickhouse.password_file == str(tmp_path / "secret")
    assert config.spool.path == str(tmp_path / "st" / "spool")


def test_a_recording_is_of_feeds_that_there_are(tmp_path: Path) -> None:
    text = f'{FEED}[record]\nmode = "all"\nfeeds = ["nobody"]\n'
    with pytest.raises(ConfigError) as refused:
        load(write(tmp_path, text), {}, dotenv=None)
    assert refused.value.errors == (("record.feeds", "no feed is named 'nobody', only: binance"),)

    record = load(write(tmp_path, text.replace("nobody", "binance")), {}, dotenv=None).record
    assert (record.is_of("binance"), record.is_of("another")) == (True, False)
    assert record.path.endswith("/recordings")


def test_it_travels_as_json_and_holds_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    text = f"""{FEED}
[clickhouse]
password_file = "{tmp_path / "secret"}"
ttl_days = {{trade = 30}}
[kafka]
sasl_password_file = "{tmp_path / "secret"}"
[kafka.producer]
linger.ms = 7
"compression.type" = "zstd"
[process.serializer]
count = 2
cpu = [0]
"""
    config = load(write(tmp_path, text), {}, dotenv=None)
    encoded = msgspec.json.encode(config)

    assert msgspec.json.decode(encoded, type=Config) == config
    assert b"s3cret" not in encoded
    assert config.kafka.producer == {"linger.ms": 7, "compression.type": "zstd"}
    assert config.process["serializer"].count == 2


def test_the_environment_alone_is_enough() -> None:
    environ = {
        "WEBSOCKET_ENABLED": "true",
        "WEBSOCKET_EXCHANGES": "binance",
        "WEBSOCKET_SYMBOLS": "btcusdt, ETHUSDT",
        "WEBSOCKET_INTERVALS": "1m,1h,1M",
        "WEBSOCKET_USE_TESTNET": "yes",
        "WEBSOCKET_RECONNECT_BACKOFF": "5s",
        "WEBSOCKET_MAX_RECONNECTS": "10",
        "WEBSOCKET_PING_INTERVAL": "20s",
        "WEBSOCKET_READ_BUFFER_SIZE": "4096",
        "WEBSOCKET_WRITE_BUFFER_SIZE": "8192",
        "KAFKA_BOOTSTRAP_SERVERS": "k1:9092,k2:9092",
        "CLICKHOUSE_URL": "https://ch.example:8443/",
        "HOME": "/h",
    }
    config = load(None, environ, dotenv=None, exchanges=Exchanges(tuple(OURS), spelled))
    (feed,) = config.feed

    assert (feed.name, feed.exchange, feed.testnet) == ("binance", "binance", True)
    assert feed.symbols == ("BTCUSDT", "ETHUSDT")
    assert (feed.streams, feed.intervals) == (DEFAULT_STREAMS, ("1m", "1h", "1M"))
    assert (feed.reconnect_backoff, feed.max_reconnects, feed.ping_interval) == (5.0, 10, 20.0)
    assert (feed.read_buffer_size, feed.write_buffer_size) == (4096, 8192)
    assert config.kafka.bootstrap_servers == "k1:9092,k2:9092"
    assert config.clickhouse.url == "https://ch.example:8443"


def test_command_line_over_environment_over_file_over_default(tmp_path: Path) -> None:
    path = write(tmp_path, FEED + '[kafka]\nbootstrap_servers = "file:1"\n[clickhouse]\nurl = "http://file:1"\n')
    environ = {"KAFKA_BOOTSTRAP_SERVERS": "environment:1", "CLICKHOUSE_URL": "http://environment:1"}

    assert load(path, {}, dotenv=None).kafka.bootstrap_servers == "file:1"
    config = load(path, environ, dotenv=None, overrides={"clickhouse.url": "http://line:1"})
    assert (config.kafka.bootstrap_servers, config.clickhouse.url) == ("environment:1", "http://line:1")


def test_dotenv_is_read_and_the_process_wins(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "# ours\n\nexport WEBSOCKET_SYMBOLS='ETHUSDT'  # one\nWEBSOCKET_INTERVALS=1m,5m # two\n"
        'KAFKA_BOOTSTRAP_SERVERS="dotenv:1"\nOTHER_PROGRAM="a \\"b\\" \\n c"\nCLICKHOUSE_URL=\n'
    )
    config = load(None, {"KAFKA_BOOTSTRAP_SERVERS": "process:1"}, dotenv=str(dotenv))

    assert (config.feed[0].symbols, config.feed[0].intervals) == (("ETHUSDT",), ("1m", "5m"))
    assert config.kafka.bootstrap_servers == "process:1"
    assert config.clickhouse.url == "http://127.0.0.1:8123"


def test_disabled_in_either_place(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("WEBSOCKET_ENABLED=off\n")

    assert not enabled({}, str(dotenv))
    assert enabled({"WEBSOCKET_ENABLED": "1"}, str(dotenv))
    assert enabled({}, None)


def test_words_are_those_of_the_rest_of_the_program() -> None:
    assert set(STREAMS) == {word.value for word in StreamType if word not in (StreamType.GAP, StreamType.COVERAGE)} | {
        "raw_trade"
    }


def test_an_exchange_that_this_version_does_not_have(tmp_path: Path) -> None:
    path = write(tmp_path, FEED.replace("binance", "okx"))

    assert load(path, {}, dotenv=None).feed[0].exchange == "okx"
    with pytest.raises(ConfigError, match=r"feed\[0\]\.exchange: okx is an unknown exchange, must be one of: binance"):
        load(path, {}, dotenv=None, exchanges=Exchanges(("binance",), spelled))


def test_symbols_are_spelled_by_their_venue_and_as_written_where_none_is_known(tmp_path: Path) -> None:
    path = write(tmp_path, '[[feed]]\nexchange = "binance"\nsymbols = ["btcusdt", "top:2:*usdt"]\n')

    assert load(path, {}, dotenv=None).feed[0].symbols == ("btcusdt", "top:2:*usdt")
    known = Exchanges(tuple(OURS), spelled)
    assert load(path, {}, dotenv=None, exchanges=known).feed[0].symbols == ("BTCUSDT", "top:2:*USDT")
    other = write(tmp_path, '[[feed]]\nexchange = "hyperliquid"\nsymbols = ["kPEPE"]\n')
    assert load(other, {}, dotenv=None, exchanges=known).feed[0].symbols == ("kPEPE",)


def test_demo_needs_no_feed() -> None:
    assert load(None, {}, dotenv=None, demo=True).feed == ()
    with pytest.raises(ConfigError, match="feed: none"):
        load(None, {}, dotenv=None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5s", 5.0),
        ("100ms", 0.1),
        ("1m", 60.0),
        ("2h", 7200.0),
        ("1.5s", 1.5),
        ("7d", 604_800.0),
        (3, 3.0),
        (0.25, 0.25),
    ],
)
def test_durations(text: object, expected: float) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["5", "s", "5 s", "-5s", "5w", "1e3s", "", True, None, [], float("nan"), float("inf")])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(text)


def test_warnings(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "secret").chmod(0o600)
    text = f"""[[feed]]
exchange = "binance"
symbols = ["BTCUSDT"]
streams = ["trade", "open_interest"]
[process.repairer]
count = 0
[monitor]
listen = "0.0.0.0:9464"
[clickhouse]
url = "http://ch.example:8123"
password_file = "{tmp_path / "secret"}"
batch_seconds = 30
"""
    found = warnings(load(write(tmp_path, text), {}, dotenv=None), {}, None)

    assert [line.partition(":")[0] for line in found] == [
        "monitor.listen", "clickhouse.url", "clickhouse.batch_seconds", "feed[0].streams",
    ]  # fmt: skip
    assert warnings(load(write(tmp_path, FEED), {}, dotenv=None), {}, None) == []
