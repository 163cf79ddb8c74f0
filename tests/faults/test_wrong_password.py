"""A broker that refuses our password: said in words, waited for, nothing given up, and the password is in no text."""

import logging
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cli.command import run
from confluent_kafka import Producer
from eventually import eventually

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ExitCode
from wsadapter.kafka.settings import producer_config

SECRET = "hunter2-is-wrong"
API_VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36
APIS = ((0, 0, 7), (1, 0, 11), (3, 0, 8), (HANDSHAKE, 0, 1), (API_VERSIONS, 0, 3), (22, 0, 1), (AUTHENTICATE, 0, 1))
AUTHENTICATION_FAILED = 58
SAID = b"Authentication failed: Invalid username or password"


def answer(api: int) -> bytes:
    """What a real broker says to a wrong password, up to the point where it hangs up."""
    if api == API_VERSIONS:
        listed = b"".join(struct.pack(">hhhB", *one, 0) for one in APIS)
        return struct.pack(">hB", 0, len(APIS) + 1) + listed + struct.pack(">iB", 0, 0)
    if api == HANDSHAKE:
        return struct.pack(">hih", 0, 1, 5) + b"PLAIN"
    return struct.pack(">hh", AUTHENTICATION_FAILED, len(SAID)) + SAID + struct.pack(">iq", 0, 0)


class Suspicious:
    """Speaks Kafka as far as the password."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, client.makefile("rb") as requests:
            while head := requests.read(12):
                size, api, _, correlation = struct.unpack(">ihhi", head)
                requests.read(size - 8)
                body = struct.pack(">i", correlation) + answer(api)
                client.sendall(struct.pack(">i", len(body)) + body)
                if api == AUTHENTICATE:
                    self.refused += 1
                    return

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def broker() -> Iterator[Suspicious]:
    made = Suspicious()
    yield made
    made.close()


def test_a_wrong_password_is_said_and_never_printed(
    broker: Suspicious, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    password = tmp_path / "password"
    password.write_text(SECRET)
    settings: dict[str, str | int | float | bool] = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "recorder",
    }
    kafka = KafkaConfig(bootstrap_servers=broker.address, sasl_password_file=str(password), producer=settings)
    errors: list[str] = []
    outcomes: list[str] = []
    with caplog.at_level(logging.DEBUG):
        producer = Producer({**producer_config(kafka), "error_cb": lambda error: errors.append(str(error))})
        producer.produce("t", b"kept", on_delivery=lambda error, _: outcomes.append(str(error)))
        eventually(
            lambda: (producer.poll(0.05), any("_AUTHENTICATION" in error for error in errors))[1], 20, "it says why"
        )
    assert len(producer) >= 1, "it waits; the client's own events count here too"
    assert not outcomes, "and is not given up"
    producer.purge()
    producer.flush(5)
    assert SECRET not in caplog.text + "".join(errors)

    (tmp_path / "c.toml").write_text(
        f'[[feed]]\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n[service]\nstate_dir = "{tmp_path}/state"\n'
        f'[kafka]\nbootstrap_servers = "{broker.address}"\nsasl_password_file = "{password}"\n'
        'security_protocol = "SASL_PLAINTEXT"\nsasl_mechanism = "PLAIN"\nsasl_username = "recorder"\n'
    )
    before = broker.refused
    done = run(tmp_path, "check", "--config", "c.toml")
    assert done.returncode == ExitCode.UNAVAILABLE, done.stdout
    assert broker.refused > before, "it was asked for the password"
    assert "FAIL  Kafka: " in done.stdout
    assert SECRET not in done.stdout + done.stderr
