"""Why a broker does not answer, from what librdkafka says of it."""

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import Reason, ServiceUnavailable
from wsadapter.kafka.admin import Admin
from wsadapter.kafka.errors import detail_of, reason_of
from wsadapter.kafka.time_range_reader import OffsetRangeReader
from wsadapter.kafka.topics import record_at
from wsadapter.roles.consumer.dead_letters import DeadLetterProducer

SCRAM = (
    "sasl_plaintext://127.0.0.1:9092/1: SASL SCRAM-SHA-256 mechanism handshake failed: Local: {}: broker's supported "
)


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (KafkaError._AUTHENTICATION, SCRAM.format("Broker transport failure") + "mechanisms: (n/a)", Reason.UNKNOWN),
        (KafkaError._AUTHENTICATION, SCRAM.format("Timed out") + "mechanisms: (n/a)", Reason.SLOW),
        (KafkaError._AUTHENTICATION, "SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL "
         "mechanism: broker's supported mechanisms: PLAIN", Reason.AUTHENTICATION),
        (KafkaError._AUTHENTICATION, "SASL authentication error: Authentication failed", Reason.AUTHENTICATION),
        (KafkaError._TRANSPORT, "Connect to ipv4#127.0.0.1:9092 failed: Connection refused", Reason.REFUSED),
    ],
)  # fmt: skip
def test_one_that_goes_away_amid_the_handshake_has_refused_nobody(code: int, text: str, reason: Reason) -> None:
    assert reason_of(KafkaError(code, text)) is reason


def test_how_often_it_was_is_no_part_of_the_cause() -> None:
    text = "host:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT{})"

    assert detail_of(text.format(", 32 identical error(s) suppressed")) == detail_of(text.format(""))
    assert detail_of(text.format("")).endswith("Connection refused")


@pytest.mark.parametrize(
    "make",
    [
        Admin,
        lambda kafka: OffsetRangeReader(kafka, print),
        lambda kafka: record_at(kafka, ("a", 0), 0, 1.0),
        lambda kafka: DeadLetterProducer(kafka).dead_letters("a", 0, [(1, b"", "", "")], set()),
    ],
)
def test_a_certificate_that_is_just_being_replaced_is_a_service_that_is_unavailable(
    make: Callable[[KafkaConfig], object],
) -> None:
    """Of clients that are made while a process runs: it goes on with those that it has."""
    with pytest.raises(ServiceUnavailable, match=r"TLS failed: .*ssl\.ca\.location failed") as caught:
        make(KafkaConfig(security_protocol="SSL", ssl_ca="/nonexistent"))

    assert caught.value.reason is Reason.TLS
