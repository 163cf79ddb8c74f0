"""A real Kafka with TLS and SASL: whatever keeps a client out is said in words, in `check`, by a role's start, once."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import confluent_kafka.admin as acl_module
import pytest
from cli.command import run
from documents import pages
from eventually import eventually
from secured_kafka import SCRAM, SecuredKafka, authority, secured_kafka

from wsadapter.config.model import Config, KafkaConfig, ServiceConfig
from wsadapter.config.types import Secret
from wsadapter.embedded.ports import free_port
from wsadapter.errors import ExitCode, Reason, ServiceUnavailable
from wsadapter.kafka import reachability
from wsadapter.kafka.errors import AUTHORIZATION
from wsadapter.kafka.topics import ensure_topics, message_limit, partition_counts, unread
from wsadapter.metrics import SERIALIZER
from wsadapter.reader import Reader
from wsadapter.roles.repairer.gap_log import GapLog
from wsadapter.roles.serializer.producer import DeliveryFailed, KafkaProducer
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

acl: Any = acl_module
"""Its types are not in its __all__."""
SECONDS = 30.0
"""Of patience with a broker that answers; one that refuses is not waited for."""
AWAY_SECONDS = 2.0


@pytest.fixture(scope="module")
def broker(installed_kafka: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as started:
        yield started


@pytest.fixture(autouse=True)
def handshake_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake of our own says what is wrong with a certificate, however busy the machine is."""
    monkeypatch.setattr(reachability, "HANDSHAKE_SECONDS", SECONDS)


def login(
    servers: str, password: str = "right", user: str = "admin", ssl_ca: str = "", mechanism: str = "PLAIN"
) -> KafkaConfig:
    return KafkaConfig(
        bootstrap_servers=servers, security_protocol="SASL_SSL" if ssl_ca else "SASL_PLAINTEXT",
        sasl_mechanism=mechanism, sasl_username=user, sasl_password=Secret(password), ssl_ca=ssl_ca,
    )  # fmt: skip


def said(kafka: KafkaConfig, seconds: float = SECONDS) -> ServiceUnavailable:
    with pytest.raises(ServiceUnavailable) as error:
        reachability.ask(kafka, seconds)
    return error.value


def test_who_may_is_let_in(broker: SecuredKafka) -> None:
    for kafka in (login(broker.sasl_plaintext), login(broker.sasl_ssl, ssl_ca=str(broker.ca))):
        assert reachability.ask(kafka, SECONDS) == 1
        ensure_topics(kafka, SECONDS)
        assert reachability.ask(kafka, SECONDS) == 1, "with topics that are there"
    eventually(lambda: counted(login(broker.sasl_plaintext)) == {0}, 30, "the new partitions have leaders")


def counted(kafka: KafkaConfig) -> set[int]:
    with suppress(ServiceUnavailable):
        return set(unread(kafka, SECONDS).values())
    return set()


def test_each_cause_has_its_word(broker: SecuredKafka, tmp_path: Path) -> None:
    other_ca, _ = authority(tmp_path, "other")
    port = broker.sasl_ssl.partition(":")[2]
    cases = {
        Reason.AUTHENTICATION: (login(broker.sasl_plaintext, "wrong-0815"), "Invalid username or password"),
        Reason.TLS: (login(broker.sasl_ssl, ssl_ca=str(other_ca)), "unable to get local issuer certificate"),
        Reason.REFUSED: (login(f"127.0.0.1:{free_port()}"), "connection refused"),
        Reason.NAME: (login("nosuch.invalid:9092"), "name not known"),
        Reason.AUTHORIZATION: (login(broker.sasl_plaintext, "right-too", "stranger"), "not authorized"),
    }
    for reason, (kafka, words) in cases.items():
        error = said(kafka, AWAY_SECONDS if reason in (Reason.REFUSED, Reason.NAME) else SECONDS)
        assert (error.reason, words in str(error)) == (reason, True), str(error)
        assert "after" not in str(error), "one cause is one text"
        assert "wrong-0815" not in str(error)

    wrong_name = said(login(f"127.0.0.1:{port}", ssl_ca=str(broker.ca)))
    assert (wrong_name.reason, "mismatch" in str(wrong_name)) == (Reason.TLS, True), str(wrong_name)


def test_a_reader_of_the_topics_says_it(broker: SecuredKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(servers: str, password: str = "right", user: str = "admin") -> Reason:
        monkeypatch.setenv("KAFKA_SASL_PASSWORD", password)
        reader = Reader(
            servers, streams=["trade"], start="earliest", follow=False, security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN", sasl_username=user,
        )  # fmt: skip
        try:
            with reader:
                assert list(reader) == []
        except ServiceUnavailable as error:
            return error.reason
        return Reason.UNKNOWN

    ensure_topics(login(broker.sasl_plaintext), SECONDS)
    assert read(broker.sasl_plaintext) is Reason.UNKNOWN, "it may read"
    admin = acl.AdminClient({"bootstrap.servers": broker.plaintext})
    whose = acl.ResourceType.TOPIC, "websocket.", acl.ResourcePatternType.PREFIXED, "User:recorder", "*"
    rights = [
        acl.AclBinding(*whose, acl.AclOperation[right], acl.AclPermissionType.ALLOW) for right in ("READ", "DESCRIBE")
    ]
    for created in admin.create_acls(rights).values():
        created.result(SECONDS)
    recorder = "right-three", "recorder"
    eventually(lambda: read(broker.sasl_plaintext, *recorder) is Reason.UNKNOWN, 30, "topics are enough, no group")
    assert read(broker.sasl_plaintext, "wrong-0815") is Reason.AUTHENTICATION
    assert read(broker.sasl_plaintext, "right-too", "stranger") in (Reason.MISSING, Reason.AUTHORIZATION)


def test_the_rights_on_the_page_are_those_that_are_needed(broker: SecuredKafka) -> None:
    """docs/existing-kafka.md: with them a recorder is let in, without one of them it is told which."""
    page = (pages.DOCS / "existing-kafka.md").read_text()
    table = re.findall(r"^\| (topics|groups|cluster)\b.*? \| ([\w, ]+) \|", page, re.MULTILINE)
    kinds = {
        "topics": (acl.ResourceType.TOPIC, "websocket.", acl.ResourcePatternType.PREFIXED),
        "groups": (acl.ResourceType.GROUP, "wsadapter", acl.ResourcePatternType.PREFIXED),
        "cluster": (acl.ResourceType.BROKER, "kafka-cluster", acl.ResourcePatternType.LITERAL),
    }
    rights = {(resource, right) for resource, rights in table for right in rights.split(", ")}
    assert {resource for resource, _ in rights} == kinds.keys()
    recorder = login(broker.sasl_plaintext, "right-three", "recorder")
    ensure_topics(login(broker.sasl_plaintext), SECONDS)
    admin = acl.AdminClient({"bootstrap.servers": broker.plaintext})

    def grant(resource: str, right: str) -> None:
        operation = acl.AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", right).upper()]
        binding = acl.AclBinding(*kinds[resource], "User:recorder", "*", operation, acl.AclPermissionType.ALLOW)
        (created,) = admin.create_acls([binding]).values()
        created.result(SECONDS)

    for resource, right in rights - {("topics", "Write")}:
        grant(resource, right)
    eventually(lambda: missing_rights(recorder).startswith("write topic"), 30, lambda: missing_rights(recorder))
    grant("topics", "Write")
    eventually(lambda: not missing_rights(recorder), 30, lambda: missing_rights(recorder))
    assert message_limit(recorder, SECONDS), "DescribeConfigs"


def test_rights_that_were_taken_and_given_back_are_noticed_where_nothing_comes(broker: SecuredKafka) -> None:
    ensure_topics(login(broker.sasl_plaintext), SECONDS)
    admin = acl.AdminClient({"bootstrap.servers": broker.plaintext})
    whose = acl.ResourcePatternType.LITERAL, "User:repairer", "*", acl.AclOperation.READ
    right = acl.AclBinding(acl.ResourceType.TOPIC, "websocket.gap", *whose, acl.AclPermissionType.DENY)
    for resource in (acl.ResourceType.TOPIC, acl.ResourceType.GROUP):
        everything = "*", acl.ResourcePatternType.LITERAL, "User:repairer", "*", acl.AclOperation.ALL
        admin.create_acls([given := acl.AclBinding(resource, *everything, acl.AclPermissionType.ALLOW)])[given].result()
    repairer = login(broker.sasl_plaintext, "right-four", "repairer")
    logs: list[GapLog] = []

    def opened() -> bool:
        with suppress(ServiceUnavailable):
            logs.append(GapLog(repairer))
        return bool(logs)

    eventually(opened, SECONDS, "the rights are known everywhere")
    (log,) = logs
    try:
        admin.create_acls([right])[right].result(SECONDS)
        eventually(lambda: log.poll(0.1) or log.refused, SECONDS, "it is refused")
        taken = acl.AclBindingFilter(acl.ResourceType.TOPIC, "websocket.gap", *whose, acl.AclPermissionType.DENY)
        (deleted,) = admin.delete_acls([taken]).values()
        assert deleted.result(SECONDS)
        eventually(lambda: log.poll(0.1) or not log.refused, SECONDS, "it may be read, and says so")
    finally:
        log.close(SECONDS)


def missing_rights(kafka: KafkaConfig) -> str:
    try:
        reachability.ask(kafka, SECONDS)
    except ServiceUnavailable as error:
        return str(error).partition("not authorized: ")[2]
    return ""


@pytest.mark.parametrize("listener", ["sasl_plaintext", "sasl_ssl"])
def test_no_security_at_all(broker: SecuredKafka, listener: str) -> None:
    error = said(KafkaConfig(bootstrap_servers=getattr(broker, listener)))
    assert error.reason is (Reason.TLS if listener == "sasl_ssl" else Reason.AUTHENTICATION), str(error)
    assert "kafka.security_protocol" in str(error)


def test_a_role_that_starts_says_it(broker: SecuredKafka) -> None:
    with pytest.raises(ServiceUnavailable, match="refuses: authentication failed: Invalid username") as error:
        partition_counts(login(broker.sasl_plaintext, "wrong"), 5.0)
    assert error.value.reason is Reason.AUTHENTICATION


def test_the_producer_says_it_once(broker: SecuredKafka, capsys: pytest.CaptureFixture[str]) -> None:
    page = StatsPage.create(f"wsadapter-why-{free_port()}", SERIALIZER)
    try:
        config = Config(ServiceConfig("i", "/nonexistent"), kafka=login(broker.sasl_plaintext, "wrong"))
        producer = KafkaProducer(config, page)
        producer.send("websocket.trade", [{"key": b"k", "value": b"v"}], 0)
        failures: list[int] = []

        def refused_often() -> bool:
            producer.flush(0.1)
            failures.append(page["broker_reason"])
            return failures.count(Reason.AUTHENTICATION) > 20

        eventually(refused_often, 30, "it is told again and again")
        assert page["broker_up"] == 0
        producer.away(Reason.NAME)
        assert page["broker_reason"] == Reason.NAME, "what the client that makes the topics was told"
        producer.abandon()
    finally:
        page.release()
        Segment.unlink(page.name)
    assert capsys.readouterr().out.count("Invalid username or password") == 1


def test_a_producer_that_gets_no_id_says_why(broker: SecuredKafka) -> None:
    """It asks for one before there is anything to send."""
    page = StatsPage.create(f"wsadapter-why-{free_port()}", SERIALIZER)
    try:
        stranger = login(broker.sasl_plaintext, "right-too", "stranger")
        producer = KafkaProducer(Config(ServiceConfig("i", "/nonexistent"), kafka=stranger), page)

        def ended() -> bool:
            with suppress(DeliveryFailed):
                producer.send("websocket.trade", [{"key": b"k", "value": b"v"}], 0)
            return bool(page["broker_refusal"])

        eventually(ended, SECONDS, "the client takes nothing")
        assert page["broker_refusal"] in AUTHORIZATION
        producer.abandon()
    finally:
        page.release()
        Segment.unlink(page.name)


def test_check_says_it(broker: SecuredKafka, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        f'[[feed]]\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n[kafka]\nbootstrap_servers = "{broker.sasl_ssl}"\n'
        f'ssl_ca = "{broker.ca}"\nsecurity_protocol = "SASL_SSL"\nsasl_mechanism = "PLAIN"\nsasl_username = "admin"\n'
        f'[monitor]\nlisten = "127.0.0.1:{free_port()}"\n'
    )
    wrong = run(tmp_path, "check", "--config", "c.toml", KAFKA_SASL_PASSWORD="wrong-0815")
    right = run(tmp_path, "check", "--config", "c.toml", KAFKA_SASL_PASSWORD="right")

    assert "ok    Kafka: " in right.stdout, right.stdout
    assert wrong.returncode == ExitCode.UNAVAILABLE
    (line,) = [line for line in wrong.stdout.splitlines() if "Kafka: " in line]
    assert line.startswith("FAIL")
    assert line.endswith("authentication failed: Invalid username or password")
    assert "wrong-0815" not in wrong.stdout + wrong.stderr


@pytest.mark.parametrize("listener", ["sasl_plaintext", "sasl_ssl"])
def test_scram_lets_in_who_has_the_password(broker: SecuredKafka, listener: str) -> None:
    ssl_ca = str(broker.ca) if listener == "sasl_ssl" else ""

    def scram(password: str) -> KafkaConfig:
        return login(getattr(broker, listener), password, ssl_ca=ssl_ca, mechanism=SCRAM)

    ensure_topics(scram("right"), SECONDS)
    assert reachability.ask(scram("right"), SECONDS) == 1
    page = StatsPage.create(f"wsadapter-scram-{free_port()}", SERIALIZER)
    try:
        producer = KafkaProducer(Config(ServiceConfig("i", "/nonexistent"), kafka=scram("right")), page)
        producer.send("websocket.kline", [{"key": b"k", "value": listener.encode()}], 0)
        eventually(lambda: producer.flush(0.1), SECONDS, "what a producer with this login sends is acknowledged")
    finally:
        page.release()
        Segment.unlink(page.name)
    refused = said(scram("wrong-0815"))
    assert refused.reason is Reason.AUTHENTICATION, str(refused)
    assert "wrong-0815" not in str(refused)
