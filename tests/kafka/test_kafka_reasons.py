"""Why a broker does not answer, from what librdkafka says of it."""

import pytest
from confluent_kafka import KafkaError

from wsadapter.errors import Reason
from wsadapter.kafka.errors import detail_of, reason_of

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
