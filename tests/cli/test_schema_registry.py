"""What `generate schema-registry` prints registers, for each topic, a schema that reads the topic's messages."""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from wsadapter.cli.main import run_command
from wsadapter.cli.schema_registry import subjects
from wsadapter.config.model import KafkaConfig
from wsadapter.events.streams import SPECS
from wsadapter.pb import market_pb2


@pytest.fixture
def registry() -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    """Its address, and what it was asked: path, content type, body. It refuses what is of the topic ``no.gap``."""
    asked: list[tuple[str, str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Content-Type"], body))
            self.send_response(409 if "/no.gap-" in self.path else 200)
            self.end_headers()
            self.wfile.write(b'{"id":1}')

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def compiled(schema: str, path: Path) -> descriptor_pb2.FileDescriptorProto:
    """As protoc reads it."""
    (path / "one.proto").write_text(schema)
    options = f"-I{path}", f"--descriptor_set_out={path}/one.bin", "one.proto"
    assert protoc.main(["protoc", *options]) == 0
    (file,) = descriptor_pb2.FileDescriptorSet.FromString((path / "one.bin").read_bytes()).file
    return file


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh"], input=script, text=True, capture_output=True, check=False, timeout=120)


def test_each_schema_is_the_message_of_its_topic(tmp_path: Path) -> None:
    made = subjects(KafkaConfig(topic_prefix="md."))
    assert list(made) == [f"md.{spec.name}-value" for spec in SPECS]
    ours = {message.name: message for message in (one.DESCRIPTOR for one in map(_message, SPECS))}
    for spec in SPECS:
        body = json.loads(made[f"md.{spec.name}-value"])
        assert body.keys() == {"schemaType", "schema"}
        assert body["schemaType"] == "PROTOBUF"
        file = compiled(body["schema"], tmp_path)
        (message,) = file.message_type
        assert (file.package, message.name) == ("wsadapter.v1", spec.message)
        told = {(f.name, f.number, f.type, f.label, f.proto3_optional) for f in message.field}
        whole = descriptor_pb2.DescriptorProto()
        ours[spec.message].CopyToProto(whole)
        assert told == {(f.name, f.number, f.type, f.label, f.proto3_optional) for f in whole.field}


def _message(spec: Any) -> Any:
    return getattr(market_pb2, spec.message)


def test_a_message_of_ours_is_read_by_it(tmp_path: Path) -> None:
    schema = json.loads(subjects(KafkaConfig())["websocket.trade-value"])["schema"]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(compiled(schema, tmp_path))
    trade: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("wsadapter.v1.Trade"))
    value = market_pb2.Trade(exchange="okx", symbol="BTC-USDT-SWAP", price="61800.20", quantity="0.001", epoch=7)

    read = trade.FromString(value.SerializeToString())

    assert (read.exchange, read.price, read.epoch, read.HasField("event_time_ns")) == ("okx", "61800.20", 7, False)


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
def test_the_script_registers_them_all_or_says_that_it_did_not(
    registry: tuple[str, list[tuple[str, str, Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, asked = registry
    config = tmp_path / "c.toml"
    config.write_text('[kafka]\ntopic_prefix = "md."\n')

    assert run_command(["generate", "schema-registry", "--config", str(config), "--registry", f"{url}/"]) == 0
    done = subprocess.run(
        ["sh"], input=capsys.readouterr().out, text=True, capture_output=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert [(path, kind) for path, kind, _ in asked] == [
        (f"/subjects/md.{spec.name}-value/versions", "application/vnd.schemaregistry.v1+json") for spec in SPECS
    ]
    assert asked[0][2] == json.loads(subjects(KafkaConfig(topic_prefix="md."))["md.kline-value"])

    config.write_text('[kafka]\ntopic_prefix = "no."\n')
    assert run_command(["generate", "schema-registry", "--config", str(config), "--registry", url]) == 0
    done = subprocess.run(
        ["sh"], input=capsys.readouterr().out, text=True, capture_output=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "409" in done.stderr
