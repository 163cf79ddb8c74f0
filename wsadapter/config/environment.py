"""What the environment says: WEBSOCKET_*, KAFKA_* and CLICKHOUSE_*, also from a `.env` file in the working directory.

The process environment wins over `.env`, and both win over the file, `[[feed]]` included (`wsadapter.config.feeds`). An
unknown WEBSOCKET_* name is an error; names of the other two prefixes may belong to other programs, and those that look
like one of ours are warned about (`near_names`). Every message names a variable, never a value.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from wsadapter.config.convert import Errors
from wsadapter.config.dotenv import read_dotenv

PREFIX: Final = "WEBSOCKET_"
ENABLED: Final = "WEBSOCKET_ENABLED"
EXCHANGES: Final = "WEBSOCKET_EXCHANGES"
SYMBOLS: Final = "WEBSOCKET_SYMBOLS"

FEED_VARIABLES: Final[Mapping[str, str]] = {
    "symbols": SYMBOLS,
    "streams": "WEBSOCKET_STREAMS",
    "intervals": "WEBSOCKET_INTERVALS",
    "depth_levels": "WEBSOCKET_DEPTH_LEVELS",
    "redundancy": "WEBSOCKET_REDUNDANCY",
    "testnet": "WEBSOCKET_USE_TESTNET",
    "ws_url": "WEBSOCKET_WS_URL",
    "rest_url": "WEBSOCKET_REST_URL",
    "reconnect_backoff": "WEBSOCKET_RECONNECT_BACKOFF",
    "max_reconnects": "WEBSOCKET_MAX_RECONNECTS",
    "ping_interval": "WEBSOCKET_PING_INTERVAL",
    "read_buffer_size": "WEBSOCKET_READ_BUFFER_SIZE",
    "write_buffer_size": "WEBSOCKET_WRITE_BUFFER_SIZE",
}
"""Field of a feed -> the variable that sets it."""

SECTION_VARIABLES: Final[Mapping[str, str]] = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.bootstrap_servers",
    "KAFKA_SECURITY_PROTOCOL": "kafka.security_protocol",
    "KAFKA_SASL_MECHANISM": "kafka.sasl_mechanism",
    "KAFKA_SASL_USERNAME": "kafka.sasl_username",
    "KAFKA_SASL_PASSWORD": "kafka.sasl_password",
    "KAFKA_SASL_PASSWORD_FILE": "kafka.sasl_password_file",
    "KAFKA_SSL_CA": "kafka.ssl_ca",
    "KAFKA_SSL_CERTIFICATE": "kafka.ssl_certificate",
    "KAFKA_SSL_KEY": "kafka.ssl_key",
    "KAFKA_SSL_KEY_PASSWORD_FILE": "kafka.ssl_key_password_file",
    "CLICKHOUSE_URL": "clickhouse.url",
    "CLICKHOUSE_CLUSTER": "clickhouse.cluster",
    "CLICKHOUSE_DATABASE": "clickhouse.database",
    "CLICKHOUSE_USER": "clickhouse.user",
    "CLICKHOUSE_PASSWORD": "clickhouse.password",
    "CLICKHOUSE_PASSWORD_FILE": "clickhouse.password_file",
    "CLICKHOUSE_CA": "clickhouse.ca",
    "CLICKHOUSE_CERTIFICATE": "clickhouse.certificate",
    "CLICKHOUSE_KEY": "clickhouse.key",
}
"""Variable -> the key it sets."""
SECRETS: Final = ("KAFKA_SASL_PASSWORD", "CLICKHOUSE_PASSWORD")
"""Variables whose value is a password: no child process inherits them."""

_KNOWN: Final = (ENABLED, EXCHANGES, *FEED_VARIABLES.values())
_LISTS: Final = ("symbols", "streams", "intervals")
_NUMBERS: Final = ("max_reconnects", "read_buffer_size", "write_buffer_size", "depth_levels", "redundancy")
_TRUE: Final = ("true", "1", "yes", "on")
_FALSE: Final = ("false", "0", "no", "off")
NEAR: Final = 0.75
"""How alike a name is to one of ours, at least, to be warned about (KAFKA_BOOTSTRAP is 0.79)."""


class Environment(Struct, frozen=True):
    """``feed``: fields as a TOML file would have them. ``exchanges``: None = not named. ``overrides``: key -> value of
    the other sections. ``origins``: variable -> how its origin is told."""

    enabled: bool = True
    exchanges: tuple[str, ...] | None = None
    feed: dict[str, Any] = {}
    overrides: dict[str, str] = {}
    origins: dict[str, str] = {}

    @property
    def says_feeds(self) -> bool:
        return bool(self.feed) or self.exchanges is not None


def read(environ: Mapping[str, str], dotenv: str | None, errors: Errors) -> Environment:
    """The environment over `.env`. An empty value is as good as none (compose files write them)."""
    kept = read_dotenv(dotenv, errors)
    found = {**kept, **environ}
    for name in sorted(found):
        if name.startswith(PREFIX) and name not in _KNOWN:
            close = difflib.get_close_matches(name, _KNOWN, 1)
            hint = f", did you mean {close[0]}?" if close else ""
            errors.add(name, f"unknown variable{hint}; known: {' '.join(_KNOWN)}")
    values = {
        name: value if name in SECRETS else value.strip()
        for name, value in found.items()
        if (name in _KNOWN or name in SECTION_VARIABLES) and value.strip()
    }
    return Environment(
        _boolean(ENABLED, values.get(ENABLED, "true"), errors),
        _split(values[EXCHANGES]) if EXCHANGES in values else None,
        {field: _plain(field, name, values[name], errors) for field, name in FEED_VARIABLES.items() if name in values},
        {key: values[name] for name, key in SECTION_VARIABLES.items() if name in values},
        {name: f"environment {name}" if name in environ else f".env {name}" for name in values},
    )


def near_names(environ: Mapping[str, str], dotenv: str | None = ".env") -> list[tuple[str, str]]:
    """(variable, the one of ours that it looks like): it is not read, and who set it may believe that it is."""
    names: Iterable[str] = {**read_dotenv(dotenv, Errors()), **environ}
    strangers = sorted(n for n in names if n.startswith(("KAFKA_", "CLICKHOUSE_")) and n not in SECTION_VARIABLES)
    close = ((name, difflib.get_close_matches(name, SECTION_VARIABLES, 1, NEAR)) for name in strangers)
    return [(name, matches[0]) for name, matches in close if matches]


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
