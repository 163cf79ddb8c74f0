"""What systemd is told, read from a real datagram socket."""

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eventually import eventually
from supervision.supervised_site import Site

from wsadapter.supervision.sdnotify import Notifier


class Manager:
    """The receiving end, as the service manager has it."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.messages: list[str] = []

    def read(self) -> list[str]:
        while True:
            try:
                self.messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self.messages


@pytest.fixture
def listen() -> Iterator[Callable[[str], Manager]]:
    managers: list[Manager] = []

    def make(address: str) -> Manager:
        managers.append(Manager(address))
        return managers[-1]

    yield make
    for manager in managers:
        manager.socket.close()


@pytest.mark.parametrize("abstract", [False, True])
def test_messages_arrive(tmp_path: Path, listen: Callable[[str], Manager], abstract: bool) -> None:
    name = f"wsadapter-test-{os.getpid()}"
    manager = listen("\0" + name if abstract else str(tmp_path / name))
    notifier = Notifier({"NOTIFY_SOCKET": "@" + name if abstract else str(tmp_path / name)})
    notifier.status("two\nlines")
    notifier.status("two\nlines")
    notifier.ready()
    notifier.watchdog()
    notifier.stopping()
    notifier.close()

    assert manager.read() == ["STATUS=two lines", "READY=1", "WATCHDOG=1", "STOPPING=1"]


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all"])
def test_nobody_listens(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address} if address else {})
    notifier.ready()
    notifier.close()


def test_full_queue_does_not_block(tmp_path: Path, listen: Callable[[str], Manager]) -> None:
    listen(str(tmp_path / "full"))
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "full")})
    for _ in range(2_000):
        notifier.watchdog()
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], interval: float | None) -> None:
    assert Notifier(environ).watchdog_interval == interval


def test_supervisor_tells_the_whole_story(site: Site, tmp_path: Path, listen: Callable[[str], Manager]) -> None:
    manager = listen(str(tmp_path / "notify"))
    ready_at = time.monotonic() + 1.5
    site.write({"name": "ingest-a"}, {"name": "serializer-0", "group": 20, "options": {"crash_until": ready_at}})
    supervisor = site.start_again({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"})
    eventually(lambda: "READY=1" in manager.read(), 20)
    ready_index = manager.messages.index("READY=1")

    assert site.happened("serializer-0", "running")  # not before all are running
    assert any("waiting for" in message for message in manager.messages[:ready_index])
    assert manager.messages[ready_index - 1] == "STATUS=2 of 2 children running"
    seen = len(manager.messages)
    eventually(lambda: manager.read()[seen:].count("WATCHDOG=1") >= 3)
    supervisor.terminate()
    assert supervisor.wait(60) == 0
    told = manager.read()
    assert told.index("STOPPING=1") > ready_index
    assert told.count("READY=1") == 1
    assert any(message.startswith("STATUS=stopping: ingest-a") for message in told)


def test_service_that_is_away_does_not_keep_the_rest_from_being_ready(
    site: Site, tmp_path: Path, listen: Callable[[str], Manager]
) -> None:
    manager = listen(str(tmp_path / "notify"))
    site.write(
        {"name": "ingest-a", "start_deadline": 600.0},
        {"name": "serializer-0", "options": {"wait_for_service": True}, "start_deadline": 600.0},
    )
    site.start_again({"NOTIFY_SOCKET": str(tmp_path / "notify")})

    eventually(lambda: "READY=1" in manager.read(), 60, "long before its deadline: what records runs")
    assert "STATUS=1 of 2 children running, waiting for serializer-0" in manager.messages


def test_what_records_and_is_not_there_yet_is_waited_for(
    site: Site, tmp_path: Path, listen: Callable[[str], Manager], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = listen(str(tmp_path / "notify"))
    site.write(
        {"name": "ingest-a", "options": {"never_ready": True}, "start_deadline": 8.0},
        {"name": "serializer-0", "options": {"wait_for_service": True}, "start_deadline": 8.0},
    )
    begun = time.monotonic()
    site.start_again({"NOTIFY_SOCKET": str(tmp_path / "notify")})

    eventually(lambda: "READY=1" in manager.read(), 60)
    assert time.monotonic() - begun >= 8.0
    eventually(lambda: "not ready in time, going on" in site.log())
    assert '"ready"' not in site.log(), "it is not called ready, and some missing, in one line"


def test_the_status_line_says_what_came_of_a_reload(
    site: Site, tmp_path: Path, listen: Callable[[str], Manager]
) -> None:
    manager = listen(str(tmp_path / "notify"))
    site.write({"name": "ingest-a"})
    supervisor = site.start_again({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    eventually(lambda: "READY=1" in manager.read(), 20)

    def told(text: str) -> bool:
        return any(re.fullmatch(text, message) for message in manager.read())

    supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: told(r"STATUS=1 of 1 children running; reload at \d\d:\d\d:\d\d UTC"))
    (site.path / "scenario.json.bad").touch()
    supervisor.send_signal(signal.SIGHUP)
    refused = r"STATUS=1 of 1 .*; reload at .* UTC refused, the old configuration stays: feed\[0\]\.name: is bad"
    eventually(lambda: told(refused))
