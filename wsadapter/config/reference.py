"""What each key is for: one text a key, from which follow `generate config` and docs/configuration.md.

Types, ranges, defaults and variables are read from the model, so that only the words are written here. A test says
which key has none, and when the page is stale.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from wsadapter.config import environment
from wsadapter.config.convert import is_internal
from wsadapter.config.model import Config, Feed, ProcessConfig
from wsadapter.config.types import INTERVALS, MECHANISMS, PROTOCOLS, STREAMS, Duration, words

SECTIONS: Final[Mapping[str, str]] = {
    "service": "The instance, its directory and its log.",
    "feed": "What is recorded. One [[feed]] an exchange, or several with names of their own.",
    "ring": "The shared memory between a connection and its serializer.",
    "spool": "Where records wait on disk while Kafka is away.",
    "kafka": "The broker, the topics, and security for every client (tls-and-sasl.md).",
    "clickhouse": "The tables, and how rows are brought there.",
    "monitor": "HTTP: /metrics /livez /readyz /status and the status page.",
    "restart": "When a child process that ended is started again.",
    "record": "The flight recorder: raw frames in files beside the pipeline, for `replay` (recording.md).",
    "process.<role>": "How the processes of a role run: ingest, serializer, consumer, repairer, monitor, and with "
    "--embedded kafka, clickhouse, exchange.",
}
KEYS: Final[Mapping[str, str]] = {
    "service.instance": "Names the shared memory and the members of the consumer group. Drawn once, kept in state_dir.",
    "service.state_dir": "Small files that outlive a run, and the spool. Default: $STATE_DIRECTORY, "
    "$XDG_STATE_HOME/wsadapter or ~/.local/state/wsadapter.",
    "service.log_format": "auto (text on a terminal and in systemd's journal, JSON elsewhere), json or console.",
    "service.log_level": "debug, info, warning, error or critical.",
    "service.drain_seconds": "How long a stop may take to bring what is under way to its end.",
    "service.shard": "`i/n`: the i-th of n instances that share the symbols of one configuration.",
    "feed.name": "Names the connections. Default: the exchange.",
    "feed.exchange": "The venue's word.",
    "feed.symbols": "In the venue's own text, or rules over its listing: globs, top:N, !excluded.",
    "feed.streams": f"Any of: {words(STREAMS)}.",
    "feed.intervals": f"Of candles. Any of: {words(INTERVALS)}.",
    "feed.depth_levels": "5, 10 or 20: snapshots of so many levels; 0: diffs.",
    "feed.depth_speed": "The venue's own text for how often a book comes.",
    "feed.snapshot_interval": "How often a whole book is kept beside diffs: asked for, or made of them; 0: never.",
    "feed.redundancy": "So many connections carry the same; the first copy of an event counts.",
    "feed.testnet": "The venue's test network.",
    "feed.ws_url": "In place of the venue's address; ws:// on loopback only.",
    "feed.rest_url": "In place of the venue's REST address. With ws_url and without this, gaps are not repaired.",
    "feed.listing_refresh": "How often the listing is asked for, where symbols are rules.",
    "feed.reconnect_backoff": "The first wait after a lost connection; it doubles.",
    "feed.max_reconnects": "Failures in a row after which the process ends and is started again; 0: no limit.",
    "feed.rotate_after": "Longest life of a connection before the next one takes over; 0: an hour less than the venue "
    "allows.",
    "feed.ping_interval": "How often a quiet connection is asked whether it lives.",
    "feed.read_buffer_size": "Bytes of the first read buffer; it grows.",
    "feed.write_buffer_size": "Bytes that may wait to be sent.",
    "ring.capacity_bytes": "Of each ring, a power of two. It is all in memory.",
    "spool.path": "Default: the directory spool in state_dir.",
    "spool.max_bytes": "When it is full, too, the rings overflow: counted, and a gap.",
    "kafka.bootstrap_servers": "host:port, several separated by commas.",
    "kafka.topic_prefix": "In front of each topic. Installations on one Kafka need different ones.",
    "kafka.partitions": "Of a busy topic that is created; quiet ones get one. Topics that exist are left as they are.",
    "kafka.replication_factor": "Of topics that are created.",
    "kafka.retention_hours": "Of topics that are created.",
    "kafka.security_protocol": f"{', '.join(PROTOCOLS)}. Empty: PLAINTEXT.",
    "kafka.sasl_mechanism": f"{', '.join(MECHANISMS)}.",
    "kafka.sasl_username": "Who we are.",
    "kafka.sasl_password_file": "File of the password; KAFKA_SASL_PASSWORD comes first. Default: the systemd "
    "credential kafka.sasl_password.",
    "kafka.ssl_ca": "CA certificates (PEM). Default: the system's.",
    "kafka.ssl_certificate": "Our certificate (PEM).",
    "kafka.ssl_key": "Its key (PEM).",
    "kafka.ssl_key_password_file": "File of the key's passphrase. Default: the systemd credential "
    "kafka.ssl_key_password.",
    "kafka.producer": "A table, passed to librdkafka. What the delivery promise rests on is refused.",
    "kafka.consumer": "A table, passed to librdkafka. What the delivery promise rests on is refused.",
    "clickhouse.url": "http:// or https://. Several, as a list or with commas: the next one is asked when one does not "
    "answer (clickhouse-clusters.md).",
    "clickhouse.cluster": "Tables are created on this cluster: replicated, with Distributed faces "
    "(clickhouse-clusters.md).",
    "clickhouse.database": "Created when it is missing.",
    "clickhouse.user": "Who we are.",
    "clickhouse.password_file": "File of the password; CLICKHOUSE_PASSWORD comes first. Default: the systemd "
    "credential clickhouse.password.",
    "clickhouse.ca": "CA certificates (PEM); no other is trusted then.",
    "clickhouse.certificate": "Our certificate (PEM). Without a password it says who we are.",
    "clickhouse.key": "Its key (PEM), without a passphrase.",
    "clickhouse.batch_rows": "A batch is inserted when it has so many rows,",
    "clickhouse.batch_bytes": "or so many bytes,",
    "clickhouse.batch_seconds": "or is so old: five times as old with fewer than 100 rows, up to 20 s. Above 25 s what "
    "is recorded now is called incomplete.",
    "clickhouse.open_candles": "Table kline also keeps candles that are not closed.",
    "clickhouse.migrate": "At the start tables of an earlier version are brought to this one, not refused.",
    "clickhouse.ttl_days": "A table of table = days; rows older than that are removed. Default: kept.",
    "monitor.listen": "host:port. There is no password: keep it on loopback.",
    "restart.backoff_min": "The first wait before a child is started again that had not run for `period`; it doubles",
    "restart.backoff_max": "up to this.",
    "restart.intensity": "More restarts of one child than this",
    "restart.period": "within so long are a crash loop: it is tried every backoff_max from then on.",
    "record.mode": "off; all: every frame; around: those around a gap or a frame that cannot be decoded.",
    "record.path": "Default: the directory recordings in state_dir.",
    "record.feeds": "Names of the feeds whose frames are kept; none: of all.",
    "record.max_bytes": "Of all recordings together; the oldest go first. Each connection's current file comes on top.",
    "record.max_age": "Recordings older than this go, too.",
    "record.before": "With around: how much is kept in memory, to be written when something happens,",
    "record.after": "and how long everything is written from then on.",
    "record.buffer_bytes": "Memory of each connection for frames that are kept, or that the disk has not taken yet.",
    "process.<role>.count": "How many processes. Only serializer and consumer have a count; repairer: 0 is off.",
    "process.<role>.cpu": "CPUs that they may run on. Default: any.",
    "process.<role>.nice": "Niceness.",
    "process.<role>.lock_memory": "Keep it out of swap; wants LimitMEMLOCK.",
}
_EXAMPLES: Final[Mapping[str, Any]] = {
    "feed.name": "binance",
    "feed.exchange": "binance",
    "feed.symbols": ["BTCUSDT", "ETHUSDT"],
    "service.instance": "recorder-1",
    "service.state_dir": "/var/lib/wsadapter",
}
"""Of keys that have no default, or one that depends on where we run."""
_HEAD: Final = """\
# Configuration

Every key, with its default. This page is printed by `wsadapter-supervisor generate config --markdown`; `generate
config` prints the same as a commented file, `config show` the values of an installation and where each came from,
`validate` checks a file.

The command line comes before the environment (also from a file `.env` in the working directory), that before the file,
that before the default. A variable of a feed sets the key in every `[[feed]]` of an exchange that
`WEBSOCKET_EXCHANGES` names, or of all; where the file has no `[[feed]]`, the variables describe one an exchange.
Durations are seconds or text (`500ms`, `5s`, `2h`, `7d`). Unknown keys are refused.
Passwords: [TLS, SASL and passwords](tls-and-sasl.md).
"""
_TAIL: Final = """
## Environment alone

`WEBSOCKET_ENABLED=false` starts nothing and exits 0. `KAFKA_SASL_PASSWORD` and `CLICKHOUSE_PASSWORD` are passwords
themselves. A `WEBSOCKET_*` that is none of these is refused; a name that looks like one of the other two kinds is
warned about.
"""
_WIDTH: Final = 100
_SHOWN: Final = ("feed.exchange", "feed.symbols")
"""What the example sets: the rest is a comment with its default."""


class Key(Struct, frozen=True):
    """One key: what it is called, may be, is by itself, and is for. ``variable``: of the environment, or empty."""

    section: str
    name: str
    kind: str
    default: Any
    variable: str
    text: str

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}"


def all_keys(exchanges: Sequence[str]) -> list[Key]:
    """All keys of a file, in the order of the model; ``exchanges``: the words that there are."""
    by_key = {key: name for name, key in environment.SECTION_VARIABLES.items()}
    by_key |= {f"feed.{field}": name for field, name in environment.FEED_VARIABLES.items()}
    by_key["feed.exchange"] = environment.EXCHANGES
    texts = {**KEYS, "feed.exchange": f"One of: {words(tuple(exchanges))}."}
    return [
        Key(section, field.name, _kind(field.type), _default(field), by_key.get(path, ""), texts[path])
        for section, kind in _sections()
        for field in msgspec.structs.fields(kind)
        if not is_internal(field.type)
        for path in [f"{section}.{field.name}"]
    ]


def example(exchanges: Sequence[str]) -> str:
    """A configuration file: every key with its default, commented out, and what it is for."""
    lines = ["# Configuration of wsadapter. What is commented out is the default.", ""]
    section = ""
    for key in all_keys(exchanges):
        if key.section != section:
            section = key.section
            lines += ["", *_comment(SECTIONS[section]), _heading(section), ""]
        if key.kind == "table":
            lines += [*_comment(key.text), f"# [{key.path}]"]
            continue
        mark = "" if key.path in _SHOWN else "# "
        value = _EXAMPLES.get(key.path, key.default)
        lines += [*_comment(key.text), f"{mark}{key.name} = {json.dumps(value, ensure_ascii=False)}"]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def page(exchanges: Sequence[str]) -> str:
    """docs/configuration.md."""
    lines = _HEAD.splitlines()
    section = ""
    for key in all_keys(exchanges):
        if key.section != section:
            section = key.section
            lines += ["", f"## `{_heading(section)}`", "", SECTIONS[section], ""]
            lines += ["| key | type | default | environment | what it is for |", "|---|---|---|---|---|"]
        default = "" if key.default is None else f"`{json.dumps(key.default, ensure_ascii=False)}`"
        variable = f"`{key.variable}`" if key.variable else ""
        text = key.text.replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| `{key.name}` | {key.kind} | {default} | {variable} | {text} |")
    lines += _TAIL.splitlines()
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]


def _sections() -> Iterator[tuple[str, type[Struct]]]:
    for field in msgspec.structs.fields(Config):
        if field.name == "feed":
            yield "feed", Feed
        elif field.name == "process":
            yield "process.<role>", ProcessConfig
        else:
            yield field.name, field.type


def _heading(section: str) -> str:
    return "[[feed]]" if section == "feed" else f"[{section.replace('<role>', 'serializer')}]"


def _default(field: Any) -> Any:
    if field.default is NODEFAULT and field.default_factory is NODEFAULT:
        return None
    value = field.default if field.default is not NODEFAULT else field.default_factory()
    return list(value) if isinstance(value, tuple) else value


def _kind(hint: Any) -> str:
    """The type in an operator's words, with its range."""
    plain, *metas = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if any(isinstance(meta, Meta) and "several" in (meta.extra or {}) for meta in metas):
        return "text or list"
    low = next((meta.ge for meta in metas if isinstance(meta, Meta) and meta.ge is not None), None)
    high = next((meta.le for meta in metas if isinstance(meta, Meta) and meta.le is not None), None)
    if get_origin(plain) is tuple:
        return f"list of {_kind(get_args(plain)[0])}"
    if get_origin(plain) is dict:
        return "table"
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    is_duration = any(isinstance(meta, Meta) and meta.extra == get_args(Duration)[1].extra for meta in metas)
    name = "duration" if is_duration else names[plain]
    return f"{name}, {low:,} to {high:,}" if low is not None and high is not None else name
