"""The model of the configuration: one frozen tree, its sections and keys with their types and defaults.

What one value must be is its type (`wsadapter.config.types`); rules between values are checked where the tree is read
(`wsadapter.config.load`). Nothing here reads a file or the environment.
"""

from collections.abc import Collection
from typing import Annotated, Final

from msgspec import Meta, Struct, structs

from wsadapter.config import types as t

KIB: Final = 1024
MIB: Final = 1024 * KIB

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
BufferSize = Annotated[int, Meta(ge=KIB, le=64 * MIB)]
Settings = dict[str, str | int | float | bool]

DEFAULT_EXCHANGE: Final = "binance"
"""Of an environment, or a program, that names symbols only."""
DEFAULT_STREAMS: Final = ("kline", "ticker", "depth", "trade", "mark_price", "funding_rate")
ROLES: Final = ("ingest", "serializer", "consumer", "repairer", "monitor", "kafka", "clickhouse", "exchange")
COUNTED_ROLES: Final = ("serializer", "consumer")
SWITCHED_ROLES: Final = ("repairer",)
TABLES: Final = (*(s for s in t.STREAMS if s != "raw_trade"), "gap", "coverage", "rejected", "instrument")


class ServiceConfig(Struct, frozen=True):
    """``instance`` names the shared memory and the members of the consumer group; by default it is kept in the state
    directory (`wsadapter.config.instance`). ``log_format``: auto is text on a terminal and in systemd's journal, JSON
    elsewhere. ``shard``: which part of the symbols is recorded here (`wsadapter.config.shards`)."""

    instance: t.Instance
    state_dir: t.Directory
    log_format: t.LogFormat = "auto"
    log_level: t.LogLevel = "info"
    drain_seconds: Annotated[t.Duration, Meta(ge=1, le=3600)] = 20.0
    shard: t.ShardText = ""


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
    """What to record of one exchange. ``symbols``: names, or rules (`wsadapter.config.symbol_rules`) over a listing,
    asked for each ``listing_refresh`` seconds. ``depth_levels`` 0 = diffs; then a whole book is kept each
    ``snapshot_interval`` seconds (0: never): asked for where the venue's joins the diffs, else made of them."""

    name: t.FeedName
    exchange: t.Exchange
    symbols: Annotated[tuple[t.Symbol, ...], Meta(min_length=1)]
    streams: tuple[t.Stream, ...] = DEFAULT_STREAMS
    intervals: tuple[t.Interval, ...] = ("1m",)
    depth_levels: t.DepthLevels = 20
    depth_speed: t.DepthSpeed = "100ms"
    snapshot_interval: Annotated[t.Duration, Meta(ge=0, le=86_400)] = 300.0
    redundancy: Annotated[int, Meta(ge=1, le=4)] = 1
    testnet: bool = False
    ws_url: t.WebSocketUrl = ""
    rest_url: t.RestUrl = ""
    listing_refresh: Annotated[t.Duration, Meta(ge=1, le=86_400)] = 600.0


class RingConfig(Struct, frozen=True):
    capacity_bytes: Annotated[t.PowerOfTwo, Meta(ge=64 * KIB, le=4 * KIB * MIB)] = 64 * MIB


class SpoolConfig(Struct, frozen=True):
    """``path`` defaults to ``spool`` in the state directory."""

    path: t.FilePath = ""
    max_bytes: Annotated[int, Meta(ge=MIB, le=MIB * MIB)] = 10 * KIB * MIB


class KafkaConfig(Struct, frozen=True):
    """``security_protocol`` to ``ssl_key_password_file`` are for every client of a run and of the commands.
    ``producer`` and ``consumer`` are passed to librdkafka."""

    bootstrap_servers: t.Bootstrap = "127.0.0.1:9092"
    topic_prefix: t.TopicPrefix = "websocket."
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 4
    replication_factor: Annotated[int, Meta(ge=1, le=32)] = 1
    retention_hours: Count = 168
    security_protocol: t.SecurityProtocol = ""
    sasl_mechanism: t.SaslMechanism = ""
    sasl_username: t.OptionalUser = ""
    sasl_password_file: t.SecretFile = ""
    ssl_ca: t.ReadableFile = ""
    ssl_certificate: t.ReadableFile = ""
    ssl_key: t.ReadableFile = ""
    ssl_key_password_file: t.SecretFile = ""
    producer: Settings = {}
    consumer: Settings = {}
    sasl_password: t.EnvironmentSecret = t.Secret()
    secrets_digest: t.Digest = ""
    """Of the content of the files named here: after a rotation the clients concerned are started again."""


class ClickHouseConfig(Struct, frozen=True):
    url: t.HttpUrls = "http://127.0.0.1:8123"
    cluster: t.ClusterName = ""
    database: t.Identifier = "market"
    user: t.User = "default"
    password_file: t.SecretFile = ""
    ca: t.ReadableFile = ""
    certificate: t.ReadableFile = ""
    key: t.ReadableFile = ""
    batch_rows: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    batch_bytes: Annotated[int, Meta(ge=64 * KIB, le=KIB * MIB)] = 32 * MIB
    batch_seconds: Annotated[t.Duration, Meta(ge=0.01, le=60)] = 1.0
    open_candles: bool = False
    migrate: bool = False
    """At the start tables of an earlier version are brought to this one, instead of being refused."""
    ttl_days: dict[str, Annotated[int, Meta(ge=1, le=36_500)]] = {}
    password: t.EnvironmentSecret = t.Secret()
    secrets_digest: t.Digest = ""


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


class RecordConfig(Struct, frozen=True):
    """The flight recorder: raw frames beside the pipeline. ``path`` defaults to ``recordings`` in the state directory;
    ``feeds``: names, none = all. Bytes and seconds."""

    mode: t.RecordMode = "off"
    path: t.FilePath = ""
    feeds: tuple[t.FeedName, ...] = ()
    max_bytes: Annotated[int, Meta(ge=MIB, le=MIB * MIB)] = KIB * MIB
    max_age: Annotated[t.Duration, Meta(ge=1, le=3660 * 86_400)] = 7 * 86_400.0
    before: Annotated[t.Duration, Meta(ge=1, le=3600)] = 30.0
    after: Annotated[t.Duration, Meta(ge=1, le=3600)] = 10.0
    buffer_bytes: Annotated[int, Meta(ge=MIB, le=KIB * MIB)] = 16 * MIB

    def is_of(self, feed: str) -> bool:
        return self.mode != "off" and (not self.feeds or feed in self.feeds)


class Config(Struct, frozen=True):
    service: ServiceConfig
    feed: tuple[Feed, ...] = ()
    ring: RingConfig = RingConfig()
    spool: SpoolConfig = SpoolConfig()
    kafka: KafkaConfig = KafkaConfig()
    clickhouse: ClickHouseConfig = ClickHouseConfig()
    monitor: MonitorConfig = MonitorConfig()
    restart: RestartConfig = RestartConfig()
    record: RecordConfig = RecordConfig()
    process: dict[str, ProcessConfig] = {}

    def process_of(self, role: str) -> ProcessConfig:
        return self.process.get(role, ProcessConfig())

    def with_secrets_of(self, services: Collection[str]) -> "Config":
        """For a process that reaches these services (kafka, clickhouse) and no other."""
        kafka, clickhouse = self.kafka, self.clickhouse
        if "kafka" not in services:
            kafka = structs.replace(kafka, sasl_password=t.Secret())
        if "clickhouse" not in services:
            clickhouse = structs.replace(clickhouse, password=t.Secret())
        return structs.replace(self, kafka=kafka, clickhouse=clickhouse)
