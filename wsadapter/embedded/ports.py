"""Loopback addresses of the embedded services: what the configuration asks for, and free ones for tests."""

import random
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from wsadapter.config.types import loopback
from wsadapter.errors import ConfigError, ServiceUnavailable

LOOPBACK: Final = "127.0.0.1"
KERNELS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
LEAST: Final = 15_000
"""Below are those of services that people run."""
BLOCK: Final = 32
_random: Final = random.SystemRandom()
_claims: Final[list[socket.socket]] = []
"""An abstract Unix name a block: no other process has the block while this one lives, and the kernel gives it back."""
_left: Final[list[int]] = []
"""Of the blocks, what was not given yet."""
_kernels: Final[set[int]] = set()
"""What the kernel gave, where there are no blocks: it may give it again, as nobody may listen there yet."""


def free_port() -> int:
    """A port nobody listens on now, none that the kernel gives to whoever connects somewhere, and none that another
    process gets here while this one lives: its user may come, or come back after a restart, much later. Where outgoing
    connections leave no room below theirs, only one that this process was not given before."""
    while not _is_free(port := _left.pop() if _left or _claim() else _of_the_kernel()):
        pass
    return port


def free_ports(count: int) -> tuple[int, ...]:
    """So many, all different."""
    return tuple(free_port() for _ in range(count))


def _claim() -> bool:
    """One more block of ports for this process; False where none is left below those of outgoing connections."""
    blocks = list(range(LEAST, _first_of_connections() - BLOCK + 1, BLOCK))
    _random.shuffle(blocks)
    for block in blocks:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0wsadapter-ports-{block}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        _left.extend(range(block, block + BLOCK))
        return True
    return False


def _first_of_connections() -> int:
    """0 where the kernel does not say."""
    try:
        return int(KERNELS.read_text().split()[0])
    except (OSError, ValueError):
        return 0


def _of_the_kernel() -> int:
    while True:
        with socket.create_server((LOOPBACK, 0)) as listener:
            port = int(listener.getsockname()[1])
        if port not in _kernels:
            _kernels.add(port)
            return port


def _is_free(port: int) -> bool:
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError:
        return False
    return True


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
