"""The configuration: one frozen tree, read in one place, checked as a whole.

`load` reads the TOML file and the environment (command line over environment over file over default), refuses unknown
keys and raises one `ConfigError` with every error and its key path. What it returns is complete: durations are seconds,
paths are absolute, and no secret is in it (passwords are named by file). Children get it as JSON and load nothing.
"""

import os
import re
from collections.abc import Collection, Mapping
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from wsadapter.config import instance, librdkafka, venues
from wsadapter.config import sources as environment
from wsadapter.config import types as t
from wsadapter.config.convert import Errors, build, join, table, unknown_keys
from wsadapter.config.sources import read_file
from wsadapter.errors import ConfigError

KIB: Final = 1024
MIB: Final = 1024 * KIB

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
BufferSize = Annotated[int, Meta(ge=KIB, le=64 * MIB)]
Settings = dict[str, str | int | float | bool]

DEFAULT_STREAMS: Final = ("kline", "ticker", "depth", "trade", "mark_price", "funding_rate")
ROLES: Final = ("ingest", "serializer", "consumer", "repairer", "monitor", "kafka", "clickhouse", "exchange")
COUNTED_ROLES: Final = ("serializer", "consumer")
SWITCHED_ROLES: Final = ("repairer",)
TABLES: Final = (*(s for s in t.STREAMS if s != "raw_trade"), "gap", "rejected", "instrument")


class ServiceConfig(Struct, frozen=True):
    """``instance`` names the shared memory and the members of the consumer group; by default it is kept in the state
    directory (`wsadapter.config.instance`). ``shard`` is a free label."""

    instance: t.Instance
    state_dir: t.Directory
    log_format: t.LogFormat = "json"
    log_level: t.LogLevel = "info"
    drain_seconds: Annotated[t.Duration, Meta(ge=1, le=3600)] = 20.0
    shard: t.Shard = ""


class SocketConfig(Struct, frozen=True, kw_only=True):
    """How a connection is kept, of a `[[feed]]` and of a `wsadapter.client.config.ConnectionConfig`; seconds and bytes.
    ``max_reconnects`` 0 = no limit; ``rotate_after``: longest life of a connection before the next one takes over, 0 =
    an hour less than the venue allows."""

    reconnect_backoff: Annotated[t.Duration, Meta(ge=0.01, le=3600)] = 0.5
    max_reconnects: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    rotate_after: Annotated[t.Duration, Meta(ge=0, le=86_400)] = 0.0
    ping_interval: Annotated[t.Duration, Meta(ge=0.1, le=600)] = 10.0
    read_buffer_size: BufferSize = 64 * KIB
    write_buffer_size: BufferSize = 64 * KIB


class Feed(SocketConfig, frozen=True):
    """What to record of one exchange. ``depth_levels`` 0 = diffs."""

    name: t.FeedName
    exchange: t.Exchange
    symbols: Annotated[tuple[t.Symbol, ...], Meta(min_length=1)]
    streams: tuple[t.Stream, ...] = DEFAULT_STREAMS
    intervals: tuple[t.Interval, ...] = ("1m",)
    depth_levels: t.DepthLevels = 20
    depth_speed: t.DepthSpeed = "100ms"
    redundancy: Annotated[int, Meta(ge=1, le=4)] = 1
    testnet: bool = False
    ws_url: t.WebSocketUrl = ""
    rest_url: t.RestUrl = ""


class RingConfig(Struct, frozen=True):
    capacity_bytes: Annotated[t.PowerOfTwo, Meta(ge=64 * KIB, le=4 * KIB * MIB)] = 64 * MIB


class SpoolConfig(Struct, frozen=True):
    """``path`` defaults to ``spool`` in the state directory."""

    path: t.FilePath = ""
    max_bytes: Annotated[int, Meta(ge=MIB, le=MIB * MIB)] = 10 * KIB * MIB


class KafkaConfig(Struct, frozen=True):
    bootstrap_servers: t.Bootstrap = "127.0.0.1:9092"
    topic_prefix: t.TopicPrefix = "websocket."
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 4
    replication_factor: Annotated[int, Meta(ge=1, le=32)] = 1
    retention_hours: Count = 168
    sasl_password_file: t.SecretFile = ""
    producer: Settings = {}
    consumer: Settings = {}


class ClickHouseConfig(Struct, frozen=True):
    url: t.HttpUrl = "http://127.0.0.1:8123"
    database: t.Identifier = "market"
    user: t.User = "default"
    password_file: t.SecretFile = ""
    batch_rows: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    batch_bytes: Annotated[int, Meta(ge=64 * KIB, le=KIB * MIB)] = 32 * MIB
    batch_seconds: Annotated[t.Duration, Meta(ge=0.01, le=60)] = 1.0
    open_candles: bool = False
    migrate: bool = False
    """At the start tables of an earlier version are brought to this one, instead of being refused."""
    ttl_days: dict[str, Annotated[int, Meta(ge=1, le=36_500)]] = {}


class MonitorConfig(Struct, frozen=True):
    listen: t.Listen = "127.0.0.1:9464"


class RestartConfig(Struct, frozen=True):
    """More than ``intensity`` restarts of a child within ``period`` seconds are a crash loop."""

    backoff_min: Annotated[t.Duration, Meta(ge=0.01, le=3600)] = 0.5
    backoff_max: Annotated[t.Duration, Meta(ge=0.01, le=86_400)] = 30.0
    intensity: Annotated[int, Meta(ge=1, le=1000)] = 5
    period: Annotated[t.Duration, Meta(ge=1, le=86_400)] = 60.0


class ProcessConfig(Struct, frozen=True):
    """How the processes of one role run."""

    count: Annotated[int, Meta(ge=0, le=64)] = 1
    cpu: tuple[t.Cpu, ...] = ()
    nice: Annotated[int, Meta(ge=-20, le=19)] = 0
    lock_memory: bool = False


class Config(Struct, frozen=True):
    service: ServiceConfig
    feed: tuple[Feed, ...] = ()
    ring: RingConfig = RingConfig()
    spool: SpoolConfig = SpoolConfig()
    kafka: KafkaConfig = KafkaConfig()
    clickhouse: ClickHouseConfig = ClickHouseConfig()
    monitor: MonitorConfig = MonitorConfig()
    restart: RestartConfig = RestartConfig()
    process: dict[str, ProcessConfig] = {}

    def process_of(self, role: str) -> ProcessConfig:
        return self.process.get(role, ProcessConfig())


def load(
    path: str | None,
    environ: Mapping[str, str],
    *,
    dotenv: str | None = ".env",
    demo: bool = False,
    overrides: Mapping[str, Any] | None = None,
    implemented: Collection[str] = venues.EXCHANGES,
) -> Config:
    """The checked configuration. ``demo``: a missing feed is no error, the caller adds one. ``overrides``: dotted key
    -> value of the command line. ``implemented``: the exchanges that this version has. Raises `ConfigError` with
    everything that is wrong."""
    errors = Errors()
    document = read_file(path, errors) if path is not None else {}
    env = environment.read(environ, dotenv, errors)
    # dotted key -> what the operator calls it: an error in KAFKA_BOOTSTRAP_SERVERS must not be looked for in the file
    sources = {key: name for name, key in environment.OVERRIDES.items() if key in env.overrides}
    for key, value in {**env.overrides, **(overrides or {})}.items():
        section, _, name = key.partition(".")
        document[section] = {**table(document.get(section, {}), section, errors), name: value}
    unknown_keys(document, Config.__struct_fields__, "", errors)
    _defaults(document, environ, errors)
    values: dict[str, Any] = {
        field.name: _section(field.type, field.name, document, sources, errors)
        for field in msgspec.structs.fields(Config)
        if field.name not in ("feed", "process")
    }
    if (kafka := values["kafka"]) is not None:
        librdkafka.ask({"producer": kafka.producer, "consumer": kafka.consumer}, errors)
    values["feed"] = _feeds(document, env, implemented, errors)
    values["process"] = _processes(document, errors)
    if not values["feed"] and not errors and not demo:
        errors.add("feed", "none: give the file a [[feed]], or set WEBSOCKET_SYMBOLS (or run with --demo)")
    if errors:
        raise ConfigError(errors.all())
    config = Config(**values)
    spool = config.spool.path or os.path.join(config.service.state_dir, "spool")
    return msgspec.structs.replace(config, spool=msgspec.structs.replace(config.spool, path=spool))


def enabled(environ: Mapping[str, str], dotenv: str | None = ".env") -> bool:
    """False when WEBSOCKET_ENABLED says so: then nothing is to be started, whatever else is configured."""
    return environment.read(environ, dotenv, Errors()).enabled


def warnings(config: Config) -> list[str]:
    """What is allowed and yet deserves a line at start."""
    messages = []
    if not t.loopback(t.address(config.monitor.listen)[0]):
        messages.append(f"monitor.listen: {config.monitor.listen} is reachable from other machines, without a password")
    url = urlsplit(config.clickhouse.url)
    if config.clickhouse.password_file and url.scheme == "http" and not t.loopback(url.hostname or ""):
        messages.append("clickhouse.url: the password travels over plain http")
    for index, feed in enumerate(config.feed):
        if feed.ws_url and not feed.rest_url:
            messages.append(f"feed[{index}].rest_url: not set beside ws_url, so gaps of this feed are not repaired")
        not_polled = (feed.ws_url and not feed.rest_url) or not config.process_of("repairer").count
        if "open_interest" in feed.streams and not_polled:
            messages.append(f"feed[{index}].streams: open_interest comes by REST, and nobody asks for it")
    return messages


def _defaults(document: dict[str, Any], environ: Mapping[str, str], errors: Errors) -> None:
    """State directory and instance, which depend on where we run."""
    service = dict(table(document.get("service", {}), "service", errors))
    if "state_dir" not in service:
        systemd = environ.get("STATE_DIRECTORY", "").split(":")[0]
        state_home = environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(state_home):  # the XDG rule: a relative one is as good as none
            state_home = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local/state")
        service["state_dir"] = systemd or os.path.join(state_home, "wsadapter")
    if "instance" not in service:
        service["instance"] = instance.name_of(os.path.expanduser(str(service["state_dir"]).replace("\0", "")))
    document["service"] = service


def _section(
    kind: type[Struct], name: str, document: Mapping[str, Any], sources: Mapping[str, str], errors: Errors
) -> Struct | None:
    raw = table(document.get(name, {}), name, errors)
    if name == "kafka":
        raw = librdkafka.checked(raw, errors)
    unknown_keys(raw, kind.__struct_fields__, name, errors)
    section = build(kind, raw, lambda field: sources.get(f"{name}.{field}", f"{name}.{field}"), errors)
    if isinstance(section, RestartConfig) and section.backoff_max < section.backoff_min:
        errors.add("restart.backoff_max", "less than restart.backoff_min")
    if name == "clickhouse" and isinstance(days := raw.get("ttl_days"), dict):
        unknown_keys(days, TABLES, "clickhouse.ttl_days", errors)
    return section


def _feeds(
    document: Mapping[str, Any], env: environment.Environment, implemented: Collection[str], errors: Errors
) -> tuple[Feed, ...]:
    if "feed" not in document:
        return () if env.feed is None else _environment_feeds(env, env.feed, implemented, errors)
    listed = document["feed"]
    if not isinstance(listed, list):
        errors.add("feed", "must be a list of tables: write [[feed]]")
        return ()
    feeds: dict[str, Feed] = {}
    for index, element in enumerate(listed):
        prefix = f"feed[{index}]"
        raw = table(element, prefix, errors)
        unknown_keys(raw, Feed.__struct_fields__, prefix, errors)
        if "name" not in raw and isinstance(raw.get("exchange"), str):
            raw = {**raw, "name": raw["exchange"]}
        feed = _feed(raw, {field: join(prefix, field) for field in Feed.__struct_fields__}, implemented, errors)
        if feed is not None and feed.name in feeds:
            errors.add(f"{prefix}.name", f"{feed.name} is the name of another feed")
        elif feed is not None:
            feeds[feed.name] = feed
    return tuple(feeds.values())


def _environment_feeds(
    env: environment.Environment, values: dict[str, Any], implemented: Collection[str], errors: Errors
) -> tuple[Feed, ...]:
    names = {**dict.fromkeys(Feed.__struct_fields__, environment.EXCHANGES), **environment.FEED_VARIABLES}
    feeds = []
    for index, exchange in enumerate(env.exchanges):
        if exchange in env.exchanges[:index]:
            errors.add(environment.EXCHANGES, f"{t.shown(exchange)} stands there twice")
        feeds.append(_feed({**values, "exchange": exchange, "name": exchange}, names, implemented, errors))
    return tuple(feed for feed in feeds if feed is not None)


def _feed(
    raw: Mapping[str, Any], names: Mapping[str, str], implemented: Collection[str], errors: Errors
) -> Feed | None:
    """One feed with the rules between its fields; ``names`` is what the operator calls them."""
    exchange, symbols = raw.get("exchange"), raw.get("symbols")
    if venues.in_upper_case(exchange) and isinstance(symbols, list | tuple):
        raw = {**raw, "symbols": [s.upper() if isinstance(s, str) else s for s in symbols]}
    if "name" not in raw:
        raw = {**raw, "name": "unnamed"}  # the exchange is missing too, and that is the error to tell
    feed = build(Feed, raw, names.__getitem__, errors)
    if isinstance(exchange, str) and re.fullmatch(t.EXCHANGE, exchange) and exchange not in implemented:
        is_later = exchange in venues.EXCHANGES
        what = "is not implemented yet, only" if is_later else "is an unknown exchange, must be one of"
        errors.add(names["exchange"], f"{exchange} {what}: {t.words(tuple(implemented))}")
    if symbols in ([], ()):
        errors.add(names["symbols"], "none")
    if raw.get("streams") in ([], ()):
        errors.add(names["streams"], "none: leave the key out for the default")
    if raw.get("intervals") in ([], ()) and "kline" in raw.get("streams", DEFAULT_STREAMS):
        errors.add(names["intervals"], "none, and kline needs one")
    return feed


def _processes(document: Mapping[str, Any], errors: Errors) -> dict[str, ProcessConfig]:
    raw = table(document.get("process", {}), "process", errors)
    unknown_keys(raw, ROLES, "process", errors)
    processes: dict[str, ProcessConfig] = {}
    for role in (r for r in ROLES if r in raw):
        prefix = f"process.{role}"
        values = table(raw[role], prefix, errors)
        unknown_keys(values, ProcessConfig.__struct_fields__, prefix, errors)
        process = build(ProcessConfig, values, partial(join, prefix), errors)
        count = values.get("count", 1)
        if role in COUNTED_ROLES and count == 0:
            errors.add(f"{prefix}.count", "must be at least 1")
        elif role in SWITCHED_ROLES and count not in (0, 1):
            errors.add(f"{prefix}.count", "must be 0 (off) or 1")
        elif role not in (*COUNTED_ROLES, *SWITCHED_ROLES) and count != 1:
            errors.add(f"{prefix}.count", f"only {' and '.join(COUNTED_ROLES)} have a count")
        if process is not None:
            processes[role] = process
    return processes
