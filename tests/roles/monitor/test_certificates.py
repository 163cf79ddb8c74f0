"""Until when certificates are valid: read from their files, compared with what OpenSSL itself says."""

import ssl
import subprocess
import time
from pathlib import Path
from shutil import which

import pytest

from wsadapter import metrics
from wsadapter.config.model import ClickHouseConfig, Config, KafkaConfig, ServiceConfig
from wsadapter.roles.monitor.certificates import expiries, not_after, of_file
from wsadapter.roles.monitor.exposition import exposition
from wsadapter.roles.monitor.snapshot import Reading, Snapshot

pytestmark = pytest.mark.skipif(which("openssl") is None, reason="openssl is not here to make a certificate")


def made(directory: Path, name: str, days: int, key: str = "ec -pkeyopt ec_paramgen_curve:prime256v1") -> Path:
    path = directory / f"{name}.pem"
    command = f"req -x509 -newkey {key} -nodes -subj /CN={name} -days {days} -keyout {directory}/{name}.key -out {path}"
    subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    return path


def said(path: Path) -> float:
    told = subprocess.run(["openssl", "x509", "-enddate", "-noout", "-in", path], check=True, capture_output=True)
    return ssl.cert_time_to_seconds(told.stdout.decode().strip().removeprefix("notAfter="))


@pytest.mark.parametrize("days", [2, 400, 20_000])  # the last one ends behind 2049: another form of time
@pytest.mark.parametrize("key", ["ec -pkeyopt ec_paramgen_curve:prime256v1", "rsa:2048"])
def test_the_end_is_what_openssl_says(tmp_path: Path, days: int, key: str) -> None:
    path = made(tmp_path, "one", days, key)
    assert of_file(str(path)) == [said(path)]


def test_of_what_is_sent_the_first_and_of_authorities_the_first_that_ends_and_is_valid(tmp_path: Path) -> None:
    short, long = made(tmp_path, "short", 10), made(tmp_path, "long", 400)
    both = tmp_path / "both.pem"
    both.write_text("a comment\n" + long.read_text() + short.read_text())
    config = Config(
        ServiceConfig("i", str(tmp_path)),
        kafka=KafkaConfig(ssl_ca=str(both), ssl_certificate=str(both)),
        clickhouse=ClickHouseConfig(ca=str(short), certificate=str(short)),
    )
    now = time.time()
    assert dict(expiries(config, now)) == {
        "kafka.ssl_certificate": said(long), "kafka.ssl_ca": said(short),
        "clickhouse.certificate": said(short), "clickhouse.ca": said(short),
    }  # fmt: skip
    later = dict(expiries(config, now + 20 * 86_400))
    assert later["kafka.ssl_ca"] == said(long), "the old authority was left in the file"
    assert later["clickhouse.ca"] == said(short), "there is no other"


def test_files_without_a_certificate_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "no.pem"
    assert of_file("") == of_file(str(path)) == []
    path.write_bytes(b"\x00\xff-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
    assert of_file(str(path)) == []


def test_a_certificate_that_is_cut_anywhere_is_none(tmp_path: Path) -> None:
    der = ssl.PEM_cert_to_DER_cert(made(tmp_path, "one", 2).read_text())
    for length in range(len(der)):
        with pytest.raises((ValueError, IndexError)):
            not_after(der[:length])


def test_where_it_is_exposed(tmp_path: Path) -> None:
    path = made(tmp_path, "one", 2)
    config = Config(ServiceConfig("i", str(tmp_path)), kafka=KafkaConfig(ssl_ca=str(path)))
    cells = dict.fromkeys(metrics.ingest(()), 0)
    tls = Reading("ingest", "a-0", cells | {'certificate_expiry_ns{of="venue"}': 2_000_000_000 * 10**9}, exchange="okx")
    plain = Reading("ingest", "b-0", cells, exchange="okx")
    supervisor = Reading("supervisor", "supervisor", {})
    text = exposition(lambda: Snapshot(config, time.time_ns(), 0, 0, supervisor, (tls, plain), ()))().decode()

    name = "wsadapter_certificate_expiry_timestamp_seconds"
    series = [line.rpartition(" ") for line in text.splitlines() if line.startswith(name)]
    assert {labels: float(value) for labels, _, value in series} == {
        f'{name}{{connection="a-0",exchange="okx",of="venue"}}': 2e9,
        f'{name}{{of="kafka.ssl_ca"}}': said(path),
    }
