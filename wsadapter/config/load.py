"""The configuration: one frozen tree, read in one place, checked as a whole.

`load` reads the TOML file and the environment (command line over environment over file over default), refuses unknown
keys and raises one `ConfigError` with every error and its key path. What it returns is complete: durations are seconds,
paths are absolute, and no secret is in it (passwords are named by file). Children get it as JSON and load nothing.
"""

import os
import re
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from wsadapter.config import instance, librdkafka, venues
from wsadapter.config import sources as environment
from wsadapter.config import types as t
from wsadapter.config.convert import Errors, build, join, table, unknown_keys
from wsadapter.config.model import COUNTED_ROLES, DEFAULT_STREAMS, ROLES, SWITCHED_ROLES, TABLES, RestartConfig
from wsadapter.config.model import ClickHouseConfig as ClickHouseConfig
from wsadapter.config.model import Config as Config
from wsadapter.config.model import Feed as Feed
from wsadapter.config.model import KafkaConfig as KafkaConfig
from wsadapter.config.model import ProcessConfig as ProcessConfig
from wsadapter.config.model import ServiceConfig as ServiceConfig
from wsadapter.config.sources import read_file
from wsadapter.errors import ConfigError


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
