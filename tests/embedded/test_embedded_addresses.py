"""Where embedded services may listen, and who may have their directory."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from wsadapter.embedded import ports
from wsadapter.embedded.data_directory import DataDirectory
from wsadapter.embedded.ports import bootstrap_address, free_port, free_ports, http_address, listen
from wsadapter.errors import ConfigError, ServiceUnavailable


def test_loopback_addresses_are_taken() -> None:
    assert bootstrap_address("127.0.0.1:9092") == ("127.0.0.1", 9092)
    assert bootstrap_address("localhost:9092") == ("127.0.0.1", 9092)
    assert bootstrap_address("[::1]:9092") == ("::1", 9092)
    assert http_address("http://127.0.0.1:8123") == ("127.0.0.1", 8123)
    assert http_address("http://localhost") == ("127.0.0.1", 8123)


@pytest.mark.parametrize("servers", ["10.0.0.1:9092", "kafka:9092", "127.0.0.1:9092,127.0.0.1:9093", "127.0.0.1"])
def test_other_brokers_are_refused(servers: str) -> None:
    with pytest.raises(ConfigError, match=r"kafka\.bootstrap_servers"):
        bootstrap_address(servers)


@pytest.mark.parametrize("url", ["https://127.0.0.1:8443", "http://db:8123", "http://127.0.0.1:8123/proxy"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"clickhouse\.url"):
        http_address(url)


def test_a_taken_port_is_named() -> None:
    port = free_port()
    with listen("127.0.0.1", port, "first"), pytest.raises(ServiceUnavailable, match=f"second .*:{port}"):
        listen("127.0.0.1", port, "second")


def test_a_free_port_is_none_that_the_kernel_gives_to_a_connection() -> None:
    """A service comes back to its port after a kill; meanwhile thousands of connections begin and end."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    given = (*free_ports(50), *(free_port() for _ in range(50)))
    assert len(set(given)) == 100, "nor one that was given before"
    assert max(given) < first or first < 19_000


def test_no_other_process_is_given_the_same_port() -> None:
    """A broker that a test killed is away for seconds, and every process beside it asks for ports meanwhile."""
    ask = "from wsadapter.embedded.ports import free_ports; print(*free_ports(1000), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", ask], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = {int(port) for port in other.stdout.readline().split()}
        ours = set(free_ports(1000))
        other.communicate("\n")
    assert len(theirs) == len(ours) == 1000
    assert not theirs & ours


def test_where_outgoing_connections_leave_no_room_no_port_comes_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    every = tmp_path / "ip_local_port_range"
    every.write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "KERNELS", every)
    monkeypatch.setattr(ports, "_left", [])
    assert len(set(free_ports(2000))) == 2000


def test_a_directory_is_locked_until_its_holder_is_gone(tmp_path: Path) -> None:
    # the holder's child holds on: that is how a JVM keeps the directory of a killed wrapper
    hold = (
        "import os, subprocess, sys; from pathlib import Path\n"
        "from wsadapter.embedded.data_directory import DataDirectory\n"
        f"d = DataDirectory(Path({str(tmp_path)!r})); assert d.try_lock()\n"
        "p = subprocess.Popen(['cat'], pass_fds=[d.lock_fd], stdin=0); print(p.pid, flush=True); os._exit(0)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    heir = os.pidfd_open(int(holder.stdout.readline()))
    holder.wait()
    directory = DataDirectory(tmp_path)
    assert not directory.try_lock()
    assert directory.holder() == str(holder.pid)
    holder.stdin.close()
    poll = select.poll()
    poll.register(heir, select.POLLIN)
    assert poll.poll(10_000)
    assert directory.try_lock()
    assert directory.holder() == str(os.getpid())
    directory.close()
    os.close(heir)
    holder.stdout.close()
