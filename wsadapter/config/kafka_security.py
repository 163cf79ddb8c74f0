"""The security of Kafka's clients: given once in [kafka], the same for every client.

`settings` is what each client gets beside its own. The older form, the same settings in [kafka.producer] and in
[kafka.consumer], is taken where the two agree: a run has clients of both kinds, and with one of them secured it would
write and never read.
"""

from collections.abc import Mapping
from typing import Any, Final

from wsadapter.config.convert import Errors, join
from wsadapter.config.model import KafkaConfig

KEYS: Final[Mapping[str, str]] = {
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_username": "sasl.username",
    "ssl_ca": "ssl.ca.location",
    "ssl_certificate": "ssl.certificate.location",
    "ssl_key": "ssl.key.location",
}
"""Key of [kafka] -> librdkafka's."""
_ALIASES: Final = {"sasl.mechanisms": "sasl.mechanism"}
_PREFIXES: Final = ("security.", "sasl.", "ssl.")
_PASSWORD_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SIDES: Final = ("producer", "consumer")


def settings(kafka: KafkaConfig) -> dict[str, Any]:
    """What [kafka] says to every client, in librdkafka's words, without the passwords."""
    return {name: value for key, name in KEYS.items() if (value := getattr(kafka, key))}


def of_table(table: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a pass-through table that are about security, each under one name."""
    return {_ALIASES.get(key, key): value for key, value in table.items() if key.startswith(_PREFIXES)}


def effective(kafka: KafkaConfig) -> dict[str, Any]:
    """Both forms together; the tables agree (`check`)."""
    return {**of_table(kafka.producer), **settings(kafka)}


def check(kafka: KafkaConfig, errors: Errors) -> None:
    """The rules between the keys."""
    tables = {side: of_table(getattr(kafka, side)) for side in SIDES}
    own = settings(kafka)
    for side, other in (SIDES, SIDES[::-1]):
        for key, value in tables[side].items():
            path = join(f"kafka.{side}", key)
            if path in errors:
                continue  # nobody may set it
            if key in own and _differ(own[key], value):
                errors.add(path, f"is not what kafka.{_ours(key)} says: leave it out here")
            elif key not in own and (key not in tables[other] or _differ(tables[other][key], value)):
                where = f"kafka.{_ours(key)}, once for all clients" if _ours(key) else "both tables"
                errors.add(path, f"kafka.{other} differs, and a run has clients of both kinds: set it in {where}")
    _check_use(kafka, effective(kafka), errors)


def _check_use(kafka: KafkaConfig, used: Mapping[str, Any], errors: Errors) -> None:
    """What is given is used, and what is used is given."""
    protocol = str(used.get("security.protocol", "PLAINTEXT")).upper()
    has_sasl, has_tls = protocol.startswith("SASL_"), protocol.endswith("SSL")
    for key in ("sasl_mechanism", "sasl_username", "sasl_password"):
        if getattr(kafka, key) and not has_sasl:
            errors.add(f"kafka.{key}", f"not used with security_protocol {protocol}: set SASL_SSL")
    for key in ("ssl_ca", "ssl_certificate", "ssl_key", "ssl_key_password_file"):
        if getattr(kafka, key) and not has_tls:
            errors.add(f"kafka.{key}", f"not used with security_protocol {protocol}: set SSL or SASL_SSL")
    for key in ("ssl_certificate", "ssl_key"):
        other = "ssl_key" if key == "ssl_certificate" else "ssl_certificate"
        if getattr(kafka, other) and not getattr(kafka, key) and KEYS[key] not in used:
            errors.add(f"kafka.{key}", f"missing: {other} wants it")
    if not has_sasl:
        return
    mechanism = str(used.get("sasl.mechanism", "")).upper()
    if not mechanism:
        errors.add("kafka.sasl_mechanism", f"missing: security_protocol {protocol} wants one, such as SCRAM-SHA-512")
    elif mechanism in _PASSWORD_MECHANISMS:
        if not used.get("sasl.username"):
            errors.add("kafka.sasl_username", f"missing: sasl_mechanism {mechanism} wants it")
        if not kafka.sasl_password and not kafka.sasl_password_file:
            errors.add("kafka.sasl_password_file", f"missing: sasl_mechanism {mechanism} wants a password")


def _differ(one: object, other: object) -> bool:
    return str(one).lower() != str(other).lower()


def _ours(name: str) -> str:
    return next((key for key, theirs in KEYS.items() if theirs == name), "")
