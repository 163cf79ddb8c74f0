"""Why the pipeline is not ready, one line a cause. Pure.

What several processes say alike is one line that names them. A process that waits for a service says nothing beside
what it waits for; and where the service is a stand-in of this run that is not there, its clients say nothing at all.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

MAX_NAMED: Final = 5
"""Processes that are named in one line."""
CLIENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "serializer": ("kafka",),
    "consumer": ("kafka", "clickhouse"),
    "repairer": ("kafka",),
}
"""Role -> roles of the stand-ins that it is a client of."""


class Cause(Struct, frozen=True):
    """``name``: who says it. ``service``: the role of the stand-in that it is about, if there were one.
    ``is_waiting``: says no more than that it waits."""

    name: str
    text: str
    role: str = ""
    service: str = ""
    is_waiting: bool = False


def lines(causes: Iterable[Cause]) -> list[str]:
    found = _without_consequences(list(causes))
    names: dict[str, list[str]] = {}
    for cause in found:
        named = names.setdefault(cause.text, [])
        if cause.name not in named:
            named.append(cause.name)
    return [f"{_joined(named)}: {text}" for text, named in names.items()]


def _without_consequences(causes: list[Cause]) -> list[Cause]:
    services = {service for services in CLIENTS.values() for service in services}
    missing = {cause.role for cause in causes if cause.role in services}
    explained = {cause.name for cause in causes if not cause.is_waiting}
    return [
        cause
        for cause in causes
        if cause.service not in missing
        and not (cause.is_waiting and (cause.name in explained or missing & {*CLIENTS.get(cause.role, ())}))
    ]


def _joined(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
