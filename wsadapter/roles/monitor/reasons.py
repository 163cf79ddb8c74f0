"""Why the pipeline is not ready, one line a cause. Pure.

What several processes say alike is one line that names them. A process that waits for a service says nothing beside
what it waits for; and where the service is a stand-in of this run that is not there, its clients say nothing at all.
"""

from collections.abc import Iterable

from msgspec import Struct

from wsadapter.roles.orders import CLIENTS
from wsadapter.text import some


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
    return [f"{some(named)}: {text}" for text, named in names.items()]


def _without_consequences(causes: list[Cause]) -> list[Cause]:
    missing = {cause.role for cause in causes if cause.role in CLIENTS}
    waiting = {role for service in missing for role in CLIENTS[service]}
    explained = {cause.name for cause in causes if not cause.is_waiting}
    return [
        cause
        for cause in causes
        if cause.service not in missing
        and not (cause.is_waiting and (cause.name in explained or cause.role in waiting))
    ]
