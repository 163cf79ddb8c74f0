"""Consumers between the shared broker and the shared engine; topics and databases are each test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from roles.consumer.consumer_rig import Rig


@pytest.fixture
def make_rig(kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(**settings: Any) -> Rig:
        rigs.append(Rig(kafka, clickhouse, tmp_path, **settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """Not started."""
    return make_rig()
