"""Would each of the clients that a run has reach Kafka, and be allowed what it will do? Asks only; changes nothing.

A producer, a member of the consumer group and an admin client are made with the settings of a run, and asked at the
same time: settings passed to one of them alone may keep it out. What is allowed is asked of the broker: on topics that
exist their operations, for those that do not a creation that it is told to check and not to do.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]  # not in __all__
from confluent_kafka.cimpl import NewTopic

from wsadapter.config import kafka_security
from wsadapter.config.model import KafkaConfig
from wsadapter.config.types import address
from wsadapter.errors import Reason, ServiceUnavailable
from wsadapter.events.streams import DEAD_LETTER, SPECS
from wsadapter.executor import DaemonExecutor
from wsadapter.kafka.admin import Admin
from wsadapter.kafka.errors import AUTHORIZATION, Heard
from wsadapter.kafka.settings import LIBRDKAFKA, admin_config, consumer_config, group_id, producer_config
from wsadapter.kafka.topics import partitions_of, topic_name
from wsadapter.text import some

STEP_SECONDS: Final = 1.0
CERTAIN: Final = (Reason.TLS, Reason.AUTHENTICATION, Reason.AUTHORIZATION)
"""A cause that is known after a step and will not pass: another broker would have answered. (Of an address that refuses
a connection there may be another, such as 127.0.0.1 behind ::1.)"""
HANDSHAKE_SECONDS: Final = 3.0
NEEDED: Final = (AclOperation.READ, AclOperation.WRITE)


def ask(kafka: KafkaConfig, timeout: float) -> int:
    """How many brokers there are. `ServiceUnavailable` says which client got no answer and why, or what it may not."""
    asked: dict[str, Callable[[], Any]] = {
        "admin": lambda: _metadata(AdminClient, admin_config(kafka), kafka, timeout),
        "producer": lambda: _metadata(Producer, producer_config(kafka), kafka, timeout),
        "consumer": lambda: _metadata(Consumer, _member(kafka), kafka, timeout),
    }
    threads = DaemonExecutor(len(asked), "check")
    answers: dict[str, Future[Any]] = {client: threads.call(question) for client, question in asked.items()}
    wait(answers.values())
    failures = {client: error for client, answer in answers.items() if (error := answer.exception()) is not None}
    for error in failures.values():
        if not isinstance(error, ServiceUnavailable):
            raise error
    if failures:
        raise _explained(kafka, _summary(failures, len(asked)))
    cluster = answers["admin"].result()
    if (brokers := len(cluster.brokers)) < kafka.replication_factor:
        raise ServiceUnavailable(f"{brokers} brokers, kafka.replication_factor wants {kafka.replication_factor}")
    _check_allowed(kafka, set(cluster.topics), timeout)
    return brokers


def _summary(failures: dict[str, Any], clients: int) -> ServiceUnavailable:
    first: ServiceUnavailable = next(iter(failures.values()))
    if len(failures) == clients and len({error.reason for error in failures.values()}) == 1:
        return first  # one cause is one line
    return ServiceUnavailable("; ".join(f"{client}: {error}" for client, error in failures.items()), first.reason)


def _explained(kafka: KafkaConfig, failure: ServiceUnavailable) -> ServiceUnavailable:
    """librdkafka has one text for whatever is wrong with a certificate, and none for a listener that wants TLS: a
    handshake of our own says which."""
    used = kafka_security.effective(kafka)
    has_tls = str(used.get("security.protocol", "")).upper().endswith("SSL")
    if failure.reason is Reason.TLS and has_tls:
        for server in kafka.bootstrap_servers.split(","):
            if detail := _handshake(server, used.get("ssl.ca.location")):
                return ServiceUnavailable(Reason.TLS.sentence(f"Kafka at {server}", detail), Reason.TLS)
    elif failure.reason is Reason.AUTHENTICATION and not has_tls:
        for server in kafka.bootstrap_servers.split(","):
            if _speaks_tls(server):
                detail = "the listener speaks TLS: kafka.security_protocol must be SSL or SASL_SSL"
                return ServiceUnavailable(Reason.TLS.sentence(f"Kafka at {server}", detail), Reason.TLS)
    return failure


def _speaks_tls(server: str) -> bool:
    """Whether it shows a certificate, be it a good one or not."""
    host, port = address(server)
    try:
        with socket.create_connection((host, port), HANDSHAKE_SECONDS) as connection:
            ssl.create_default_context().wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError:
        return True
    except OSError:  # ssl.SSLError is one
        return False
    return True


def _handshake(server: str, ca: str | None) -> str | None:
    """Why TLS with this server fails; empty: it does not; None: it is no matter of TLS."""
    host, port = address(server)
    context = ssl.create_default_context(cafile=ca)
    try:
        with socket.create_connection((host, port), HANDSHAKE_SECONDS) as connection:
            context.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return f"{error.verify_message} (kafka.ssl_ca: {ca or 'that of the system'})"
    except ssl.SSLError as error:
        return error.reason or str(error)
    except OSError:
        return None
    return ""


def _member(kafka: KafkaConfig) -> dict[str, Any]:
    settings = consumer_config(kafka, "")
    del settings["group.instance.id"]
    return settings


def _metadata(make: Callable[..., Any], settings: dict[str, Any], kafka: KafkaConfig, timeout: float) -> Any:
    heard = Heard(LIBRDKAFKA)
    client = make({**settings, "error_cb": heard.note, "logger": heard})
    until = time.monotonic() + timeout
    try:
        while True:
            try:
                return client.list_topics(timeout=min(STEP_SECONDS, timeout))
            except KafkaException as error:
                client.poll(0)  # serves what it heard
                if heard.reason in CERTAIN or time.monotonic() >= until:
                    raise heard.unavailable(kafka.bootstrap_servers, "", error) from None
    finally:
        if make is Consumer:
            client.close()


def _check_allowed(kafka: KafkaConfig, there: set[str], timeout: float) -> None:
    names = [topic_name(kafka, name) for name in (*(spec.name for spec in SPECS), DEAD_LETTER)]
    admin = Admin(kafka)
    refused: list[str] = []
    if missing := [NewTopic(n, partitions_of(kafka, n), kafka.replication_factor) for n in names if n not in there]:
        created = admin.create_topics(missing, request_timeout=timeout, validate_only=True)
        refused += _refused("create", created.items())
    if existing := [name for name in names if name in there]:
        described = admin.describe_topics(
            TopicCollection(existing), include_authorized_operations=True, request_timeout=timeout
        )
        refused += _refused("describe", described.items())
        for name, answer in described.items():
            refused += _missing_operations(f"topic {name}", answer, NEEDED)
    group = group_id(kafka)
    groups = admin.describe_consumer_groups([group], include_authorized_operations=True, request_timeout=timeout)
    refused += _refused("read group", groups.items())
    refused += _missing_operations(f"group {group}", groups[group], (AclOperation.READ,))
    if refused:
        text = Reason.AUTHORIZATION.sentence(f"Kafka at {kafka.bootstrap_servers}", some(refused))
        raise ServiceUnavailable(text, Reason.AUTHORIZATION)


def _refused(deed: str, answers: Iterable[tuple[str, Future[Any]]]) -> list[str]:
    """What we are not allowed; any other error is one of asking so (a group that is not there, an old broker)."""
    named = []
    for name, answer in answers:
        error = answer.exception()
        if isinstance(error, KafkaException) and error.args[0].code() in AUTHORIZATION:
            named.append(f"{deed} {name}")
    return named


def _missing_operations(what: str, answer: Future[Any], needed: Iterable[AclOperation]) -> list[str]:
    if answer.exception() is not None or not (allowed := answer.result().authorized_operations):
        return []
    return [f"{operation.name.lower()} {what}" for operation in needed if operation not in allowed]
