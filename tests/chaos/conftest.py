"""What a run of chaos strikes: a loopback venue as fast as the test's file says (``RATE``, ``SEED``), a broker and an
engine of its own."""

from collections.abc import Callable, Iterator

import pytest

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import ClickHouseServer, KafkaServer, VenueThread


@pytest.fixture
def venue(request: pytest.FixtureRequest) -> Iterator[VenueThread]:
    said = request.module
    with VenueThread(lambda: LoopbackVenue(Options(rate=said.RATE, seed=said.SEED))) as made:
        yield made


@pytest.fixture
def broker(own_kafka: Callable[[], KafkaServer]) -> KafkaServer:
    return own_kafka().start()


@pytest.fixture
def engine(own_clickhouse: Callable[[], ClickHouseServer]) -> ClickHouseServer:
    return own_clickhouse().start()
