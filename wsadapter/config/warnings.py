"""What is allowed and yet deserves a line at the start, and in `validate`."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from wsadapter.config import environment, kafka_security, overlaps, secrets
from wsadapter.config import types as t
from wsadapter.config.convert import Errors
from wsadapter.config.model import Config

LATE_SECONDS: Final = 25.0
"""A batch that may be older comes after the connection that it is of seems to be gone."""


def warnings(config: Config, environ: Mapping[str, str], dotenv: str | None = ".env") -> list[str]:
    """One line each. ``environ``: what the configuration was read with."""
    return [*_of_config(config), *_of_environment(config, environ, dotenv)]


def _of_environment(config: Config, environ: Mapping[str, str], dotenv: str | None) -> list[str]:
    messages = [
        f"{name}: not a variable of ours and not read, did you mean {ours}?"
        for name, ours in environment.near_names(environ, dotenv)
    ]
    env = environment.read(environ, dotenv, Errors())
    given = [name for name, origin in env.origins.items() if origin.startswith(".env ") and name in environment.SECRETS]
    if given and dotenv and secrets.is_open_to_others(dotenv):
        messages.append(f"{dotenv}: holds {given[0]} and every user of this machine can read it (chmod 600)")
    return messages


def _of_config(config: Config) -> list[str]:
    messages = _of_services(config)
    for index, feed in enumerate(config.feed):
        if feed.ws_url and not feed.rest_url:
            messages.append(f"feed[{index}].rest_url: not set beside ws_url, so gaps of this feed are not repaired")
        not_polled = (feed.ws_url and not feed.rest_url) or not config.process_of("repairer").count
        if "open_interest" in feed.streams and not_polled:
            messages.append(f"feed[{index}].streams: open_interest comes by REST, and nobody asks for it")
    return [*messages, *overlaps.doubled([(f"feed[{index}]", feed) for index, feed in enumerate(config.feed)])]


def _of_services(config: Config) -> list[str]:
    messages = []
    if not t.loopback(t.address(config.monitor.listen)[0]):
        messages.append(f"monitor.listen: {config.monitor.listen} is reachable from other machines, without a password")
    has_password = config.clickhouse.password or config.clickhouse.password_file
    urls = map(urlsplit, config.clickhouse.url.split(","))
    if has_password and any(url.scheme == "http" and not t.loopback(url.hostname or "") for url in urls):
        messages.append("clickhouse.url: the password travels over plain http")
    if config.clickhouse.batch_seconds > LATE_SECONDS:
        messages.append(
            f"clickhouse.batch_seconds: above {LATE_SECONDS:.0f} s the tables are so far behind that what is recorded "
            "now is called incomplete"
        )
    kafka, used = config.kafka, kafka_security.effective(config.kafka)
    protocol = str(used.get("security.protocol", "PLAINTEXT")).upper()
    if kafka.sasl_password_file and not protocol.startswith("SASL_"):
        messages.append(f"kafka.sasl_password_file: not used, kafka.security_protocol is {protocol}")
    is_near = all(t.loopback(t.address(server)[0]) for server in kafka.bootstrap_servers.split(","))
    if protocol == "SASL_PLAINTEXT" and used.get("sasl.mechanism") == "PLAIN" and not is_near:
        messages.append("kafka.security_protocol: the password travels in plain text, set SASL_SSL")
    files = {
        "kafka.sasl_password_file": kafka.sasl_password_file,
        "kafka.ssl_key": kafka.ssl_key,
        "kafka.ssl_key_password_file": kafka.ssl_key_password_file,
        "clickhouse.password_file": config.clickhouse.password_file,
        "clickhouse.key": config.clickhouse.key,
    }
    for key, path in files.items():
        if path and secrets.is_open_to_others(path):
            messages.append(f"{key}: every user of this machine can read {path} (chmod 600)")
    return messages
