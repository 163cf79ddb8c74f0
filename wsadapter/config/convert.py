"""Plain tables to typed Structs, with every error at once.

`msgspec.convert` stops at the first error; an operator wants all of them. So each leaf is converted alone, its error
noted under its key path, and a Struct is only built when nothing is wrong. Generic: knows no section of ours.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

from wsadapter.config.types import INTERNAL

S = TypeVar("S", bound=Struct)

MAX_ITEMS: Final = 10_000
"""Longest list or table: a bound, not a wish."""

INVALID: Final = object()
"""What a refused leaf leaves behind; it never enters a Struct."""


class Errors:
    """(key path, message) in the order of the file, each once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], None] = {}

    def add(self, path: str, message: str) -> None:
        self._found[path, message] = None

    def __contains__(self, path: str) -> bool:
        return any(found == path for found, _ in self._found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def all(self) -> list[tuple[str, str]]:
        return list(self._found)


def table(value: object, path: str, errors: Errors) -> dict[str, Any]:
    """``value`` when it is a table, else an error and an empty one."""
    if isinstance(value, dict):
        return value
    errors.add(path, f"must be a table, not {_type_name(value)}")
    return {}


def settable(kind: type[Struct]) -> tuple[str, ...]:
    """The keys of a section that a file may have."""
    return tuple(field.name for field in msgspec.structs.fields(kind) if not is_internal(field.type))


def is_internal(hint: Any) -> bool:
    metas = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return any((meta.extra or {}).get(INTERNAL) for meta in metas)


def unknown_keys(raw: Mapping[str, object], known: tuple[str, ...], prefix: str, errors: Errors) -> None:
    for key in raw:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f", did you mean {close[0]}?" if close else f"; known here: {' '.join(known)}"
            errors.add(join(prefix, key), "unknown key" + hint)


def join(prefix: str, key: str) -> str:
    """``prefix.key``; a key that is no bare TOML key is shown quoted, on one line and bounded."""
    bare = key if key.replace("_", "").replace("-", "").replace(".", "").isalnum() and key.isascii() else ascii(key)
    bare = bare if len(bare) <= 80 else bare[:80] + "..."
    return f"{prefix}.{bare}" if prefix else bare


def build(kind: type[S], raw: Mapping[str, object], where: Callable[[str], str], errors: Errors) -> S | None:
    """``kind`` from the keys of ``raw`` (unknown ones are the caller's to refuse); None when one of them is wrong.
    ``where`` gives the path an operator knows a field by."""
    values: dict[str, Any] = {}
    before = len(errors)
    for field in msgspec.structs.fields(kind):
        if field.name in raw:
            values[field.name] = leaf(field.type, raw[field.name], where(field.name), errors)
        elif field.required:
            errors.add(where(field.name), "missing")
    return kind(**values) if len(errors) == before else None


def leaf(hint: Any, value: object, path: str, errors: Errors) -> Any:
    """``value`` as ``hint``, element by element; INVALID when refused."""
    plain, extras = hint, list[dict[str, Any]]()
    if get_origin(hint) is Annotated:
        plain, *metas = get_args(hint)
        extras = [meta.extra or {} for meta in metas]
    if get_origin(plain) is tuple:
        return _elements(get_args(plain)[0], value, path, errors)
    if get_origin(plain) is dict:
        return {
            key: leaf(get_args(plain)[1], element, join(path, key), errors)
            for key, element in _bounded(table(value, path, errors), path, errors).items()
        }
    for extra in extras:
        if "several" in extra:
            return _joined(extra["several"], value, path, errors)
    try:
        for extra in extras:
            value = extra["before"](value) if "before" in extra else value
        value = msgspec.convert(value, hint)
        for extra in extras:
            value = extra["check"](value) if "check" in extra else value
    except (msgspec.ValidationError, ValueError) as error:  # our own checks raise ValueError
        errors.add(path, _said(error))
        return INVALID
    return value


def _elements(hint: Any, value: Any, path: str, errors: Errors) -> Any:
    if not isinstance(value, list | tuple):
        errors.add(path, f"must be a list, not {_type_name(value)}")
        return INVALID
    value = _bounded(value, path, errors)
    result = tuple(leaf(hint, element, f"{path}[{i}]", errors) for i, element in enumerate(value))
    seen = set()
    for i, element in enumerate(result):
        if element is not INVALID and element in seen:
            errors.add(f"{path}[{i}]", f"{element!a} stands there twice")
        seen.add(element)
    return result


def _joined(hint: Any, value: object, path: str, errors: Errors) -> Any:
    """Text of one element, of several with commas between, or a list: kept as text with commas."""
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if isinstance(parts, list) and len(parts) == 1:
        return leaf(hint, parts[0], f"{path}[0]" if isinstance(value, list) else path, errors)
    if not isinstance(parts, list) or not parts:
        errors.add(path, "names none" if parts == [] else f"must be text or a list, not {_type_name(value)}")
        return INVALID
    result = _elements(hint, parts, path, errors)
    return INVALID if INVALID in result else ",".join(result)


def _bounded(value: Any, path: str, errors: Errors) -> Any:
    if len(value) <= MAX_ITEMS:
        return value
    errors.add(path, f"has {len(value)} elements, at most {MAX_ITEMS} are allowed")
    return type(value)()


def _said(error: Exception) -> str:
    """msgspec's ``Expected `int`, got `str` `` in the voice of the other messages."""
    text = str(error)
    if text.startswith("Expected "):
        text = "must be " + text[len("Expected ") :].replace("`", "").replace(", got ", ", not ")
    return text


_NAMES: Final = {dict: "a table", list: "a list", tuple: "a list", str: "text", bool: "true or false", int: "a number"}


def _type_name(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)
