"""What [kafka.producer] and [kafka.consumer] may not set: the rest is passed to librdkafka as it is.

The delivery promise rests on a handful of librdkafka settings; a passing line in a file must not be able to weaken it.
Secrets come by file only, and nothing here turns certificate checks off. TOML reads an unquoted `linger.ms = 5` as
nested tables, so those are joined back to librdkafka's dotted names.

What remains librdkafka itself is asked about, in a process of its own (`wsadapter.config.librdkafka_probe`): a misspelt
key would else be found by a child, after the start. That process keeps librdkafka's threads and memory out of the
supervisor, and costs nothing where nothing is passed through.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from wsadapter.config import kafka_security, secrets
from wsadapter.config.convert import Errors, join
from wsadapter.config.model import KafkaConfig
from wsadapter.config.types import Secret

TIMEOUT_SECONDS: Final = 20.0
_PROMISE: Final = "refused, the delivery promise rests on it"
_OWN_KEY: Final = "refused, set kafka.bootstrap_servers"
_SECRET: Final = "refused, secrets come by file only (kafka.sasl_password_file, ssl.key.location)"
_TLS: Final = "refused, certificates and host names are always checked"
_CODE: Final = "refused, no code is loaded or called by configuration"
_TOPIC: Final = "topic."
"""librdkafka ignores it in front of a topic setting."""
_SHELL: Final = "sasl.kerberos."
_PLAIN: Final = re.compile(r"[\w@./:+=,-]*", re.ASCII)
_SHELL_WORD: Final = "refused, a shell reads it (kinit): letters, digits and @ . / : + = , - _ only"

_BOTH: Final[Mapping[str, str]] = {
    **dict.fromkeys(("bootstrap.servers", "metadata.broker.list"), _OWN_KEY),
    "sasl.oauthbearer.config": _SECRET,
    **dict.fromkeys(("enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm"), _TLS),
    **dict.fromkeys(("plugin.library.paths", "ssl.engine.location", "ssl.providers"), _CODE),
    "sasl.kerberos.kinit.cmd": _CODE,
    **dict.fromkeys(("opaque", "default_topic_conf", "default.topic.config", "logger"), _CODE),
    "test.mock.num.brokers": "refused, use --embedded",
}
_PRODUCER: Final = (
    *("acks", "request.required.acks", "enable.idempotence", "message.timeout.ms", "delivery.timeout.ms"),
    *("partitioner", "retries", "message.send.max.retries", "delivery.report.only.error", "transactional.id"),
    *("max.in.flight", "max.in.flight.requests.per.connection", "queuing.strategy", "enable.gapless.guarantee"),
    *("transaction.timeout.ms", "allow.auto.create.topics", "produce.offset.report", "request.timeout.ms"),
)
_CONSUMER: Final = (
    *("enable.auto.commit", "auto.commit.enable", "auto.commit.interval.ms", "enable.auto.offset.store"),
    *("group.id", "group.instance.id", "group.protocol", "group.remote.assignor", "auto.offset.reset"),
    *("isolation.level", "partition.assignment.strategy", "enable.partition.eof", "check.crcs"),
    *("offset.store.method", "allow.auto.create.topics"),
)
REFUSED: Final[Mapping[str, Mapping[str, str]]] = {
    "producer": {**dict.fromkeys(_PRODUCER, _PROMISE), **_BOTH},
    "consumer": {**dict.fromkeys(_CONSUMER, _PROMISE), **_BOTH},
}


def checked(kafka: Mapping[str, Any], errors: Errors) -> dict[str, Any]:
    """The [kafka] section with its two pass-through tables joined and searched for what may not be set."""
    sides = {side: _flattened(kafka[side]) for side in REFUSED if side in kafka}
    for side, settings in sides.items():
        if isinstance(settings, dict):
            _refuse(side, settings, errors)
    return {**kafka, **sides}


def _flattened(table: Any) -> Any:
    """``{"linger": {"ms": 5}}`` as ``{"linger.ms": 5}``; what is no table is left for the type check."""
    if not isinstance(table, dict):
        return table
    flat: dict[str, Any] = {}
    stack: list[tuple[str, dict[str, Any]]] = [("", table)]
    while stack:
        prefix, current = stack.pop()
        for key, value in current.items():
            name = f"{prefix}.{key}" if prefix else key
            if isinstance(value, dict):
                stack.append((name, value))
            else:
                flat[name] = value
    return flat


def refusal(side: str, key: str) -> str:
    """Why this key may not be set; empty when it may."""
    name = key.removeprefix(_TOPIC)
    if secrets.is_secret(name):
        return _SECRET
    return REFUSED[side].get(name) or (_CODE if name.endswith(("_cb", ".cb")) else "")


def _refuse(side: str, settings: Mapping[str, object], errors: Errors) -> None:
    for key, value in settings.items():
        if reason := refusal(side, key):
            errors.add(join(f"kafka.{side}", key), reason)
        elif key.removeprefix(_TOPIC).startswith(_SHELL) and not _PLAIN.fullmatch(str(value)):
            errors.add(join(f"kafka.{side}", key), _SHELL_WORD)


def ask(kafka: KafkaConfig, is_secured: bool, errors: Errors) -> None:
    """Notes what librdkafka refuses of the pass-through tables and of the security settings (a certificate that is
    none, a key with another passphrase), with its own words. What we refuse ourselves is left out: it may be a secret,
    and librdkafka quotes values. ``is_secured``: the security settings are complete, and worth its opinion."""
    shared = kafka_security.settings(kafka) if is_secured else {}
    tables = {
        side: {
            key: value
            for key, value in getattr(kafka, side).items()
            if not refusal(side, key) and (is_secured or not kafka_security.of_table({key: value}))
        }
        for side in kafka_security.SIDES
    }
    if not any(tables.values()) and not shared:
        return
    passphrase = {}
    if kafka.ssl_key and kafka.ssl_key_password_file:
        passphrase["ssl.key.password"] = secrets.password(
            Secret(), kafka.ssl_key_password_file, "kafka.ssl_key_password_file"
        )
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "wsadapter.config.librdkafka_probe"],
            input=json.dumps({side: {**table, **shared, **passphrase} for side, table in tables.items()}).encode(),
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        errors.add("kafka", "librdkafka could not be asked about [kafka.producer] and [kafka.consumer]")
        return
    own = {name: f"kafka.{key}" for key, name in kafka_security.KEYS.items() if name in shared}
    own["ssl.key.password"] = "kafka.ssl_key_password_file"
    for path, message in json.loads(answer.stdout):
        errors.add(own.get(path.split(".", 2)[-1], path), message)
