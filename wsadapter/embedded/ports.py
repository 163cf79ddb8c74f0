"""Loopback addresses of the embedded services: what the configuration asks for, and free ones for tests."""

import contextlib
import socket
from typing import Final
from urllib.parse import urlsplit

from wsadapter.config.types import loopback
from wsadapter.errors import ConfigError, ServiceUnavailable

LOOPBACK: Final = "127.0.0.1"


def free_port() -> int:
    """A port nobody listens on now. Another process may take it before its user does: that user then fails loudly."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def free_ports(count: int) -> tuple[int, ...]:
    """So many, all different."""
    with contextlib.ExitStack() as held:
        listeners = [held.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return tuple(int(listener.getsockname()[1]) for listener in listeners)


def bootstrap_address(servers: str) -> tuple[str, int]:
    """Where an embedded Kafka must listen: ``kafka.bootstrap_servers`` has to be one loopback address."""
    host, _, port = servers.rpartition(":")
    return _loopback("kafka.bootstrap_servers", host.strip("[]"), int(port) if port.isdigit() else 0)


def http_address(url: str) -> tuple[str, int]:
    """Where an embedded ClickHouse must listen: ``clickhouse.url`` has to be plain http on a loopback address."""
    parts = urlsplit(url)
    if "," in url or parts.scheme != "http" or parts.path not in ("", "/"):
        raise ConfigError([("clickhouse.url", "the embedded ClickHouse speaks plain http without a path")])
    return _loopback("clickhouse.url", parts.hostname or "", parts.port or 8123)


def listen(host: str, port: int, what: str) -> socket.socket:
    """A listening socket, or `ServiceUnavailable` with a message for the operator."""
    try:
        return socket.create_server((host, port), family=_family(host), backlog=128)
    except OSError as error:
        raise ServiceUnavailable(f"{what} cannot listen on {host}:{port}: {error.strerror}") from error


def _loopback(key: str, host: str, port: int) -> tuple[str, int]:
    if not loopback(host) or not 0 < port < 65536:
        raise ConfigError([(key, "an embedded service listens on one loopback address only, e.g. 127.0.0.1")])
    return (LOOPBACK if host == "localhost" else host), port


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
