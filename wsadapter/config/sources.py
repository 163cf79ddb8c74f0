"""Where configuration comes from: the file, and WEBSOCKET_*, KAFKA_BOOTSTRAP_SERVERS and CLICKHOUSE_URL.

The file is read once, bounded, and every way in which it can be unreadable is told by name. The environment is also
read from a `.env` file in the working directory, where the process environment wins. An unknown WEBSOCKET_* name is
an error; other names in `.env` belong to other programs. Every message names a variable or a line, never a value: the
file may hold secrets of those other programs.
"""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from wsadapter.config import venues
from wsadapter.config.convert import Errors

PREFIX: Final = "WEBSOCKET_"
ENABLED: Final = "WEBSOCKET_ENABLED"
EXCHANGES: Final = "WEBSOCKET_EXCHANGES"
SYMBOLS: Final = "WEBSOCKET_SYMBOLS"

FEED_VARIABLES: Final[Mapping[str, str]] = {
    "symbols": SYMBOLS,
    "intervals": "WEBSOCKET_INTERVALS",
    "testnet": "WEBSOCKET_USE_TESTNET",
    "reconnect_backoff": "WEBSOCKET_RECONNECT_BACKOFF",
    "max_reconnects": "WEBSOCKET_MAX_RECONNECTS",
    "ping_interval": "WEBSOCKET_PING_INTERVAL",
    "read_buffer_size": "WEBSOCKET_READ_BUFFER_SIZE",
    "write_buffer_size": "WEBSOCKET_WRITE_BUFFER_SIZE",
}
"""Field of a feed -> the variable that sets it."""

OVERRIDES: Final[Mapping[str, str]] = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.bootstrap_servers",
    "CLICKHOUSE_URL": "clickhouse.url",
}
"""Variable -> the key it overrides."""

_KNOWN: Final = (ENABLED, EXCHANGES, *FEED_VARIABLES.values())
_LISTS: Final = ("symbols", "intervals")
_NUMBERS: Final = ("max_reconnects", "read_buffer_size", "write_buffer_size")
_TRUE: Final = ("true", "1", "yes", "on")
_FALSE: Final = ("false", "0", "no", "off")

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_DOTENV_BYTES: Final = 65_536
_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\[\\"nt$])*)"\s*(?:#.*)?')
_SINGLE: Final = re.compile(r"'([^']*)'\s*(?:#.*)?")
_ESCAPES: Final = {"n": "\n", "t": "\t"}


class Environment(Struct, frozen=True):
    """What the environment says. ``feed`` holds plain values as a TOML file would; None = nothing about a feed."""

    enabled: bool
    exchanges: tuple[str, ...]
    feed: dict[str, Any] | None
    overrides: dict[str, str]


def read(environ: Mapping[str, str], dotenv: str | None, errors: Errors) -> Environment:
    """The environment over `.env`. An empty value is as good as none (compose files write them)."""
    values = {**_dotenv(dotenv, errors), **environ}
    for name in sorted(values):
        if name.startswith(PREFIX) and name not in _KNOWN:
            errors.add(name, f"unknown variable; known: {' '.join(_KNOWN)}")
    values = {name: value.strip() for name, value in values.items() if name in _KNOWN or name in OVERRIDES}
    values = {name: value for name, value in values.items() if value}
    feed = {
        field: _plain(field, name, values[name], errors) for field, name in FEED_VARIABLES.items() if name in values
    }
    exchanges = _split(values.get(EXCHANGES, venues.DEFAULT))
    return Environment(
        enabled=_boolean(ENABLED, values.get(ENABLED, "true"), errors),
        exchanges=exchanges,
        feed=feed if feed or EXCHANGES in values else None,
        overrides={key: values[name] for name, key in OVERRIDES.items() if name in values},
    )


def _plain(field: str, name: str, value: str, errors: Errors) -> Any:
    if field in _LISTS:
        return _split(value)
    if field == "testnet":
        return _boolean(name, value, errors)
    if re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    if field in _NUMBERS:
        errors.add(name, "must be a number")
        return 0
    return float(value) if re.fullmatch(r"-?[0-9]{1,12}\.[0-9]{1,9}", value) else value


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(","))


def _boolean(name: str, value: str, errors: Errors) -> bool:
    if value.lower() in _TRUE + _FALSE:
        return value.lower() in _TRUE
    errors.add(name, "must be true or false")
    return True


def _dotenv(path: str | None, errors: Errors) -> dict[str, str]:
    if path is None or (text := _text(path, errors)) is None:
        return {}
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        value = _unquoted(match[2]) if match else None
        if match is None or value is None:
            errors.add(f"{os.path.basename(path)}:{number}", "must be KEY=VALUE, with both quotes or none")
        elif match[1] in values:
            errors.add(f"{os.path.basename(path)}:{number}", f"{match[1]} is set twice")
        else:
            values[match[1]] = value
    return values


def _text(path: str, errors: Errors) -> str | None:
    name = os.path.basename(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            errors.add(name, "is not a file")
            return None
        with open(path, "rb") as file:
            content = file.read(MAX_DOTENV_BYTES + 1)
        if len(content) <= MAX_DOTENV_BYTES:
            return content.decode("utf-8-sig")
        errors.add(name, f"larger than {MAX_DOTENV_BYTES} bytes")
    except FileNotFoundError:
        return None
    except OSError as error:
        errors.add(name, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        errors.add(name, f"not UTF-8 at byte {error.start}")
    return None


def _unquoted(value: str) -> str | None:
    """The value without its quotes and comment; None when it is malformed."""
    if value.startswith('"'):
        match = _DOUBLE.fullmatch(value)
        return match and re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), match[1])
    if value.startswith("'"):
        match = _SINGLE.fullmatch(value)
        return match and match[1]
    # as shells do: a # begins a comment only after white space
    value = re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()
    return None if '"' in value or "'" in value else value


def read_file(path: str, errors: Errors) -> dict[str, Any]:
    """Empty, with the error noted, when it cannot be read."""
    try:
        # a FIFO or a device would block or never end
        if not stat.S_ISREG(os.stat(path).st_mode):
            errors.add(path, "is not a file")
            return {}
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            errors.add(path, f"larger than {MAX_FILE_BYTES} bytes")
            return {}
        return tomllib.loads(content.decode())
    except OSError as error:
        errors.add(path, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        errors.add(path, f"not UTF-8 in line {error.object[: error.start].count(10) + 1}")
    except RecursionError:
        errors.add(path, "not TOML: nested too deep")
    except ValueError as error:  # TOMLDecodeError is one; a number of 5,000 digits and a path with NUL are others
        errors.add(path, f"not TOML: {error}")
    return {}
