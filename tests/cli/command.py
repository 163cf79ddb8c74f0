"""The real command in an empty directory and with nothing of our environment: in its own process, or in this one."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from wsadapter.cli.main import run_command


def run(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """State goes to ``directory/state``."""
    return subprocess.run(
        [sys.executable, "-m", "wsadapter.cli.main", *arguments],
        cwd=directory,
        env=_environment(directory, environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def call(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, for tests whose subject is what the command says and not the process: a start costs
    half a second of CPU. Not for a command that starts, waits or writes beyond Python's own streams."""
    told, said = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(directory),
        mock.patch.dict(os.environ, _environment(directory, environ), clear=True),
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(said),
    ):
        code = run_command([*arguments])
    return subprocess.CompletedProcess(arguments, code, told.getvalue(), said.getvalue())


def _environment(directory: Path, environ: dict[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "STATE_DIRECTORY": str(directory / "state"),
        **environ,
    }
