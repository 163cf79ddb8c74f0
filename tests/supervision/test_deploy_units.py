"""The unit for systemd and the program for supervisord say what the supervisor relies on, and are what is generated."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wsadapter.cli.main import run_command
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
        ("ConfigurationDirectory", "wsadapter"),
        (
            "ConfigurationDirectoryMode",
            "0750",
        ),  # as tmpfiles.conf makes it: of another one the journal tells at each start
        ("UMask", "0077"),
        ("LimitCORE", "0"),
        ("WatchdogSec", "30"),
        ("RestartPreventExitStatus", "64 78"),
        ("StartLimitIntervalSec", "0"),  # a cause that goes by itself (a full disk, a late mount) may take its time
    ],
)
def test_unit_setting(name: str, value: str) -> None:
    assert settings()[name] == [value]


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (("systemd",), "deploy/wsadapter.service"),
        (("sysusers",), "deploy/sysusers.conf"),
        (("tmpfiles",), "deploy/tmpfiles.conf"),
        (("supervisord", "--here"), "supervisord.conf"),
    ],
)
def test_what_is_shipped_is_what_is_generated(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], file: str
) -> None:
    assert run_command(["generate", *arguments]) == 0
    assert capsys.readouterr().out == (ROOT / file).read_text()


def test_every_path_can_be_another(capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--prefix", "/srv/w", "--config", "/srv/etc/w.toml", "--user", "rec"]
    assert run_command(["generate", "systemd", *own]) == 0
    unit = capsys.readouterr().out
    assert "ExecStart=/srv/w/bin/wsadapter-supervisor --config /srv/etc/w.toml\n" in unit
    assert "User=rec\nGroup=rec\n" in unit
    assert "/opt/" not in unit
    assert not re.search("@[A-Z]+@", unit)
    assert run_command(["generate", "supervisord", *own]) == 0
    program = capsys.readouterr().out
    assert "command = /srv/w/bin/wsadapter-supervisor --config /srv/etc/w.toml\n" in program
    assert "user = rec\n" in program
    assert not re.search("@[A-Z]+@", program)


@pytest.mark.parametrize(("tool", "file"), [("sysusers", "sysusers.conf"), ("tmpfiles", "tmpfiles.conf")])
def test_users_and_directories_are_made(tmp_path: Path, tool: str, file: str) -> None:
    """By the real tool, in a root of its own; as root only, to whom the directories belong."""
    if shutil.which(f"systemd-{tool}") is None or os.geteuid() != 0:
        pytest.skip(f"systemd-{tool} is not here, or we are not root")
    (tmp_path / "etc").mkdir()
    for one in ("sysusers", *((tool,) if tool == "tmpfiles" else ())):
        command = [f"systemd-{one}", f"--root={tmp_path}", str(ROOT / "deploy" / f"{one}.conf")]
        done = subprocess.run([*command, *(["--create"] if one == "tmpfiles" else [])], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    (user,) = [line for line in (tmp_path / "etc/passwd").read_text().splitlines() if line.startswith("wsadapter:")]
    assert user.split(":")[5] == "/var/lib/wsadapter"
    if tool == "tmpfiles":
        assert (tmp_path / "etc/wsadapter").stat().st_mode & 0o777 == 0o750
        assert (tmp_path / "var/lib/wsadapter").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "run/wsadapter").stat().st_mode & 0o777 == 0o700


def test_unit_waits_longer_than_the_drain_and_keeps_the_user() -> None:
    unit = settings()
    assert int(unit["TimeoutStopSec"][0]) > DRAIN + 1
    assert "DynamicUser" not in unit
    assert "PrivateIPC" not in unit  # the rings live in /dev/shm


@pytest.fixture
def runnable(tmp_path: Path) -> Path:
    """The unit with commands that exist here."""
    text = re.sub(r"(?m)^Exec(\w+)=\S+", rf"Exec\1={os.path.realpath('/bin/true')}", UNIT.read_text())
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
