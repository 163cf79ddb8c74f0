"""The checked leaf types of the configuration: what one value must be, whatever key it stands under.

A type carries its check in `msgspec.Meta.extra`: a function that returns the value to keep (normalised) or raises
`ValueError` with a message for the operator. A message never repeats a value that may hold a secret (URLs, pass-through
settings); words are repeated, cut short. Knows no section and no key: those are in `wsadapter.config.model`.
"""

import ipaddress
import os
import re
import stat
from collections.abc import Callable
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta, Struct

from wsadapter.config import symbol_rules
from wsadapter.config.shards import Shard
from wsadapter.text import shown as shown
from wsadapter.times import UNITS as UNITS
from wsadapter.times import duration as duration

INTERVALS: Final = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
STREAMS: Final = (
    *("kline", "ticker", "depth", "trade", "funding_rate", "mark_price", "liquidation", "book_ticker"),
    *("open_interest", "raw_trade"),
)
"""Said here again, not imported: the supervisor reads its configuration and knows no market data. A test compares."""
DEPTH_LEVELS: Final = (0, 5, 10, 20)
PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI")
MAX_SECRET_BYTES: Final = 4096


class Secret(Struct, frozen=True):
    """A password that the environment gave. It has no text of its own: no message, log line or listing can show it."""

    value: str = ""

    def __repr__(self) -> str:
        return "Secret(***)" if self.value else "Secret()"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self.value)


def words(value: tuple[str, ...]) -> str:
    return " ".join(value)


def loopback(host: str) -> bool:
    """Whether ``host`` is this machine and nothing else. A name other than localhost is not trusted to be."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address(text: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port``."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:9464")
    if not colon or not re.fullmatch(r"[A-Za-z0-9._:%-]{1,253}", host) or not re.fullmatch(r"[0-9]{1,5}", port):
        raise ValueError("must be host:port")
    if not 1 <= int(port) <= 65535:
        raise ValueError("the port must be 1 to 65535")
    return host, int(port)


def _one_of(allowed: tuple[str, ...], what: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"unknown {what} {shown(value)}, must be one of: {words(allowed)}")
        return value

    return check


def _matching(pattern: str, says: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"{shown(value)} is not allowed: {says}")
        return value

    return check


def checked_symbol(value: str) -> str:
    """A symbol, or a rule over symbols; `ValueError` for what no venue could have."""
    if not value:
        raise ValueError("empty")
    if len(value) > 64:
        raise ValueError("longer than 64 characters")
    # also format characters and lone surrogates: a symbol travels into logs, URLs, keys and labels
    if not value.isprintable() or any(c.isspace() for c in value):
        raise ValueError(f"{shown(value)} holds white space or control characters")
    if any(c in value for c in "\"'\\,"):
        raise ValueError(f"{shown(value)} holds a quote, a backslash or a comma")
    return symbol_rules.checked(value)


def _depth_levels(value: int) -> int:
    if value not in DEPTH_LEVELS:
        raise ValueError("must be 5, 10 or 20 (snapshots of the top levels) or 0 (diffs)")
    return value


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError("must be a power of two")
    return value


def _url(value: str, schemes: tuple[str, ...]) -> SplitResult:
    # nothing of the URL is repeated in a message: it may hold a password
    if not value.isprintable() or any(c.isspace() for c in value):
        raise ValueError("not a URL: white space or control characters")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("not a URL") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(s + '://' for s in schemes)}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds credentials: name the user and the password file in keys of their own")
    if not parts.hostname or port == 0:
        raise ValueError("not a URL: no host" if not parts.hostname else "not a URL: port 0")
    if parts.query or parts.fragment:
        raise ValueError("must not hold a query or a fragment")
    return parts


def _venue_url(secure: str, plain: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not value:
            return ""
        parts = _url(value, (secure, plain))
        if parts.scheme == plain and not loopback(parts.hostname or ""):
            raise ValueError(f"{plain}:// is for loopback only, use {secure}://")
        return value.rstrip("/")

    return check


def _http_url(value: str) -> str:
    _url(value, ("http", "https"))
    return value.rstrip("/")


def _listen(value: str) -> str:
    address(value)
    return value


def _bootstrap(value: str) -> str:
    if "@" in value:
        raise ValueError("holds credentials: use kafka.sasl_password_file")
    for server in value.split(","):
        try:
            address(server.strip())
        except ValueError as error:
            raise ValueError(f"{error} (several are separated by commas)") from None
    return ",".join(server.strip() for server in value.split(","))


def _path(value: str) -> str:
    if not value:
        return ""
    if "\0" in value or len(value) > 4096:
        raise ValueError("not a path")
    return os.path.abspath(os.path.expanduser(value))


def _directory(value: str) -> str:
    if not value:
        raise ValueError("empty")
    path = _path(value)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise ValueError("is there and is not a directory")
    return path


def _readable_file(value: str) -> str:
    if not (path := _path(value)):
        return ""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise ValueError("is not a file")
    if not os.access(path, os.R_OK):
        raise ValueError("cannot be read: Permission denied")
    return path


def _secret_file(value: str) -> str:
    """The path alone is kept: who needs the secret reads it, and it never enters the configuration."""
    if path := _readable_file(value):
        with open(path, "rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        if len(content) > MAX_SECRET_BYTES:
            raise ValueError(f"larger than {MAX_SECRET_BYTES} bytes")
        try:
            content.decode()
        except UnicodeDecodeError:
            raise ValueError("not UTF-8") from None
    return path


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or "\0" in value or len(value.encode("utf-8", "replace")) > MAX_SECRET_BYTES:
        raise ValueError("must be text without NUL, at most 4096 bytes")
    return Secret(value)


def _upper(allowed: tuple[str, ...], what: str) -> Callable[[str], str]:
    check = _one_of(("", *allowed), what)
    return lambda value: check(value.upper())


def _feed_name(value: str) -> str:
    _matching(r"[a-z0-9][a-z0-9_-]{0,31}", "1 to 32 of a-z 0-9 _ -, - and _ not first")(value)
    if (first := value.partition("-")[0]) in ("stats", "marks"):
        raise ValueError(f"{first} is taken: there are segments of that name")
    return value


def _shard(value: str) -> str:
    Shard.parse(value)
    return value


def _cpu(value: int) -> int:
    count = os.cpu_count() or 1
    if not 0 <= value < count:
        raise ValueError(f"no such CPU here, there are 0 to {count - 1}")
    return value


def _checked(check: Callable[[Any], Any]) -> Meta:
    return Meta(extra={"check": check})


def _log_level(value: str) -> str:
    return _one_of(("debug", "info", "warning", "error", "critical"), "level")(value.lower())


Duration = Annotated[float, Meta(extra={"before": duration})]
"""Seconds; written as a number or as text with a unit."""
EXCHANGE: Final = r"[a-z][a-z0-9_]{0,31}"
Exchange = Annotated[str, _checked(_matching(EXCHANGE, "must be a word of a-z, digits and _"))]
"""Which there are, says who loads a configuration: a venue may be somebody else's package."""
Stream = Annotated[str, _checked(_one_of(STREAMS, "stream"))]
Interval = Annotated[str, _checked(_one_of(INTERVALS, "interval"))]
Symbol = Annotated[str, _checked(checked_symbol)]
"""Or a rule, see `wsadapter.config.symbol_rules`."""
DepthLevels = Annotated[int, _checked(_depth_levels)]
DepthSpeed = Annotated[str, _checked(_matching(r"[A-Za-z0-9_.-]{0,16}", "letters, digits, . _ - only"))]
FeedName = Annotated[str, _checked(_feed_name)]
Instance = Annotated[str, _checked(_matching(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", "1 to 32 of A-Z a-z 0-9 _ -"))]
ShardText = Annotated[str, _checked(_shard)]
LogFormat = Annotated[str, _checked(_one_of(("auto", "json", "console"), "format"))]
RecordMode = Annotated[str, _checked(_one_of(("off", "all", "around"), "mode"))]
LogLevel = Annotated[str, _checked(_log_level)]
PowerOfTwo = Annotated[int, _checked(_power_of_two)]
WebSocketUrl = Annotated[str, _checked(_venue_url("wss", "ws"))]
RestUrl = Annotated[str, _checked(_venue_url("https", "http"))]
HttpUrl = Annotated[str, _checked(_http_url)]
HttpUrls = Annotated[str, Meta(extra={"several": HttpUrl})]
"""One or several; with commas between them."""
Listen = Annotated[str, _checked(_listen)]
Bootstrap = Annotated[str, _checked(_bootstrap)]
TopicPrefix = Annotated[str, _checked(_matching(r"[A-Za-z0-9._-]{0,200}", "letters, digits, . _ - only"))]
Identifier = Annotated[str, _checked(_matching(r"[A-Za-z_][A-Za-z0-9_]{0,63}", "must be [A-Za-z_][A-Za-z0-9_]{0,63}"))]
ClusterName = Annotated[str, _checked(_matching(r"[A-Za-z0-9_.{}-]{0,64}", "letters, digits, . _ - { } only"))]
User = Annotated[str, _checked(_matching(r"[^\s\x00-\x1f\x7f]{1,128}", "no white space, no control characters"))]
FilePath = Annotated[str, _checked(_path)]
Directory = Annotated[str, _checked(_directory)]
SecretFile = Annotated[str, _checked(_secret_file)]
ReadableFile = Annotated[str, _checked(_readable_file)]
SecurityProtocol = Annotated[str, _checked(_upper(PROTOCOLS, "protocol"))]
SaslMechanism = Annotated[str, _checked(_upper(MECHANISMS, "mechanism"))]
OptionalUser = Annotated[str, _checked(_matching(r"[^\x00-\x1f\x7f]{0,256}", "no control characters"))]
INTERNAL: Final = "internal"
"""Marks a field that no file sets: the environment does, or the loader itself."""
EnvironmentSecret = Annotated[Secret, Meta(extra={"before": _secret, INTERNAL: True})]
Digest = Annotated[str, Meta(extra={INTERNAL: True})]
Cpu = Annotated[int, _checked(_cpu)]
