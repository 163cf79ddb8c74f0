"""The name of an instance that the configuration does not name.

A random one, drawn at the first run over a state directory and kept in its file ``instance``: two machines with the
same path must not share a name, as the members of Kafka's consumer group are told apart by it. A directory that was in
use before there was such a file keeps the name of that time, a hash of its path, under which its rings and its place
in the group are known; so does one whose file cannot be written.
"""

import hashlib
import os
import re
import secrets
from typing import Final

import msgspec

FILE: Final = "instance"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
MAX_BYTES: Final = 4096


def name_of(state_dir: str) -> str:
    """The kept name; where there is none that of the path. Writes nothing."""
    try:
        with open(os.path.join(state_dir, FILE), "rb") as file:
            name = msgspec.json.decode(file.read(MAX_BYTES), type=str)
    except (OSError, msgspec.MsgspecError, ValueError):
        return name_of_path(state_dir)
    return name if NAME.fullmatch(name) else name_of_path(state_dir)


def name_of_path(state_dir: str) -> str:
    """A hash of the path, links resolved."""
    resolved = os.path.realpath(os.path.expanduser(state_dir.replace("\0", "")))
    return hashlib.sha1(resolved.encode(errors="surrogateescape")).hexdigest()[:8]


def new_name() -> str:
    return secrets.token_hex(4)
