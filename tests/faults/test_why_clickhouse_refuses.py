"""Whatever keeps us out of ClickHouse has its word, wherever it is said; and it is not said of Kafka as well."""

from pathlib import Path

import pytest
from msgspec import structs
from secured_kafka import authority, signed
from tls_server import tls_server

from wsadapter.clickhouse.client import connect
from wsadapter.config.model import ClickHouseConfig
from wsadapter.config.types import Secret
from wsadapter.embedded.ports import free_port
from wsadapter.embedded.servers import ClickHouseServer
from wsadapter.errors import Reason, ServiceUnavailable


def reason(**settings: object) -> tuple[Reason, str]:
    with pytest.raises(ServiceUnavailable) as error:
        connect(ClickHouseConfig(**settings), 5.0)  # type: ignore[arg-type]
    return error.value.reason, str(error.value)


def test_a_wrong_password(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("right\n")
    with ClickHouseServer(tmp_path / "ch", password_file=str(password)) as server:
        connect(ClickHouseConfig(url=server.url, password=Secret("right"))).close()
        found, text = reason(url=server.url, password=Secret("wrong-0815"))

    assert found is Reason.AUTHENTICATION, text
    assert text.startswith(f"ClickHouse at {server.url} refuses: authentication failed: ")
    assert "wrong-0815" not in text


def test_nobody_there() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert reason(url=url) == (Reason.REFUSED, f"ClickHouse at {url} does not answer: connection refused")
    assert reason(url="http://nosuch.invalid:8123")[0] is Reason.NAME


def test_tls_with_a_ca_and_a_client_certificate(tmp_path: Path) -> None:
    ca, other = authority(tmp_path, "ca"), authority(tmp_path, "other")
    certificate, key = signed(tmp_path, "server", "IP:127.0.0.1", ca)
    client, client_key = signed(tmp_path, "client", "DNS:client", ca)
    with tls_server(certificate, key, ca[0]) as server:
        url = f"https://127.0.0.1:{server.port}"
        own = {"ca": str(ca[0]), "certificate": str(client), "key": str(client_key)}

        settings = ClickHouseConfig(url=url, user="writer", **own)  # type: ignore[arg-type]
        connect(settings, 5.0).close()
        assert server.headers["X-ClickHouse-SSL-Certificate-Auth"] == "on"
        assert server.headers["X-ClickHouse-User"] == "writer"
        connect(structs.replace(settings, password=Secret("p")), 5.0).close()
        assert server.headers["Authorization"].startswith("Basic ")

        assert reason(url=url, **{**own, "ca": str(other[0])})[0] is Reason.TLS
        assert reason(url=url, ca=str(ca[0]))[0] is Reason.TLS, "without a certificate of ours"
        assert reason(url=url.replace("127.0.0.1", "localhost"), **own)[0] is Reason.TLS, "a name that it is not for"
