"""The configuration is read here, in one place, and checked as a whole.

`load` reads the TOML file and the environment (command line over environment over file over default), refuses unknown
keys and raises one `ConfigError` with every error and its key path. What it returns is complete: durations are seconds
and paths are absolute. Passwords are named by file; one that the environment gave is in it as a masked `Secret`, for
the child processes that need it, which get the configuration as JSON and load nothing. `load_with_origins` also says
where each value came from.
"""

import os
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from wsadapter.config import clickhouse_security, environment, instance, kafka_security, librdkafka, secrets
from wsadapter.config import types as t
from wsadapter.config.convert import Errors, build, join, settable, table, unknown_keys
from wsadapter.config.document import read_file
from wsadapter.config.feeds import ANY, Exchanges, feeds
from wsadapter.config.model import (
    COUNTED_ROLES,
    ROLES,
    SWITCHED_ROLES,
    TABLES,
    Config,
    Feed,
    ProcessConfig,
    RecordConfig,
    RestartConfig,
)
from wsadapter.errors import ConfigError

FILE, LINE, DEFAULT = "file", "command line", "default"


class Loaded(Struct, frozen=True):
    """``origins``: key path -> where its value came from; what is not there is a default."""

    config: Config
    origins: Mapping[str, str]


def load(
    path: str | None,
    environ: Mapping[str, str],
    *,
    dotenv: str | None = ".env",
    demo: bool = False,
    overrides: Mapping[str, Any] | None = None,
    exchanges: Exchanges = ANY,
) -> Config:
    """The checked configuration. ``demo``: a missing feed is no error, the caller adds one. ``overrides``: dotted key
    -> value of the command line. ``exchanges``: those that this version has. Raises `ConfigError` with
    everything that is wrong."""
    return load_with_origins(path, environ, dotenv=dotenv, demo=demo, overrides=overrides, exchanges=exchanges).config


def load_with_origins(
    path: str | None,
    environ: Mapping[str, str],
    *,
    dotenv: str | None = ".env",
    demo: bool = False,
    overrides: Mapping[str, Any] | None = None,
    exchanges: Exchanges = ANY,
) -> Loaded:
    """The same, and where each value came from."""
    errors = Errors()
    document = read_file(path, errors) if path is not None else {}
    unknown_keys(document, Config.__struct_fields__, "", errors)
    _refuse_secrets(document, errors)
    origins = dict.fromkeys(_leaves(document), FILE)
    env = environment.read(environ, dotenv, errors)
    # dotted key -> what the operator calls it: an error in KAFKA_BOOTSTRAP_SERVERS must not be looked for in the file
    sources = {key: name for name, key in environment.SECTION_VARIABLES.items() if key in env.overrides}
    for key, value in {**env.overrides, **(overrides or {})}.items():
        _set(document, key, value, errors)
        origins[key] = env.origins[sources[key]] if key in sources else LINE
    for key in overrides or ():
        origins[key] = LINE
    _defaults(document, environ, errors, origins)
    values: dict[str, Any] = {
        field.name: _section(field.type, field.name, document, sources, errors)
        for field in msgspec.structs.fields(Config)
        if field.name not in ("feed", "process")
    }
    if (kafka := values["kafka"]) is not None:
        before = len(errors)
        kafka_security.check(kafka, errors)
        librdkafka.ask(kafka, len(errors) == before, errors)
        values["kafka"] = msgspec.structs.replace(kafka, secrets_digest=secrets.digest(_files(kafka)))
    if (clickhouse := values["clickhouse"]) is not None:
        clickhouse_security.check(clickhouse, errors)
        values["clickhouse"] = msgspec.structs.replace(clickhouse, secrets_digest=secrets.digest(_files(clickhouse)))
    values["feed"] = feeds(document, env, exchanges, errors, origins)
    values["process"] = _processes(document, errors)
    _check_recorded(values["record"], values["feed"], errors)
    if not values["feed"] and not errors and not demo:
        errors.add("feed", "none: give the file a [[feed]], or set WEBSOCKET_SYMBOLS (or run with --demo)")
    if errors:
        raise ConfigError(errors.all())
    config = Config(**values)
    replace, state_dir = msgspec.structs.replace, config.service.state_dir
    spool = replace(config.spool, path=config.spool.path or os.path.join(state_dir, "spool"))
    record = replace(config.record, path=config.record.path or os.path.join(state_dir, "recordings"))
    return Loaded(replace(config, spool=spool, record=record), origins)


def enabled(environ: Mapping[str, str], dotenv: str | None = ".env") -> bool:
    """False when WEBSOCKET_ENABLED says so: then nothing is to be started, whatever else is configured."""
    return environment.read(environ, dotenv, Errors()).enabled


def _check_recorded(record: RecordConfig | None, feeds: Collection[Feed], errors: Errors) -> None:
    """The feeds that are named are there (where feeds are in error, nothing is known)."""
    names = {feed.name for feed in feeds}
    for name in record.feeds if record is not None and names else ():
        if name not in names:
            errors.add("record.feeds", f"no feed is named {t.shown(name)}, only: {t.words(tuple(sorted(names)))}")


def _leaves(document: Any, path: str = "") -> list[str]:
    """The key path of each value of the file."""
    if isinstance(document, dict):
        return [leaf for key, value in document.items() for leaf in _leaves(value, join(path, str(key)))]
    if isinstance(document, list) and path == "feed":
        return [leaf for index, value in enumerate(document) for leaf in _leaves(value, f"{path}[{index}]")]
    return [path]


def _set(document: dict[str, Any], key: str, value: Any, errors: Errors) -> None:
    section, _, name = key.partition(".")
    document[section] = {**table(document.get(section, {}), section, errors), name: value}


def _refuse_secrets(document: dict[str, Any], errors: Errors) -> None:
    """A password is no part of a file that is copied, mailed and kept in version control."""
    for section, key, file, variable in (
        ("kafka", "sasl_password", "sasl_password_file", "KAFKA_SASL_PASSWORD"),
        ("clickhouse", "password", "password_file", "CLICKHOUSE_PASSWORD"),
    ):
        if isinstance(raw := document.get(section), dict) and key in raw:
            document[section] = {name: value for name, value in raw.items() if name != key}
            errors.add(
                f"{section}.{key}", f"refused, a secret comes by file ({section}.{file}) or environment ({variable})"
            )


def _files(section: Struct) -> list[str]:
    """What a section names that may be rotated."""
    names = ("sasl_password_file", "ssl_key_password_file", "ssl_ca", "ssl_certificate", "ssl_key")
    return [getattr(section, name, "") for name in (*names, "password_file", "ca", "certificate", "key")]


def _defaults(document: dict[str, Any], environ: Mapping[str, str], errors: Errors, origins: dict[str, str]) -> None:
    """State directory and instance, which depend on where we run, and the secrets that systemd gives."""
    service = dict(table(document.get("service", {}), "service", errors))
    if "state_dir" not in service:
        systemd = environ.get("STATE_DIRECTORY", "").split(":")[0]
        state_home = environ.get("XDG_STATE_HOME", "")
        origin = "STATE_DIRECTORY" if systemd else "XDG_STATE_HOME" if os.path.isabs(state_home) else "HOME"
        origins["service.state_dir"] = f"environment {origin}"
        if not os.path.isabs(state_home):  # the XDG rule: a relative one is as good as none
            state_home = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local/state")
        service["state_dir"] = systemd or os.path.join(state_home, "wsadapter")
    if "instance" not in service:
        service["instance"] = instance.name_of(os.path.expanduser(str(service["state_dir"]).replace("\0", "")))
        origins["service.instance"] = "state directory"
    document["service"] = service
    given = {"kafka.sasl_password_file": "kafka.sasl_password", "clickhouse.password_file": "clickhouse.password"}
    for key, path in secrets.credentials(environ).items():
        if key not in origins and given.get(key) not in origins:
            _set(document, key, path, errors)
            origins[key] = f"systemd credential {secrets.CREDENTIALS[key]}"


def _section(
    kind: type[Struct], name: str, document: Mapping[str, Any], sources: Mapping[str, str], errors: Errors
) -> Any:
    raw = table(document.get(name, {}), name, errors)
    if name == "kafka":
        raw = librdkafka.checked(raw, errors)
    from_environment = [key for key in raw if f"{name}.{key}" in sources]
    unknown_keys(raw, (*settable(kind), *from_environment), name, errors)
    section = build(kind, raw, lambda field: sources.get(f"{name}.{field}", f"{name}.{field}"), errors)
    if isinstance(section, RestartConfig) and section.backoff_max < section.backoff_min:
        errors.add("restart.backoff_max", "less than restart.backoff_min")
    if name == "clickhouse" and isinstance(days := raw.get("ttl_days"), dict):
        unknown_keys(days, TABLES, "clickhouse.ttl_days", errors)
    return section


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
