"""The effective configuration, key by key: value, and where it came from. Secrets are masked."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from wsadapter.config.convert import is_internal, join
from wsadapter.config.load import DEFAULT, Loaded
from wsadapter.config.secrets import is_secret
from wsadapter.config.types import Secret

MASK: Final = "***"


class Setting(Struct, frozen=True):
    """``origin``: default, file, ``environment NAME``, ``.env NAME``, command line, or what it follows from."""

    key: str
    value: Any
    origin: str


def settings(loaded: Loaded) -> list[Setting]:
    """In the order of the model. A password that the environment gave is there, masked; one in a file is its path."""
    return [Setting(key, value, _origin(key, loaded.origins)) for key, value in _leaves(loaded.config, "")]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Secret):
        if value:
            yield path, MASK
    elif isinstance(value, Struct):
        for field in msgspec.structs.fields(value):
            inner = getattr(value, field.name)
            if not is_internal(field.type) or isinstance(inner, Secret):
                yield from _leaves(inner, join(path, field.name))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(Secret(str(inner)) if is_secret(key) else inner, join(path, key))
    elif isinstance(value, tuple) and value and isinstance(value[0], Struct):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    else:
        yield path, list(value) if isinstance(value, tuple) else value


def _origin(key: str, origins: Mapping[str, str]) -> str:
    return origins.get(key, DEFAULT)
