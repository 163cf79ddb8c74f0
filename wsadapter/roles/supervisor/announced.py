"""Which children wait until a stand-in of their own run is up, and how they learn of it.

Nobody is surprised that a Kafka which this run starts does not answer yet: its clients wait for its announcement, try
nothing and warn of nothing before, for `PATIENCE_SECONDS` at most; of a service of several processes for all of them.
Owns one eventfd a process of a service, for the life of the run.
"""

import os
import time
from collections.abc import Iterable
from typing import Final

from msgspec import structs

from wsadapter.roles.orders import CLIENTS
from wsadapter.supervision.child import Awaited
from wsadapter.supervision.process import ChildSpec

PATIENCE_SECONDS: Final = 30.0


class Announced:
    def __init__(self) -> None:
        self._services: dict[str, Awaited] = {}
        """Name of the process -> what its clients wait for."""

    def connect(self, specs: Iterable[ChildSpec]) -> tuple[ChildSpec, ...]:
        """The same children, told who announces itself and who waits for that."""
        children = tuple(specs)
        for spec in children:
            if spec.role in CLIENTS and spec.name not in self._services:
                bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                self._services[spec.name] = Awaited(spec.role, bell, time.monotonic() + PATIENCE_SECONDS)
        return tuple(self._connected(spec) for spec in children)

    def _connected(self, spec: ChildSpec) -> ChildSpec:
        if spec.name in self._services:
            return structs.replace(spec, announces=self._services[spec.name].fd)
        awaits = tuple(one for one in self._services.values() if spec.role in CLIENTS[one.service])
        return structs.replace(spec, awaits=awaits) if awaits else spec

    def close(self) -> None:
        for service in self._services.values():
            os.close(service.fd)
        self._services.clear()
