"""The whole demo in a network of its own that has nothing but loopback: no download at run time, no telemetry."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

SCRIPT = """
ip link set lo up || exit 99
exec "$0" --embedded --demo --for 3s
"""


def test_the_demo_needs_loopback_only(installed_kafka: None, tmp_path: Path) -> None:
    tools = all(shutil.which(tool) for tool in ("unshare", "ip"))
    if not tools or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("a network of its own cannot be had here")
    command = str(Path(sys.executable).with_name("wsadapter-supervisor"))
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", SCRIPT, command],
        cwd=tmp_path,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0  duplicates 0" in done.stdout
