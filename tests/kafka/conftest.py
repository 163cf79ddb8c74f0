"""librdkafka's in-memory broker, one for the tests of a file."""

from collections.abc import Iterator

import pytest
from kafka.mock_broker import Broker


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.cluster.flush(5)
