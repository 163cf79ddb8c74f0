"""Whether the embedded broker serves groups is asked in its protocol: one that answers may still refuse them."""

import contextlib
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from wsadapter.embedded.kafka import __main__ as kafka
from wsadapter.embedded.kafka.__main__ import LOST_SECONDS, UNSERVED_SECONDS, lost_groups
from wsadapter.embedded.kafka.broker import API_VERSIONS, DESCRIBE_GROUPS, NOT_COORDINATOR, KafkaBroker
from wsadapter.embedded.kafka.install import Installation
from wsadapter.embedded.kafka.program import Program

COORDINATOR_LOAD_IN_PROGRESS = 14


class Broker:
    """Answers one request a connection; ``code``: of the group that it is asked for."""

    def __init__(self) -> None:
        self.code = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                size, api, _, correlation = struct.unpack(">ihhi", connection.recv(12, socket.MSG_WAITALL))
                connection.recv(size - 8, socket.MSG_WAITALL)
                body = {API_VERSIONS: b"\0\0", DESCRIBE_GROUPS: struct.pack(">ih", 1, self.code)}.get(api, b"\0\x23")
                connection.sendall(struct.pack(">ii", 4 + len(body), correlation) + body)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a test has closed it
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.close()


def test_a_broker_that_answers_and_refuses_groups_is_told_apart(broker: Broker, tmp_path: Path) -> None:
    asked = KafkaBroker(Installation({"HOME": str(tmp_path)}), "java", tmp_path, "127.0.0.1", broker.port)
    assert asked.is_alone
    assert asked.answers()
    assert asked.group_error() == 0

    broker.code = NOT_COORDINATOR

    assert asked.answers()
    assert asked.group_error() == NOT_COORDINATOR


def test_one_that_is_gone_serves_nobody(broker: Broker, tmp_path: Path) -> None:
    asked = KafkaBroker(Installation({"HOME": str(tmp_path)}), "java", tmp_path, "127.0.0.1", broker.port)
    broker.close()

    assert not asked.answers()
    assert asked.group_error() == -1


def test_a_coordinator_that_is_none_is_lost_sooner_than_one_that_loads() -> None:
    assert not lost_groups(NOT_COORDINATOR, LOST_SECONDS)
    assert "no offset can be committed" in lost_groups(NOT_COORDINATOR, LOST_SECONDS + 0.1)
    assert not lost_groups(COORDINATOR_LOAD_IN_PROGRESS, UNSERVED_SECONDS)
    assert lost_groups(COORDINATOR_LOAD_IN_PROGRESS, UNSERVED_SECONDS + 0.1)


class LostBroker:
    """Runs, answers and refuses groups for ever."""

    host, port, is_alone = "127.0.0.1", 1, True

    def __init__(self) -> None:
        self.lives: list[Program] = []

    def start(self, inherited: list[int]) -> Program:
        self.lives.append(Program.start([sys.executable, "-c", "import signal; signal.pause()"], cwd=Path("/")))
        return self.lives[-1]

    def answers(self) -> bool:
        return True

    def is_settled(self) -> bool:
        return False

    def group_error(self) -> int:
        return NOT_COORDINATOR


class Told:
    """What a child has, as far as it is asked for here."""

    stopping, deadline = False, float("inf")

    def __init__(self) -> None:
        self.page: dict[str, int] = {}

    def beat(self) -> None: ...

    def ready(self) -> None: ...

    def wait(self, fds: list[int], seconds: float) -> list[int]:
        return select.select(fds, [], [], seconds)[0]


def test_a_broker_that_has_lost_its_groups_is_ended_cleanly_and_is_to_be_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By SIGTERM: one that was killed has a former life at its next start, which is how the group was lost."""
    for name in ("SETTLE_SECONDS", "WATCH_SECONDS", "GROUPS_SECONDS", "LOST_SECONDS", "BEAT_SECONDS"):
        monkeypatch.setattr(kafka, name, 0.05)
    broker, child = LostBroker(), Told()
    training = SimpleNamespace(step=lambda child: None)

    reason = kafka._run(child, broker, 0, training, 60.0)  # type: ignore[arg-type]

    assert "no offset can be committed" in reason
    assert [life.returncode for life in broker.lives] == [-signal.SIGTERM]
    assert child.page["service_up"] == 0
