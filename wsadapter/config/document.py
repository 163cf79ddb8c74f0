"""The configuration file: TOML, read once, bounded; every way in which it can be unreadable is told by name."""

import os
import stat
import tomllib
from typing import Any, Final

from wsadapter.config.convert import Errors

MAX_FILE_BYTES: Final = 1024 * 1024


def read_file(path: str, errors: Errors) -> dict[str, Any]:
    """Empty, with the error noted, when it cannot be read."""
    try:
        # a FIFO or a device would block or never end
        if not stat.S_ISREG(os.stat(path).st_mode):
            errors.add(path, "is not a file")
            return {}
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            errors.add(path, f"larger than {MAX_FILE_BYTES} bytes")
            return {}
        return tomllib.loads(content.decode())
    except OSError as error:
        errors.add(path, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        errors.add(path, f"not UTF-8 in line {error.object[: error.start].count(10) + 1}")
    except RecursionError:
        errors.add(path, "not TOML: nested too deep")
    except ValueError as error:  # TOMLDecodeError is one; a number of 5,000 digits and a path with NUL are others
        errors.add(path, f"not TOML: {error}")
    return {}
