"""The file `.env` of the working directory: KEY=VALUE lines, as shells and compose files read them.

Bounded, and read once. Every message names a line, never a value: it may hold secrets of other programs.
"""

import os
import re
import stat
from typing import Final

from wsadapter.config.convert import Errors

MAX_DOTENV_BYTES: Final = 65_536
_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\[\\"nt$])*)"\s*(?:#.*)?')
_SINGLE: Final = re.compile(r"'([^']*)'\s*(?:#.*)?")
_ESCAPES: Final = {"n": "\n", "t": "\t"}


def read_dotenv(path: str | None, errors: Errors) -> dict[str, str]:
    """Empty where there is none; what is wrong with it is noted."""
    if path is None or (text := _text(path, errors)) is None:
        return {}
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        value = _unquoted(match[2]) if match else None
        if match is None or value is None:
            errors.add(f"{os.path.basename(path)}:{number}", "must be KEY=VALUE, with both quotes or none")
        elif match[1] in values:
            errors.add(f"{os.path.basename(path)}:{number}", f"{match[1]} is set twice")
        else:
            values[match[1]] = value
    return values


def _text(path: str, errors: Errors) -> str | None:
    name = os.path.basename(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            errors.add(name, "is not a file")
            return None
        with open(path, "rb") as file:
            content = file.read(MAX_DOTENV_BYTES + 1)
        if len(content) <= MAX_DOTENV_BYTES:
            return content.decode("utf-8-sig")
        errors.add(name, f"larger than {MAX_DOTENV_BYTES} bytes")
    except FileNotFoundError:
        return None
    except OSError as error:
        errors.add(name, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        errors.add(name, f"not UTF-8 at byte {error.start}")
    return None


def _unquoted(value: str) -> str | None:
    """The value without its quotes and comment; None when it is malformed."""
    if value.startswith('"'):
        match = _DOUBLE.fullmatch(value)
        return match and re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), match[1])
    if value.startswith("'"):
        match = _SINGLE.fullmatch(value)
        return match and match[1]
    # as shells do: a # begins a comment only after white space
    value = re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()
    return None if '"' in value or "'" in value else value
