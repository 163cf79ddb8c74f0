"""Standard error of a run and all its processes, line by line on the console of the live table.

A table that is drawn in place and lines that others write to the same terminal would leave ghosts of it. So standard
error becomes a pipe, whose reader prints above the table. Records come as JSON and are shown as the configuration says:
as text for a person, unless it asks for JSON. What is no record (a JVM's words, a stack dump) is shown as it is.

Guarantees: the pipe is always read, whatever becomes of the terminal, so that nobody who logs is held up; a line is
bounded. Owns the pipe and its thread; `close` gives standard error back.
"""

import contextlib
import os
import threading
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.text import Text

from wsadapter import log

CHUNK: Final = 65_536
MAX_LINE: Final = 1_048_576
"""A longer one is shown in parts."""
CLOSE_SECONDS: Final = 1.0
STYLES: Final = {"warning": "yellow", "error": "red", "critical": "bold red"}


class LogLines:
    def __init__(self, console: Console, as_text: bool) -> None:
        self._console, self._as_text = console, as_text
        self._standard_error = os.dup(2)
        self._pipe, theirs = os.pipe()
        os.dup2(theirs, 2)
        os.close(theirs)
        self._thread = threading.Thread(target=self._read, name="log lines", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Show what came until now; a process that holds the pipe open is not waited for."""
        os.dup2(self._standard_error, 2)
        os.close(self._standard_error)
        self._thread.join(CLOSE_SECONDS)

    def _read(self) -> None:
        rest = b""
        while chunk := os.read(self._pipe, CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._show(line)
        if rest:
            self._show(rest)
        os.close(self._pipe)

    def _show(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        style = ""
        if self._as_text and (record := _record(line)):
            text, style = log.as_text(record), STYLES.get(str(record.get("level")), "")
        with contextlib.suppress(OSError):  # the terminal is gone
            self._console.print(Text(log.escaped(text), style), soft_wrap=True)


def _record(line: bytes) -> dict[str, Any]:
    """Empty when it is none."""
    if not line.startswith(b"{"):
        return {}
    try:
        record = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}
    return record if isinstance(record, dict) and "event" in record else {}
