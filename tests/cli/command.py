"""The real command in a process of its own, in an empty directory and with nothing of our environment."""

import os
import subprocess
import sys
from pathlib import Path


def run(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """State goes to ``directory/state``."""
    return subprocess.run(
        [sys.executable, "-m", "wsadapter.cli.main", *arguments],
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "STATE_DIRECTORY": str(directory / "state"),
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
