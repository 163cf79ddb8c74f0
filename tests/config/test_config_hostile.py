"""Whatever a file or the environment holds: a configuration or a `ConfigError`, and never a secret in the message."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.cli.options import exchanges
from wsadapter.config.convert import Errors
from wsadapter.config.environment import Environment
from wsadapter.config.feeds import feeds
from wsadapter.config.load import load
from wsadapter.config.model import Config, Feed
from wsadapter.errors import ConfigError

SECTIONS = [field.name for field in msgspec.structs.fields(Config) if field.name not in ("feed", "process")]
LEAVES = [
    f"{section.name}.{field.name}"
    for section in msgspec.structs.fields(Config)
    if section.name in SECTIONS
    for field in msgspec.structs.fields(section.type)
    # asking librdkafka is a process per example
    if field.name not in ("producer", "consumer")
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=8,
)


def outcome(environ: dict[str, str] | None = None, **changes: Any) -> Config | ConfigError:
    plain = {"WEBSOCKET_SYMBOLS": "BTCUSDT", "HOME": "/nonexistent"}
    try:
        return load(None, environ or plain, dotenv=None, **changes)
    except ConfigError as error:
        return error


@given(key=st.sampled_from(LEAVES), value=VALUES)
def test_any_value_under_any_key(key: str, value: Any) -> None:
    found = outcome(overrides={key: value})

    if isinstance(found, ConfigError):
        assert [path for path, _ in found.errors if path.startswith(key.partition(".")[0])]
        assert all(message.isprintable() for _, message in found.errors)
    else:
        assert msgspec.json.decode(msgspec.json.encode(found), type=Config) == found


@given(field=st.sampled_from(Feed.__struct_fields__), value=VALUES)
def test_any_value_in_a_feed(field: str, value: Any) -> None:
    errors = Errors()
    feed = {"name": "a", "exchange": "binance", "symbols": ["BTCUSDT"], field: value}
    # what load() calls for a file's feeds, without a file for each example
    found = feeds({"feed": [feed]}, Environment(), exchanges(), errors, {})

    assert bool(found) or bool(errors)
    assert all(path.startswith("feed[0]") for path, _ in errors.all())


@given(name=st.sampled_from(["SYMBOLS", "INTERVALS", "EXCHANGES", "PING_INTERVAL", "MAX_RECONNECTS"]), value=st.text())
def test_any_text_in_a_variable(name: str, value: str) -> None:
    environ = {"WEBSOCKET_SYMBOLS": "BTCUSDT", "HOME": "/nonexistent", f"WEBSOCKET_{name}": value}
    found = outcome(environ=environ)

    paths = [path for path, _ in found.errors] if isinstance(found, ConfigError) else []
    assert all(path.startswith(("WEBSOCKET_", "feed")) for path in paths)


@pytest.mark.parametrize(
    "text",
    [
        'a = "\\ud800"',
        "a = " + "[" * 5000,
        "a = " + "9" * 5000,
        "\0",
        "[a.b.c]\n[a.b.c]",
        "a.b = 1\n[a]\nb = 2",
        "[[feed]]\n" * 20_000,
        "feed = [1, 2]",
        'feed = {exchange = "binance"}',
        '[[feed]]\n"bad\\u0000key" = 1\n"\\u202e" = 2',
    ],
)
def test_hostile_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError) as error:
        load(str(path), {}, dotenv=None)

    assert all(p.isprintable() and m.isprintable() for p, m in error.value.errors)


def test_no_secret_in_any_message(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        """
[[feed]]
exchange = "binance"
symbols = ["BTCUSDT"]
ws_url = "wss://user:hunter2@host"
rest_url = "https://host/?key=hunter2"
[kafka]
bootstrap_servers = "user:hunter2@host:9092"
sasl_password_file = "/nonexistent"
[kafka.producer]
"sasl.password" = "hunter2"
ssl.key.pem = "hunter2"
linger.mss = 5
[clickhouse]
url = "http://user:hunter2@host:8123"
"""
    )
    dotenv = tmp_path / ".env"
    dotenv.write_text("TOKEN='hunter2\nhunter2\n")
    with pytest.raises(ConfigError) as error:
        load(str(path), {}, dotenv=str(dotenv))

    assert "hunter2" not in str(error.value)
    assert len(error.value.errors) == 9
