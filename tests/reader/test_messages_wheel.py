"""`wsadapter-messages`: the wheel holds what it says, and reads a record in a process that has nothing else of ours."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from reader.test_reader_decoding import message
from samples import full

from wsadapter import __version__
from wsadapter.events.streams import BY_EVENT, SPECS

ROOT = Path(__file__).resolve().parents[2]
READ = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import wsadapter_messages as messages
for line in sys.stdin.read().split():
    topic, _, value = line.partition("=")
    read, identity = messages.parse(topic, bytes.fromhex(value)), messages.identity(bytes.fromhex(value))
    print(topic, type(read).__name__, read.symbol, read.epoch, read.position == identity[1])
print(sorted(messages.MESSAGES), messages.identity(b""), messages.Side.Name(messages.Side.SIDE_BUY))
assert not {"wsadapter", "msgspec", "confluent_kafka"} & {name.partition(".")[0] for name in sys.modules}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make messages` builds it, from a copy of the sources: a checkout is left as it is."""
    directory = tmp_path_factory.mktemp("messages")
    for pattern in (
        "proto/pyproject.toml",
        "proto/setup.py",
        "proto/**/*.*",
        "wsadapter/__init__.py",
        "wsadapter/pb/*.py*",
    ):
        for source in ROOT.glob(pattern):
            if source.is_file() and "build" not in source.parts:
                target = directory / source.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", *command, "-w", str(directory / "dist"), str(directory / "proto")],
        check=True,
        timeout=120,
    )
    (made,) = (directory / "dist").glob("*.whl")
    return made


def test_what_is_in_it(wheel: Path) -> None:
    assert wheel.name == f"wsadapter_messages-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as files:
        names = {name for name in files.namelist() if not name.startswith("wsadapter_messages-")}
        assert names == {
            f"wsadapter_messages/{name}"
            for name in ("__init__.py", "market_pb2.py", "market_pb2.pyi", "market.proto", "py.typed")
        }
        assert files.read("wsadapter_messages/market.proto") == (ROOT / "proto/wsadapter/v1/market.proto").read_bytes()
        metadata = files.read(f"wsadapter_messages-{__version__}.dist-info/METADATA").decode()
    assert [line for line in metadata.splitlines() if line.startswith("Requires-Dist")] == [
        "Requires-Dist: protobuf>=7.35.1"
    ]


def test_it_reads_records_alone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        files.extractall(tmp_path / "installed")
    (site,) = {Path(path) for path in sys.path if path.endswith("site-packages")}
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "google").symlink_to(site / "google")  # protobuf, and nothing beside it
    events = full()
    lines = "\n".join(f"websocket.{BY_EVENT[type(event)].name}={message(event, 9, 4).hex()}" for event in events)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", READ, str(tmp_path / "installed"), str(alone)],
        input=lines, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[:-1] == [
        f"websocket.{BY_EVENT[type(event)].name} {type(event).__name__} {event.symbol} 4 True" for event in events
    ]
    assert told[-1] == f"{sorted(spec.name for spec in SPECS)} None SIDE_BUY"
