"""How long a host must be left alone, remembered beyond the process: one small file per host in the state directory.

Wall-clock time, as a ban lasts whatever we do; mode 0600, replaced whole. A file that cannot be read is as good as
none, and no entry is believed for longer than the longest ban: a clock that was wrong must not silence us for ever.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from wsadapter.rest.budget import BAN


class Ban(Struct, frozen=True):
    """``host`` is for whoever reads the file; ``until`` are seconds since the epoch."""

    host: str
    until: float
    reason: str


_decode: Final = msgspec.json.Decoder(Ban).decode


class Bans:
    """The file of one host. Written by the one process that asks it."""

    def __init__(self, state_dir: str, host: str) -> None:
        name = hashlib.sha1(host.encode()).hexdigest()[:12]
        self._path = Path(state_dir) / f"rest-ban-{name}.json"
        self._host = host

    def remaining(self, wall: float) -> float:
        """Seconds that the remembered ban lasts yet."""
        try:
            ban = _decode(self._path.read_bytes())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return 0.0
        return min(max(0.0, ban.until - wall), BAN.maximum)

    def keep(self, until: float, reason: str) -> None:
        beside = self._path.with_suffix(".new")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, msgspec.json.encode(Ban(self._host, until, reason)))
            os.fsync(fd)
        finally:
            os.close(fd)
        beside.replace(self._path)
