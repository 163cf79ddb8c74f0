"""What every librdkafka client of ours is told: about brokers that do not answer, and how much one is to gather."""

import pytest

from wsadapter.config.model import ClickHouseConfig, KafkaConfig
from wsadapter.kafka import settings

CONTROLLER_MS = 9_000
"""``broker.session.timeout.ms``: a broker that is silent for so long leads nothing any more."""
CLIENTS = {
    "producer": settings.producer_config,
    "consumer": lambda kafka: settings.consumer_config(kafka, "i"),
    "repairer": settings.repairer_config,
    "lookup": settings.lookup_config,
    "reader": settings.reader_config,
    "admin": settings.admin_config,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_frozen_broker_is_given_up_when_others_lead_and_before_a_session_ends(client: str) -> None:
    used = CLIENTS[client](KafkaConfig())

    assert CONTROLLER_MS < used["socket.timeout.ms"] < used.get("session.timeout.ms", 30_000)
    assert used["socket.timeout.ms"] >= used.get("fetch.wait.max.ms", 0) + 1_000, "librdkafka warns of less"


def test_a_leader_that_waits_for_its_followers_says_so_before_it_counts_as_frozen() -> None:
    used = settings.producer_config(KafkaConfig())

    assert used["request.timeout.ms"] < used["socket.timeout.ms"]
    assert used["message.timeout.ms"] == 0, "it is sent again for ever"
    assert used["enable.idempotence"], "and is in the log once"


def test_another_timeout_may_be_configured() -> None:
    kafka = KafkaConfig(producer={"socket.timeout.ms": 60_000}, consumer={"socket.timeout.ms": 45_000})

    assert settings.producer_config(kafka)["socket.timeout.ms"] == 60_000
    assert settings.admin_config(kafka)["socket.timeout.ms"] == 60_000, "as the producer's"
    assert settings.consumer_config(kafka, "i")["socket.timeout.ms"] == 45_000


def test_only_for_what_is_batched_does_the_broker_gather() -> None:
    fetched = {client: make(KafkaConfig()) for client, make in CLIENTS.items()}

    gathering = {client for client, used in fetched.items() if used.get("fetch.min.bytes", 1) > 1}
    assert gathering == {"consumer"}, "the others hand on what comes when it comes"
    assert fetched["consumer"]["fetch.wait.max.ms"] <= 100 * ClickHouseConfig().batch_seconds, "a tenth of a batch"
    assert fetched["consumer"]["fetch.min.bytes"] < fetched["consumer"]["fetch.max.bytes"]
