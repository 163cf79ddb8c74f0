"""A command on a pseudo-terminal, as a person sees it: so many columns and lines, nothing of our environment's."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(
    command: Sequence[str],
    columns: int,
    lines: int = 24,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> tuple[int, str]:
    """Exit code, and what was written to the terminal, without colours and moves of the cursor."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    clean = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env={**clean, "TERM": "xterm", **(environ or {})}
    )
    os.close(slave)
    written = bytearray()
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # EIO: nobody has the terminal any more
            break
        if not chunk:
            break
        written += chunk
    os.close(master)
    return process.wait(60), _CONTROL.sub("", written.decode()).replace("\r\n", "\n")
