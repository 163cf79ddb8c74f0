"""`check`: names what is missing, exit 69; changes nothing."""

import errno
import os
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cli.command import run

from wsadapter.cli import check
from wsadapter.config.model import Config, Feed, RingConfig, ServiceConfig, SpoolConfig
from wsadapter.embedded.ports import free_port, free_ports
from wsadapter.errors import ExitCode, ServiceUnavailable
from wsadapter.roles.supervisor import rings
from wsadapter.shm import ring
from wsadapter.shm import segment as shm


def config(directory: Path, clickhouse: int, kafka: int, monitor: int, more: str = "") -> str:
    path = directory / "c.toml"
    path.write_text(
        f"""{more}
[[feed]]
exchange = "binance"
symbols = ["BTCUSDT"]
[kafka]
bootstrap_servers = "127.0.0.1:{kafka}"
[clickhouse]
url = "http://127.0.0.1:{clickhouse}"
[monitor]
listen = "127.0.0.1:{monitor}"
"""
    )
    return str(path)


def lines(text: str) -> dict[str, str]:
    return {line[6:].partition(":")[0]: line[:4].strip() for line in text.splitlines()}


def test_nothing_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path = config(tmp_path, free_port(), free_port(), taken.getsockname()[1])
        done = run(tmp_path, "check", "--config", path)

    assert done.returncode == ExitCode.UNAVAILABLE
    assert lines(done.stdout) == {
        "configuration": "ok",
        "Kafka": "FAIL",
        "ClickHouse": "FAIL",
        "monitor": "FAIL",
        "state directory": "ok",
        "spool": "ok",
        "ring memory": "ok",
    }
    assert not (tmp_path / "state").exists()


def test_embedded_wants_free_ports(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free = config(tmp_path, free_port(), free_port(), free_port())
        assert run(tmp_path, "--embedded", "--config", free, "check").returncode == ExitCode.OK
        done = run(
            tmp_path,
            "check",
            "--embedded",
            "--config",
            config(tmp_path, free_port(), taken.getsockname()[1], free_port()),
        )

    assert done.returncode == ExitCode.UNAVAILABLE
    assert lines(done.stdout)["Kafka"] == "FAIL"


def test_each_of_several_brokers_wants_its_port(tmp_path: Path) -> None:
    ports = free_ports(3)
    path = config(tmp_path, ports[0], free_port(), free_port())
    servers = ",".join(f"127.0.0.1:{port}" for port in ports)
    arguments = ("check", "--embedded", "--brokers", "3", "--config", path)
    done = run(tmp_path, *arguments, KAFKA_BOOTSTRAP_SERVERS=servers)
    with socket.create_server(("127.0.0.1", ports[2])):
        taken = run(tmp_path, *arguments, KAFKA_BOOTSTRAP_SERVERS=servers)

    assert f"127.0.0.1:{ports[2]} are free" in done.stdout
    assert done.returncode == ExitCode.OK
    assert f"127.0.0.1:{ports[2]} is not free" in taken.stdout


def test_each_address_of_a_name_must_be_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of that name listens on all of them that the machine has."""

    def stands_for(*hosts: str) -> None:
        found = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
        monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, **__: [(*found, (host, port)) for host in hosts])

    with socket.socket() as taken:
        taken.bind(("127.0.0.3", 0))
        taken.listen()
        name = f"localhost:{taken.getsockname()[1]}"
        stands_for("127.0.0.2", "127.0.0.4", "192.0.2.1")
        assert check._free(name) == f"{name} is free"
        for hosts in (("127.0.0.2", "127.0.0.3"), ("192.0.2.1",)):
            stands_for(*hosts)
            with pytest.raises(ServiceUnavailable, match="is not free"):
                check._free(name)


def test_rings_that_do_not_fit(tmp_path: Path) -> None:
    path = config(tmp_path, free_port(), free_port(), free_port(), "[ring]\ncapacity_bytes = 4294967296\n")
    text = Path(path).read_text().replace('["BTCUSDT"]', '["BTCUSDT"]\nstreams = ["trade", "depth", "kline"]')
    feeds = "".join(
        f'[[feed]]\nname = "f{i}"\nexchange = "binance"\nsymbols = ["BTCUSDT"]\nstreams = ["trade"]\n'
        for i in range(64)
    )
    Path(path).write_text(text + feeds)
    done = run(tmp_path, "check", "--embedded", "--config", path)

    assert done.returncode == ExitCode.UNAVAILABLE
    assert lines(done.stdout)["ring memory"] == "FAIL"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"26.9.1.1\tUTC\n", "ok"),
        (200, b"25.6.2.1\tUTC\n", "ok"),
        (200, b"25.5.9.1\tUTC\n", "FAIL"),
        (200, b"<html>", "FAIL"),
        (403, b"no", "FAIL"),
    ],
)
def test_version_of_clickhouse(tmp_path: Path, status: int, body: bytes, expected: str) -> None:
    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if status != 200 or b"version()" in query else b"")  # no settings of its own

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            done = run(tmp_path, "check", "--config", config(tmp_path, server.server_port, free_port(), free_port()))
        finally:
            server.shutdown()

    assert lines(done.stdout)["ClickHouse"] == expected


def test_a_full_disk_of_the_state_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(ServiceConfig("i", str(tmp_path / "state")))
    assert check._state_dir(config).startswith(f"{tmp_path}/state can be made, ")
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 10, 1, 1, 9, 9, 9, 0, 255)))
    with pytest.raises(ServiceUnavailable, match="4 KiB are free"):
        check._state_dir(config)


MIB = 1024 * 1024


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Of 4,096 bytes a block, so many bytes are free."""
    blocks = free // 4096
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 10, blocks, blocks, 9, 9, 9, 0, 255)))


def spooled(directory: Path, most: int) -> Config:
    return Config(ServiceConfig("i", str(directory / "state")), spool=SpoolConfig(str(directory / "spool"), most))


def test_a_spool_with_less_room_than_it_may_take_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, 4 * MIB)
    assert check._spool(spooled(tmp_path, 4 * MIB)) == f"{tmp_path}/spool can be made, 4 MiB of 4 MiB have room"
    said = check._spool(spooled(tmp_path, 6 * MIB))
    assert said.startswith(f"{tmp_path}/spool can be made, 4 MiB of 6 MiB have room")
    assert "spool.max_bytes" in said


def test_what_is_in_the_spool_has_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "spool" / "1" / "serializer-0"
    kept.mkdir(parents=True)
    (kept / "segment").write_bytes(b"x" * 2 * MIB)
    disk(monkeypatch, 4 * MIB)
    assert check._spool(spooled(tmp_path, 6 * MIB)) == f"{tmp_path}/spool is writable, 6 MiB of 6 MiB have room"


@pytest.mark.parametrize("look", [check._spool, check._state_dir])
def test_what_cannot_be_written_fails(
    look: Callable[[Config], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ServiceUnavailable, match="is not writable"):
        look(spooled(tmp_path, 6 * MIB))


@pytest.mark.parametrize("look", [check._spool, check._state_dir])
def test_what_lies_in_a_directory_of_somebody_else_cannot_be_written(
    look: Callable[[Config], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not even known whether it is there."""

    def refused(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(ServiceUnavailable, match=r"is not writable \(Permission denied\)"):
        look(spooled(tmp_path, 6 * MIB))


def test_rings_of_a_running_instance_are_there_and_want_no_more_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed("fut", "binance", ("BTCUSDT",), ("trade",))
    instance = f"check{os.getpid()}"
    config = Config(ServiceConfig(instance, str(tmp_path)), (feed,), ring=RingConfig(MIB))
    names = [rings.prefix(instance) + connection for connection in ("fut-market-0", "repair")]
    monkeypatch.setattr(shm, "free_bytes", lambda: MIB)
    with pytest.raises(ServiceUnavailable, match="2 rings want 2 MiB, 1 MiB are free"):
        check._ring_memory(config)
    try:
        ring.create(names[0], MIB, 1)
        assert check._ring_memory(config) == "1 MiB for 1 ring, 1 MiB free; 1 is there"
        ring.create(names[1], 2 * MIB, 1)
        assert "1 is there" in check._ring_memory(config), "one of another size is not it"
        shm.Segment.unlink(names[1])
        ring.create(names[1], MIB, 1)
        monkeypatch.setattr(shm, "free_bytes", lambda: 0)
        assert check._ring_memory(config) == "0 MiB for 0 rings, 0 MiB free; 2 are there"
    finally:
        for name in names:
            shm.Segment.unlink(name)
