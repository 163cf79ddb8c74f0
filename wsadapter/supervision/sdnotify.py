"""Tell systemd: READY, STATUS, WATCHDOG, STOPPING, RELOADING as datagrams to $NOTIFY_SOCKET. Without it: silence.

Never blocks and never raises: a service manager that does not listen is no reason to stop recording. The environment
is read once and given by the caller, so that children never inherit the right to speak for the service.
"""

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

ENVIRONMENT: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._socket: socket.socket | None = None
        self._address = ""
        self._status = ""
        self.watchdog_interval = _watchdog_interval(environ)
        """Seconds between two WATCHDOG=1, half of what the manager allows; None when it does not watch."""
        path = environ.get("NOTIFY_SOCKET", "")
        if path[:1] in ("/", "@"):
            # an abstract address is written with '@' for the leading zero byte
            self._address = "\0" + path[1:] if path[0] == "@" else path
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def ready(self) -> None:
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; sent when it changes."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def watchdog(self) -> None:
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:
            return  # nobody listens or its queue is full; READY and STOPPING are seen by systemd in other ways too


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if microseconds.isdecimal() and int(microseconds) > 0 else None
