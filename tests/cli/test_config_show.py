"""`config show`, `validate --json` and `check --json`: what a program, or a person in doubt, is told."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cli.command import run

from wsadapter.embedded.ports import free_port
from wsadapter.errors import ExitCode

TEXT = """
[[feed]]
exchange = "binance"
symbols = ["BTCUSDT"]
[kafka]
bootstrap_servers = "file:1"
[kafka.producer]
linger.ms = 7
[process.serializer]
count = 2
"""


def shown(directory: Path, **environ: str) -> dict[str, tuple[object, str]]:
    (directory / "c.toml").write_text(TEXT)
    done = run(directory, "config", "show", "--json", "--config", "c.toml", **environ)
    assert done.returncode == ExitCode.OK, done.stderr
    return {each["key"]: (each["value"], each["origin"]) for each in json.loads(done.stdout)["settings"]}


def test_each_value_and_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CLICKHOUSE_USER=writer\n")
    found = shown(
        tmp_path, WEBSOCKET_USE_TESTNET="true", KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SASL_MECHANISM="PLAIN",
        KAFKA_SASL_USERNAME="u", KAFKA_SASL_PASSWORD="hunter2",
    )  # fmt: skip

    assert found["feed[0].testnet"] == (True, "environment WEBSOCKET_USE_TESTNET")
    assert found["feed[0].symbols"] == (["BTCUSDT"], "file")
    assert found["feed[0].redundancy"] == (1, "default")
    assert found["kafka.bootstrap_servers"] == ("file:1", "file")
    assert found["kafka.producer.linger.ms"] == (7, "file")
    assert found["kafka.sasl_password"] == ("***", "environment KAFKA_SASL_PASSWORD")
    assert found["clickhouse.user"] == ("writer", ".env CLICKHOUSE_USER")
    assert found["process.serializer.count"] == (2, "file")
    assert found["service.state_dir"] == (f"{tmp_path}/state", "environment STATE_DIRECTORY")
    assert "kafka.secrets_digest" not in found


def test_as_text_and_without_the_secret(tmp_path: Path) -> None:
    done = run(tmp_path, "config", "show", CLICKHOUSE_PASSWORD="hunter2", KAFKA_BOOTSTRAP="a:1")

    assert done.returncode == ExitCode.OK
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    assert rows["clickhouse.password"][1:] == ['"***"', "environment", "CLICKHOUSE_PASSWORD"]
    assert "hunter2" not in done.stdout + done.stderr
    assert "KAFKA_BOOTSTRAP: not a variable of ours" in done.stderr


@pytest.mark.parametrize("is_right", [True, False])
def test_validate_for_programs(tmp_path: Path, is_right: bool) -> None:
    (tmp_path / "c.toml").write_text(TEXT if is_right else TEXT + "[ring]\ncapacity = 1\n[spool]\nmax_bytes = 1\n")
    done = run(tmp_path, "validate", "--json", "--config", "c.toml")
    answer = json.loads(done.stdout)

    assert (answer["valid"], done.returncode) == (is_right, ExitCode.OK if is_right else ExitCode.CONFIG)
    assert {each["key"] for each in answer["errors"]} == (set() if is_right else {"ring.capacity", "spool.max_bytes"})
    assert [each["exchange"] for each in answer["connections"]][:1] == (["binance"] if is_right else [])
    assert done.stderr == ""


@pytest.mark.parametrize("serving", ["this-one", "another"])
def test_check_of_a_running_instance(tmp_path: Path, serving: str) -> None:
    class Monitor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            status = {"instance": serving, "children": [], "totals": {}, "flow": {}}
            self.wfile.write(json.dumps(status).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Monitor) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "c.toml").write_text(
            f'{TEXT}[service]\ninstance = "this-one"\n[monitor]\nlisten = "127.0.0.1:{server.server_port}"\n'
            f'[clickhouse]\nurl = "http://127.0.0.1:{free_port()}"\n'
        )
        done = run(tmp_path, "check", "--json", "--config", "c.toml", KAFKA_BOOTSTRAP_SERVERS=f"[::1]:{free_port()}")
        server.shutdown()
    answer = json.loads(done.stdout)
    checks = {each["check"]: each for each in answer["checks"]}

    assert (answer["ok"], done.returncode) == (False, ExitCode.UNAVAILABLE), "services are not there"
    assert (checks["Kafka"]["ok"], checks["Kafka"]["reason"]) == (False, "refused")
    assert (checks["ClickHouse"]["ok"], checks["ClickHouse"]["reason"]) == (False, "refused")
    assert checks["monitor"]["ok"] is (serving == "this-one"), checks["monitor"]
