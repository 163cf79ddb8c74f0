"""Which children wait until a stand-in of their own run is up, and how they learn of it.

Nobody is surprised that a Kafka which this run starts does not answer yet: its clients wait for its announcement, try
nothing and warn of nothing before, for `PATIENCE_SECONDS` at most. Owns one eventfd a service, for the life of the run.
"""

import os
import time
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import structs

from wsadapter.supervision.child import Awaited
from wsadapter.supervision.process import ChildSpec

PATIENCE_SECONDS: Final = 30.0
CLIENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "kafka": ("serializer", "consumer", "repairer"),
    "clickhouse": ("consumer",),
}
"""Role of a stand-in -> roles of those who wait for it."""


class Announced:
    def __init__(self) -> None:
        self._services: dict[str, Awaited] = {}

    def connect(self, specs: Iterable[ChildSpec]) -> tuple[ChildSpec, ...]:
        """The same children, told who announces itself and who waits for that."""
        children = tuple(specs)
        for spec in children:
            if spec.role in CLIENTS and spec.role not in self._services:
                bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                self._services[spec.role] = Awaited(spec.role, bell, time.monotonic() + PATIENCE_SECONDS)
        return tuple(self._connected(spec) for spec in children)

    def _connected(self, spec: ChildSpec) -> ChildSpec:
        if spec.role in self._services:
            return structs.replace(spec, announces=self._services[spec.role].fd)
        awaits = tuple(one for role, one in self._services.items() if spec.role in CLIENTS[role])
        return structs.replace(spec, awaits=awaits) if awaits else spec

    def close(self) -> None:
        for service in self._services.values():
            os.close(service.fd)
        self._services.clear()
