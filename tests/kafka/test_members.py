"""Who is in the consumer group, asked of a coordinator that begins just now: after a broker's start, or as another
broker takes over, it refuses for some hundred milliseconds."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from wsadapter.config.model import KafkaConfig, ServiceConfig
from wsadapter.errors import Reason, ServiceUnavailable
from wsadapter.kafka import admin, members
from wsadapter.kafka.admin import Admin
from wsadapter.kafka.members import foreign_members, is_alone

NAMED = SimpleNamespace(group_instance_id="another-consumer-0", client_id="c", host="/10.0.0.1")
LOADING = KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, "ConsumerGroupDescribe: ")


class Asked(Admin):
    """Asks nobody: ``answers`` in turn, the last one for ever."""

    answers: tuple[Any, ...] = ()

    def describe_consumer_groups(self, group_ids: list[str], *args: Any, **kwargs: Any) -> Any:
        answer, *rest = self.answers
        self.answers = tuple(rest) or self.answers
        future = Future[Any]()
        if isinstance(answer, KafkaError):
            future.set_exception(KafkaException(answer))
        else:
            future.set_result(SimpleNamespace(members=answer))
        return dict.fromkeys(group_ids, future)


def ask(monkeypatch: pytest.MonkeyPatch, *answers: Any, timeout: float = 5.0) -> list[str]:
    monkeypatch.setattr(members, "Admin", Asked)
    monkeypatch.setattr(Asked, "answers", answers)
    monkeypatch.setattr(admin, "AGAIN_SECONDS", 0.0)
    return foreign_members(KafkaConfig(bootstrap_servers="127.0.0.1:9"), ServiceConfig("i", "/nowhere"), timeout)


@pytest.mark.parametrize(
    "code", [KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR]
)
def test_a_coordinator_that_begins_is_asked_again(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    assert ask(monkeypatch, KafkaError(code), KafkaError(code), [NAMED]) == ["another-consumer-0 at 10.0.0.1"]


def test_one_that_never_ends_to_begin_is_named_and_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ServiceUnavailable, match=r"group wsadapter .*127\.0\.0\.1:9 is not ready yet: .*[Cc]oordinator"
    ) as told:
        ask(monkeypatch, LOADING, timeout=0.0)

    assert told.value.reason is Reason.NOT_READY


def test_what_the_broker_answers_otherwise_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceUnavailable, match=r"answers: Broker: Invalid group\.id"):
        ask(monkeypatch, KafkaError(KafkaError.INVALID_GROUP_ID, "ConsumerGroupDescribe: "))


@pytest.mark.parametrize(("shard", "consumers", "alone"), [("", 1, True), ("", 2, False), ("1/2", 1, False)])
def test_the_consumers_of_shards_are_members_of_one_group(shard: str, consumers: int, alone: bool) -> None:
    assert is_alone(ServiceConfig("i", "/nowhere", shard=shard), consumers) is alone
