"""Whether the embedded broker serves groups is asked in its protocol: one that answers may still refuse them."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsadapter.embedded.kafka.__main__ import LOST_SECONDS, UNSERVED_SECONDS, lost_groups
from wsadapter.embedded.kafka.broker import API_VERSIONS, DESCRIBE_GROUPS, NOT_COORDINATOR, KafkaBroker
from wsadapter.embedded.kafka.install import Installation

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
