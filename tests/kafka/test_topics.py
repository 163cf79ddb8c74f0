"""What is known of topics, by an admin client that answers what the test wants."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from eventually import eventually
from kafka.mock_broker import PARTITIONS, Broker

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.kafka import topics
from wsadapter.kafka.admin import Admin as AdminClient
from wsadapter.kafka.topics import TopicState, log_bounds, topic_states

TOPIC_ID = "kU4VZgZ0R8i83el9Jp+R0Q"


class Admin:
    """``answers``: topic -> its id or the error instead; all of them have three partitions."""

    def __init__(self, **answers: str | Exception) -> None:
        self.answers = answers
        self.cluster_id = "a"

    def topics(self, timeout: float) -> Any:
        partitions = dict.fromkeys(range(3))
        topics = {name: SimpleNamespace(partitions=partitions) for name in self.answers}
        return SimpleNamespace(cluster_id=self.cluster_id, topics=topics)

    def unavailable(self, what: str, error: Exception) -> ServiceUnavailable:
        return ServiceUnavailable(f"{what}: {error}")

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, Future[Any]]:
        assert not self.cluster_id.startswith("mock"), "it would not answer"
        described = {}
        for name, answer in self.answers.items():
            described[name] = Future[Any]()
            if isinstance(answer, str):
                described[name].set_result(SimpleNamespace(topic_id=answer))
            else:
                described[name].set_exception(answer)
        return described


def states(admin: Any, *names: str) -> dict[str, TopicState]:
    return topic_states(KafkaConfig(), names, 1.0, admin)


def test_a_topic_has_its_id_and_its_partitions() -> None:
    assert states(Admin(a=TOPIC_ID), "a", "b") == {"a": TopicState(3, TOPIC_ID)}


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_an_id_that_the_broker_does_not_tell_is_not_known(code: int) -> None:
    admin = Admin(a=KafkaException(KafkaError(code)), b=TOPIC_ID, c="A" * 22)

    assert states(admin, "a", "b", "c") == {
        "a": TopicState(3, ""), "b": TopicState(3, TOPIC_ID), "c": TopicState(3, "")
    }  # fmt: skip


@pytest.mark.parametrize("error", [TimeoutError(), KafkaException(KafkaError(KafkaError._TIMED_OUT))])
def test_no_answer_is_no_answer(error: Exception) -> None:
    with pytest.raises(ServiceUnavailable):
        states(Admin(a=error), "a")


def test_the_mock_broker_is_not_asked_for_ids() -> None:
    admin = Admin(a=TOPIC_ID)
    admin.cluster_id = "mockCluster7"

    assert states(admin, "a") == {"a": TopicState(3, "")}


def test_an_idle_client_is_asked_itself_and_no_other_one_is_made(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = KafkaConfig(broker.address)
    broker.cluster.list_topics("asked", timeout=20)
    admin = AdminClient(kafka)
    eventually(lambda: (admin.poll(0), len(admin) == 0)[1])  # type: ignore[arg-type]  # cimpl has it, its stub not
    monkeypatch.setattr(topics, "Admin", lambda kafka: pytest.fail("another client is made"))

    assert topic_states(kafka, ["asked"], 20.0, admin) == {"asked": TopicState(PARTITIONS, "")}
    assert log_bounds(kafka, [("asked", 0)], 20.0, admin) == {("asked", 0): (0, 0)}


class NewLeader(AdminClient):
    """Of each question the first answer is that the leader is another broker, or none yet."""

    asked = 0

    def list_offsets(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        future = Future[Any]()
        if self.asked % 2:
            future.set_exception(KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)))
        else:
            future.set_result(SimpleNamespace(offset=7))
        return dict.fromkeys(args[0], future)


def test_offsets_are_asked_for_again_where_a_leader_begins() -> None:
    kafka = KafkaConfig(bootstrap_servers="127.0.0.1:9")

    assert log_bounds(kafka, [("t", 0)], 5.0, NewLeader(kafka)) == {("t", 0): (7, 7)}
    with pytest.raises(ServiceUnavailable, match=r"offsets are not known: .* is not ready yet: Broker: Not leader"):
        log_bounds(kafka, [("t", 0)], 0.0, NewLeader(kafka))
