"""The unit for systemd and the program for supervisord say what the supervisor relies on."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wsadapter.config.model import ServiceConfig

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "wsadapter.service"
DRAIN = ServiceConfig(instance="x", state_dir="/x").drain_seconds
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if match := re.fullmatch(r"([A-Za-z]+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Type", "notify"),
        ("KillMode", "mixed"),
        ("RemoveIPC", "no"),
        ("OOMPolicy", "continue"),
        ("User", "wsadapter"),
        ("StateDirectory", "wsadapter"),
        ("StateDirectoryMode", "0700"),
        ("UMask", "0077"),
        ("LimitCORE", "0"),
        ("WatchdogSec", "30"),
        ("RestartPreventExitStatus", "64 78"),
    ],
)
def test_unit_setting(name: str, value: str) -> None:
    assert settings()[name] == [value]


def test_unit_waits_longer_than_the_drain_and_keeps_the_user() -> None:
    unit = settings()
    assert int(unit["TimeoutStopSec"][0]) > DRAIN + 1
    assert "DynamicUser" not in unit
    assert "PrivateIPC" not in unit  # the rings live in /dev/shm


@pytest.fixture
def runnable(tmp_path: Path) -> Path:
    """The unit with commands that exist here."""
    text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={os.path.realpath('/bin/true')}", UNIT.read_text())
    copy = tmp_path / "wsadapter.service"
    copy.write_text(text)
    return copy


@needs_systemd
def test_unit_is_verified(runnable: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(runnable)], capture_output=True, text=True, timeout=60)
    ours = [line for line in done.stderr.splitlines() if "wsadapter" in line]
    assert (ours, done.returncode) == ([], 0)


@needs_systemd
def test_unit_is_hardened(runnable: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(runnable)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    score = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert score is not None
    assert float(score[1]) <= 2.0


def test_roles_live_without_executable_memory() -> None:
    """MemoryDenyWriteExecute=yes, as far as a test can have it: the kernel's own switch of the same meaning."""
    script = (
        "import ctypes, sys\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)\n"
        "import wsadapter.supervision.child, uvloop, picows\n"
        "import confluent_kafka, clickhouse_connect, google.protobuf.message\n"
        "confluent_kafka.Producer({'bootstrap.servers': '127.0.0.1:1'}).flush(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert done.returncode == 0, done.stderr


def test_supervisord_program() -> None:
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    parser.read(ROOT / "supervisord.conf")
    assert [name for name in parser.sections() if name.startswith("program:")] == ["program:wsadapter"]
    program = parser["program:wsadapter"]
    assert program["stopsignal"] == "TERM"
    assert int(program["stopwaitsecs"]) > DRAIN + 1
    assert program.getboolean("stopasgroup") is False
    assert program.getboolean("killasgroup") is True
    assert program["exitcodes"] == "0,64,78"
    assert program["startsecs"] == "0", "supervisord looks at exit codes only after startsecs"
