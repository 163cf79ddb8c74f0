"""`check`: would a run find what it needs? Looks at services and this machine; changes nothing.

Each check is one line of output, ``ok`` or ``FAIL`` and why. Exit 69 when any of them failed.
"""

import contextlib
import errno
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from wsadapter.cli import monitor_client, options
from wsadapter.cli.rules import rules_shown
from wsadapter.config import types as config_types
from wsadapter.config.model import Config
from wsadapter.config.symbol_rules import parsed
from wsadapter.embedded.kafka import cluster
from wsadapter.errors import ExitCode, Reason, SchemaMismatch, ServiceUnavailable
from wsadapter.roles.supervisor import rings
from wsadapter.roles.supervisor.topology import assemble
from wsadapter.shm import ring
from wsadapter.shm import segment as shm

MIB = 1024 * 1024
TIMEOUT_SECONDS = 5.0
MIN_FREE_BYTES: Final = MIB
"""Of the state directory: for its small files."""


_REASONS: Final = {
    ConnectionRefusedError: Reason.REFUSED,
    socket.gaierror: Reason.NAME,
    TimeoutError: Reason.SLOW,
}


@click.command()
@options.CONFIG
@options.EMBEDDED
@options.BROKERS
@options.JSON
@click.pass_context
def check(context: click.Context, config_path: str | None, embedded: bool, brokers: str, as_json: bool) -> int:
    """Check that Kafka, ClickHouse, ports, state directory, spool and ring memory are there."""
    loaded = options.load_with_origins(config_path or context.obj, demo=False)
    embedded, number = options.embedded(context, embedded, brokers)
    config = cluster.configured(loaded, number)
    # embedded services are ours to start: their ports must be free instead
    services = (
        (("Kafka", _port_free_for_kafka), ("ClickHouse", _port_free_for_clickhouse))
        if embedded
        else (("Kafka", _broker), ("ClickHouse", _clickhouse))
    )
    checks: tuple[tuple[str, Callable[[Config], str]], ...] = (
        ("configuration", lambda c: f"{len(assemble(c).plans)} connections"),
        *((("listing", _listing),) if any(parsed(feed.symbols).any for feed in config.feed) else ()),
        *services,
        ("monitor", _monitor_port),
        ("state directory", _state_dir),
        ("spool", _spool),
        ("ring memory", _ring_memory),
    )
    outcomes = []
    for name, run in checks:
        try:
            outcomes.append({"check": name, "ok": True, "text": run(config)})
        except ServiceUnavailable as error:
            outcomes.append({"check": name, "ok": False, "text": str(error), "reason": error.reason.name.lower()})
        if not as_json:  # one by one: each may take seconds
            click.echo(f"{'ok   ' if outcomes[-1]['ok'] else 'FAIL '} {name}: {outcomes[-1]['text']}")
    is_ok = all(outcome["ok"] for outcome in outcomes)
    if as_json:
        click.echo(json.dumps({"ok": is_ok, "checks": outcomes}))
    return ExitCode.OK if is_ok else ExitCode.UNAVAILABLE


def _broker(config: Config) -> str:
    _connect(config.kafka.bootstrap_servers)
    from wsadapter.kafka import reachability

    brokers = reachability.ask(config.kafka, 2 * TIMEOUT_SECONDS)
    return f"{config.kafka.bootstrap_servers}, {brokers} brokers"


def _connect(servers: str) -> None:
    """One of them takes a connection: librdkafka would hide a refusal behind its own time limit."""
    failures = []
    for server in servers.split(","):
        try:
            socket.create_connection(config_types.address(server), TIMEOUT_SECONDS).close()
            return
        except OSError as error:
            reason = _REASONS.get(type(error), Reason.UNKNOWN)
            failures.append(ServiceUnavailable(reason.sentence(server, error.strerror or str(error)), reason))
    raise ServiceUnavailable("; ".join(map(str, failures)), failures[0].reason)


def _clickhouse(config: Config) -> str:
    from wsadapter.clickhouse import endpoints
    from wsadapter.clickhouse.client import ADVICE, connect

    try:
        client = connect(config.clickhouse, TIMEOUT_SECONDS)
    except SchemaMismatch as error:  # too old
        raise ServiceUnavailable(str(error)) from None
    client.close()
    several = endpoints.of(config.clickhouse)
    text = f"{endpoints.in_use(config.clickhouse)}, version {client.server_version}"
    if len(several.states) == 1:
        return text
    found = several.examine(client)
    others = [each.sentence() for each in found if each.reason is not None]
    if any(each.reason is Reason.FOREIGN for each in found):
        raise ServiceUnavailable("; ".join((*others, ADVICE)), Reason.FOREIGN)
    silent = "; ".join(others)
    text += f", of {len(found)} endpoints"
    return f"{text}; {silent}: whether it shares the tables is not known" if silent else text


def _monitor_port(config: Config) -> str:
    """Free, or ours: a running instance of this configuration serves it."""
    try:
        return _free(config.monitor.listen)
    except ServiceUnavailable:
        url = monitor_client.address(config)
        try:
            serving = monitor_client.fetch(url).get("instance")
        except ServiceUnavailable:
            serving = None
        if serving != config.service.instance:
            raise
        return f"{config.monitor.listen} is served by this instance, which is running"


def _port_free_for_kafka(config: Config) -> str:
    """Every broker's."""
    for server in (servers := config.kafka.bootstrap_servers.split(",")):
        _free(server)
    return f"{', '.join(servers)} {'is' if len(servers) == 1 else 'are'} free"


def _port_free_for_clickhouse(config: Config) -> str:
    return _free(config.clickhouse.url.partition("://")[2].partition("/")[0])


def _free(address: str) -> str:
    """Everywhere where a server of that name listens: ``localhost`` may be two addresses. One that this machine does
    not have (IPv6 is off) counts only where it is the only one."""
    host, port = config_types.address(address)
    try:
        outcomes = [_bound(*found) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        if None not in outcomes:
            raise next(filter(None, outcomes))
    except OSError as error:
        raise ServiceUnavailable(f"{address} is not free: {error.strerror}") from None
    return f"{address} is free"


def _bound(family: int, kind: int, protocol: int, _: str, target: Any) -> OSError | None:
    """Raises what a server would; returned is that there is no such address here."""
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server itself does
            probe.bind(target)
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise
        return error
    return None


def _state_dir(config: Config) -> str:
    path = Path(config.service.state_dir)
    what, free = _writable(path)
    if free < MIN_FREE_BYTES:
        raise ServiceUnavailable(f"{path}: {free // 1024} KiB are free on its disk, nothing could be kept there")
    return f"{what}, {free // MIB} MiB free"


def _spool(config: Config) -> str:
    """What it holds already has its room. A disk that is smaller than it may grow bounds it as `spool.max_bytes` does,
    sooner: that is said, and fails nothing."""
    path, most = Path(config.spool.path), config.spool.max_bytes
    what, free = _writable(path)
    room = min(free + _held(path), most)
    text = f"{what}, {room // MIB} MiB of {most // MIB} MiB have room"
    return text if room == most else f"{text}: its disk is full before spool.max_bytes, then an outage is a loss"


def _held(path: Path) -> int:
    """Bytes of its files; a run that goes on removes some meanwhile."""
    held = 0
    for at, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                held += os.lstat(os.path.join(at, name)).st_size
    return held


def _writable(path: Path) -> tuple[str, int]:
    """That it is, or can be made, in words, and how much is free on its disk: the nearest directory that is there
    decides."""
    try:
        nearest = next(p for p in (path, *path.parents) if p.exists())
    except OSError as error:  # below a directory of somebody else
        raise ServiceUnavailable(f"{path} is not writable ({error.strerror})") from None
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ServiceUnavailable(f"{path} is not writable ({nearest})")
    disk = os.statvfs(nearest)
    what = "is writable" if nearest == path else "can be made"
    return f"{path} {what}", disk.f_bavail * disk.f_frsize


def _listing(config: Config) -> str:
    """What is not kept yet is no failure: a run asks for it."""
    return "; ".join(rules_shown(assemble(config).resolved))


def _ring_memory(config: Config) -> str:
    """Those that are there, of a running instance or kept by an earlier one, want no more of it."""
    names = [rings.prefix(config.service.instance) + connection for connection in assemble(config).rings]
    there = sum(shm.size_of(name) == ring.size(config.ring.capacity_bytes) for name in names)
    count = len(names) - there
    wanted, free = count * config.ring.capacity_bytes, shm.free_bytes()
    what = "1 ring" if count == 1 else f"{count} rings"
    if wanted > free:
        raise ServiceUnavailable(f"{what} want {wanted // MIB} MiB, {free // MIB} MiB are free in {shm.DIRECTORY}")
    kept = f"; {there} {'is' if there == 1 else 'are'} there" if there else ""
    return f"{wanted // MIB} MiB for {what}, {free // MIB} MiB free{kept}"
