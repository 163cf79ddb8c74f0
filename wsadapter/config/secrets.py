"""Passwords and keys: where they come from, and how a rotation is noticed.

Of a password the environment's text comes first (KAFKA_SASL_PASSWORD, CLICKHOUSE_PASSWORD), then the file that the
configuration names, then a systemd credential of the key's own name (``LoadCredential=clickhouse.password:FILE``). A
file is read by who needs it, when he needs it; the configuration has its path, and a digest of its content under a
key of this process alone, so that a reload sees that it changed and nobody can guess it from the digest.
"""

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from wsadapter.config.types import MAX_SECRET_BYTES, Secret
from wsadapter.errors import ServiceUnavailable

CREDENTIALS: Final[Mapping[str, str]] = {
    "kafka.sasl_password_file": "kafka.sasl_password",
    "kafka.ssl_key_password_file": "kafka.ssl_key_password",
    "clickhouse.password_file": "clickhouse.password",
}
"""Key -> the systemd credential that is its default."""
_MAX_CERTIFICATE_BYTES: Final = 4 * 1024 * 1024
_KEY: Final = secrets.token_bytes(32)
_SECRET: Final = re.compile(r"secret|password|passphrase|key\.pem$", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether the value of a setting of this name, of another's program, is a secret itself, and not where it is: by
    the words in it, since a list of theirs lacks what the next version brings."""
    return bool(_SECRET.search(name))


def credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Key -> path of the credentials that systemd gives us."""
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    paths = {key: os.path.join(directory, name) for key, name in CREDENTIALS.items()} if directory else {}
    return {key: path for key, path in paths.items() if os.path.isfile(path)}


def password(given: Secret, path: str, key: str) -> str:
    """As it is now; empty when there is none. `ServiceUnavailable` names ``key`` when it cannot be read."""
    if given or not path:
        return given.value
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        return content.decode().rstrip("\r\n")
    except OSError as error:
        raise ServiceUnavailable(f"{key} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ServiceUnavailable(f"{key} is not UTF-8") from None


def digest(paths: Iterable[str]) -> str:
    """Of what is in these files now; one that cannot be read counts as such."""
    total = hashlib.blake2b(key=_KEY, digest_size=16)
    named = [path for path in paths if path]
    for path in named:
        try:
            with open(path, "rb") as file:
                content = file.read(_MAX_CERTIFICATE_BYTES)
        except OSError as error:
            content = str(error.errno).encode()
        total.update(hashlib.blake2b(content, key=_KEY).digest())
    return total.hexdigest() if named else ""


def is_open_to_others(path: str) -> bool:
    """Whether any user of this machine can read it."""
    try:
        return bool(Path(path).stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
