"""A wrong configuration: exit 78, every error with its key path on standard error, and nothing is started."""

from pathlib import Path
from typing import NamedTuple

import pytest
from cli.command import call, run

from wsadapter.config.load import load
from wsadapter.errors import ExitCode
from wsadapter.roles.supervisor import run as composition
from wsadapter.shm.segment import listing

FEED = '[[feed]]\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n'


class Wrong(NamedTuple):
    """``paths``: the key paths to be named, all of them."""

    name: str
    text: str | bytes
    paths: tuple[str, ...]
    environ: dict[str, str] = {}
    dotenv: str = ""


WRONG = [
    Wrong("nothing configured", "", ("feed",)),
    Wrong("bad syntax", "[service\n", ("c.toml: not TOML",)),
    Wrong("bad UTF-8", b"[service]\nshard = '\xff'\n", ("c.toml: not UTF-8 in line 2",)),
    Wrong("too large", "# " + "x" * 1_100_000, ("c.toml: larger than",)),
    Wrong("nested too deep", "a = " + "[" * 5000, ("c.toml: not TOML",)),
    Wrong("unknown section", FEED + "[sevrice]\n", ("sevrice",)),
    Wrong("unknown key", FEED + "strems = ['trade']\n", ("feed[0].strems",)),
    Wrong("unknown variable", FEED, ("WEBSOCKET_SYMBOL",), {"WEBSOCKET_SYMBOL": "BTCUSDT"}),
    Wrong("wrong type", FEED + "[ring]\ncapacity_bytes = 'big'\n[service]\nshard = 1\n",
          ("ring.capacity_bytes", "service.shard")),
    Wrong("section that is no table", FEED.replace("[[feed]]", "kafka = 5\n[[feed]]"), ("kafka",)),
    Wrong("feed that is no list", "[feed]\nexchange = 'binance'\n", ("feed",)),
    Wrong("missing exchange and symbols", "[[feed]]\nname = 'a'\n", ("feed[0].exchange", "feed[0].symbols")),
    Wrong("unknown exchange", FEED.replace("binance", "binanse"), ("feed[0].exchange",)),
    Wrong("no symbols", FEED.replace('"BTCUSDT"', ""), ("feed[0].symbols",)),
    Wrong("symbols that cannot be", FEED.replace('"BTCUSDT"', '"", "BTC USDT", "A\\u0000", "X", "x", 5'),
          ("feed[0].symbols[0]", "feed[0].symbols[1]", "feed[0].symbols[2]", "feed[0].symbols[4]",
           "feed[0].symbols[5]")),
    Wrong("unknown stream, twice a stream", FEED + "streams = ['trade', 'trades', 'trade']\n",
          ("feed[0].streams[1]", "feed[0].streams[2]")),
    Wrong("unknown interval", FEED + "intervals = ['1m', '7m']\n", ("feed[0].intervals[1]",)),
    Wrong("depth levels", FEED + "depth_levels = 15\n", ("feed[0].depth_levels",)),
    Wrong("duplicate feed name", FEED + FEED, ("feed[1].name",)),
    Wrong("one series of live and testnet", FEED + FEED + "name = 'b'\ntestnet = true\n", ("feed[1].symbols",)),
    Wrong("bad feed names", FEED + "name = 'A b'\n" + FEED + "name = 'stats-x'\n", ("feed[0].name", "feed[1].name")),
    Wrong("plain websocket to elsewhere", FEED + "ws_url = 'ws://example.com'\nrest_url = 'http://example.com'\n",
          ("feed[0].ws_url", "feed[0].rest_url")),
    Wrong("bad URL", FEED + "ws_url = 'fstream'\n[clickhouse]\nurl = 'tcp://h:9000'\n",
          ("feed[0].ws_url", "clickhouse.url")),
    Wrong("password in a URL", FEED + "[clickhouse]\nurl = 'http://u:s3cret@h:8123'\n", ("clickhouse.url",)),
    Wrong("negative and zero", FEED + "max_reconnects = -1\nredundancy = 0\n[kafka]\npartitions = 0\n"
          "[clickhouse]\nbatch_rows = -5\n[clickhouse.ttl_days]\ntrade = 0\n",
          ("feed[0].max_reconnects", "feed[0].redundancy", "kafka.partitions", "clickhouse.batch_rows",
           "clickhouse.ttl_days.trade")),
    Wrong("bad durations", FEED + "ping_interval = '5 parsecs'\nreconnect_backoff = nan\n"
          "[service]\ndrain_seconds = -1\n",
          ("feed[0].ping_interval", "feed[0].reconnect_backoff", "service.drain_seconds")),
    Wrong("bad ring", FEED + "[ring]\ncapacity_bytes = 100000\n", ("ring.capacity_bytes",)),
    Wrong("what the promise rests on", FEED + "[kafka.producer]\nacks = 1\nenable.idempotence = false\n"
          "[kafka.consumer]\n'enable.auto.commit' = true\n",
          ("kafka.producer.acks: refused, the delivery promise rests on it", "kafka.producer.enable.idempotence",
           "kafka.consumer.enable.auto.commit")),
    Wrong("secret in the file", FEED + "[kafka.producer]\n'sasl.password' = 's3cret'\n",
          ("kafka.producer.sasl.password",)),
    Wrong("TLS without checks", FEED + "[kafka.producer]\nenable.ssl.certificate.verification = false\n",
          ("kafka.producer.enable.ssl.certificate.verification",)),
    Wrong("what librdkafka does not know", FEED + "[kafka.producer]\nlinger.mss = 5\n[kafka.consumer]\n"
          "fetch.wait.max.ms = 'x'\n", ("kafka.producer.linger.mss", "kafka.consumer.fetch.wait.max.ms")),
    Wrong("password file that is not there", FEED + "[kafka]\nsasl_password_file = '/nonexistent'\n"
          "[clickhouse]\npassword_file = '/'\n", ("kafka.sasl_password_file", "clickhouse.password_file")),
    Wrong("database that is no identifier", FEED + "[clickhouse]\ndatabase = 'a`; DROP'\n[clickhouse.ttl_days]\n"
          "trades = 1\n", ("clickhouse.database", "clickhouse.ttl_days.trades")),
    Wrong("bad addresses", FEED + "[monitor]\nlisten = '9464'\n[kafka]\nbootstrap_servers = 'a:1,b'\n",
          ("monitor.listen", "kafka.bootstrap_servers")),
    Wrong("backoff upside down", FEED + "[restart]\nbackoff_min = 10\nbackoff_max = '5s'\n", ("restart.backoff_max",)),
    Wrong("processes", FEED + "[process.ingest]\ncount = 2\ncpu = [4096]\n[process.serialiser]\n[process.monitor]\n"
          "nice = 40\n",
          ("process.ingest.count", "process.ingest.cpu[0]", "process.serialiser", "process.monitor.nice")),
    Wrong("counts", FEED + "[process.repairer]\ncount = 2\n[process.consumer]\ncount = 0\n"
          "[process.monitor]\ncount = 0\n",
          ("process.repairer.count", "process.consumer.count", "process.monitor.count")),
    Wrong("bad words", FEED + "[service]\nlog_level = 'loud'\nlog_format = 'xml'\ninstance = 'a/b'\n",
          ("service.log_level", "service.log_format", "service.instance")),
    Wrong("bad values of variables", "", ("WEBSOCKET_MAX_RECONNECTS", "WEBSOCKET_PING_INTERVAL",
          "WEBSOCKET_USE_TESTNET", "WEBSOCKET_EXCHANGES", "KAFKA_BOOTSTRAP_SERVERS"),
          {"WEBSOCKET_SYMBOLS": "BTCUSDT", "WEBSOCKET_MAX_RECONNECTS": "many", "WEBSOCKET_PING_INTERVAL": "often",
           "WEBSOCKET_USE_TESTNET": "perhaps", "WEBSOCKET_EXCHANGES": "mtgox", "KAFKA_BOOTSTRAP_SERVERS": "k"}),
    Wrong("exchanges without symbols", "", ("WEBSOCKET_SYMBOLS",), {"WEBSOCKET_EXCHANGES": "binance"}),
    Wrong("bad lines in .env", FEED, (".env:2", ".env:3", ".env:4", "WEBSOCKET_FOO"),
          dotenv="A=1\nno assignment\nB='open\nA=2\nWEBSOCKET_FOO=1\n"),
    Wrong("errors everywhere at once",
          "x = 1\n" + FEED + "depth_levels = 1\n[monitor]\nlisten = ''\n[spool]\nsize = 1\n",
          ("x", "feed[0].depth_levels", "monitor.listen", "spool.size", "WEBSOCKET_BAR"), {"WEBSOCKET_BAR": "1"}),
]  # fmt: skip


@pytest.fixture
def never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in this process that is not refused after all starts nothing here."""

    def run_after_all(*_: object) -> int:
        raise AssertionError("not refused")

    monkeypatch.setattr(composition, "run", run_after_all)


@pytest.mark.usefixtures("never_run")
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name.replace(" ", "-"))
def test_wrong_configuration(tmp_path: Path, wrong: Wrong) -> None:
    content = wrong.text if isinstance(wrong.text, bytes) else wrong.text.encode()
    (tmp_path / "c.toml").write_bytes(content)
    if wrong.dotenv:
        (tmp_path / ".env").write_text(wrong.dotenv)

    done = call(tmp_path, "--config", "c.toml", "--embedded", **wrong.environ)

    assert done.returncode == ExitCode.CONFIG, done.stderr
    lines = [line.strip() for line in done.stderr.splitlines()]
    assert [path for path in wrong.paths if not any(line.startswith(path) for line in lines)] == [], done.stderr
    # each line beyond the two of the head is one of the expected errors: no follow-up noise
    assert len(lines) == 2 + len(wrong.paths), done.stderr
    assert "s3cret" not in done.stderr
    assert done.stdout == ""
    started_nothing(tmp_path)


def test_a_process_of_its_own_ends_as_told(tmp_path: Path) -> None:
    wrong = WRONG[-1]
    (tmp_path / "c.toml").write_text(str(wrong.text))
    arguments = ("--config", "c.toml", "--embedded")

    done, called = run(tmp_path, *arguments, **wrong.environ), call(tmp_path, *arguments, **wrong.environ)

    assert done.returncode == ExitCode.CONFIG
    assert (called.returncode, called.stdout, called.stderr) == (done.returncode, done.stdout, done.stderr)
    started_nothing(tmp_path)


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "device", "loop of links"])
def test_file_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "c.toml"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        import os

        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop of links":
        path.symlink_to(path)

    done = run(tmp_path, "--config", "c.toml")

    assert done.returncode == ExitCode.CONFIG
    assert "c.toml: " in done.stderr
    started_nothing(tmp_path)


@pytest.mark.parametrize("arguments", [("validate",), ("check",), ("ddl",), ("status",), ("tap", "trade"), ("top",)])
def test_every_subcommand_refuses_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "c.toml").write_text("[ring]\ncapacity_bytes = 3\n")

    before = call(tmp_path, "--config", "c.toml", *arguments)
    after = call(tmp_path, *arguments, "--config", "c.toml")

    assert (before.returncode, after.returncode) == (ExitCode.CONFIG, ExitCode.CONFIG)
    assert "ring.capacity_bytes" in before.stderr
    assert "ring.capacity_bytes" in after.stderr


@pytest.mark.usefixtures("never_run")
def test_embedded_services_are_for_this_machine(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(FEED)

    several = "127.0.0.1:9092,127.0.0.1:9093"
    for servers, brokers in (("k.example:9092", "1"), (several, "1"), (several, "3")):
        done = call(tmp_path, "--config", "c.toml", "--embedded", "--brokers", brokers, KAFKA_BOOTSTRAP_SERVERS=servers)

        assert done.returncode == ExitCode.CONFIG
        assert "kafka.bootstrap_servers" in done.stderr
        started_nothing(tmp_path)


def test_one_embedded_broker_has_one_replica(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f"{FEED}[kafka]\nreplication_factor = 2\n")

    done = call(tmp_path, "--config", "c.toml", "--embedded")

    assert done.returncode == ExitCode.CONFIG
    assert "kafka.replication_factor" in done.stderr
    started_nothing(tmp_path)


@pytest.mark.parametrize(("kept", "brokers"), [("kafka", "3"), ("kafka-2", "1")])
def test_what_one_broker_kept_is_not_left_behind_for_three_nor_the_other_way(
    tmp_path: Path, kept: str, brokers: str
) -> None:
    (tmp_path / "c.toml").write_text(FEED)
    (tmp_path / "state" / kept / "data").mkdir(parents=True)
    (tmp_path / "state" / kept / "data" / "meta.properties").write_text("version=1\n")

    done = call(tmp_path, "--config", "c.toml", "--embedded", "--brokers", brokers)

    assert done.returncode == ExitCode.CONFIG
    assert "service.state_dir" in done.stderr
    assert f"--brokers {'13'.replace(brokers, '')}" in done.stderr


def started_nothing(directory: Path) -> None:
    """No state directory, no shared memory of the instance that would have run there."""
    environ = {"STATE_DIRECTORY": str(directory / "state"), "WEBSOCKET_SYMBOLS": "X"}
    instance = load(None, environ, dotenv=None).service.instance

    assert not (directory / "state").exists()
    assert listing(f"wsadapter-{instance}-") == []
