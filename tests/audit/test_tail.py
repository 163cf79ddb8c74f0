"""Who is asked for what is in no table: the running instance where it has counted all of it, else Kafka."""

import pytest
from msgspec import structs

from wsadapter.audit import tail
from wsadapter.audit.conservation import IN_FLIGHT, STUCK, Balance, Live
from wsadapter.audit.hops import CONSUMER
from wsadapter.audit.rows import Scope
from wsadapter.audit.tail import Tail
from wsadapter.config.model import KafkaConfig

MONDAY, TUESDAY, WEDNESDAY = (day * 86_400 * 10**9 for day in (1, 2, 3))
LETTERS = {"ticker": 3}


def running(began_ns: int | None, dead_letters: dict[str, int], stuck: int = 0) -> Live:
    waits = Balance(CONSUMER.name, "trade", 10, 10 - stuck, 0, stuck, STUCK if stuck else IN_FLIGHT)
    return Live((waits,), 0, 0, {}, {}, {}, 0, 0, 0, dead_letters, 0, {}, 2, began_ns)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Has `LETTERS` in every range; which it was asked for."""
    asked: list[tuple[int, int]] = []

    def dead_letters(_kafka: KafkaConfig, since_ns: int, until_ns: int) -> dict[str, int]:
        asked.append((since_ns, until_ns))
        return LETTERS

    monkeypatch.setattr(tail, "_listens", lambda server: True)
    monkeypatch.setattr(tail, "_unread", lambda kafka: {"depth": 1})
    monkeypatch.setattr(tail, "dead_letters", dead_letters)
    return asked


@pytest.mark.parametrize("since_ns", [MONDAY, None])
@pytest.mark.parametrize("began_ns", [TUESDAY, None])
def test_an_instance_that_began_later_says_nothing_of_the_time_before(
    kafka: list[tuple[int, int]], since_ns: int | None, began_ns: int | None
) -> None:
    """Dead letters on Monday, a restart on Tuesday."""
    found = tail.find(KafkaConfig(), Scope(WEDNESDAY, since_ns, TUESDAY), running(began_ns, {}, stuck=4))

    assert found == Tail(LETTERS, {"trade": 4})
    assert kafka == [(since_ns or 0, TUESDAY)]


def test_one_that_counted_all_of_it_is_believed(kafka: list[tuple[int, int]]) -> None:
    assert tail.find(KafkaConfig(), Scope(WEDNESDAY, TUESDAY), running(MONDAY, {}, stuck=4)) == Tail({}, {"trade": 4})
    assert kafka == []


def test_how_many_of_the_range_kafka_says(kafka: list[tuple[int, int]]) -> None:
    live = running(MONDAY, {"ticker": 50})
    assert tail.find(KafkaConfig(), Scope(WEDNESDAY, TUESDAY), live) == Tail(LETTERS, {})
    assert tail.find(KafkaConfig(), Scope(WEDNESDAY, TUESDAY), None) == Tail(LETTERS, {"depth": 1})
    assert tail.find(KafkaConfig(), Scope(WEDNESDAY, TUESDAY, stream="trade"), live) == Tail({}, {})


def test_without_kafka_what_was_counted_counts_and_nothing_counted_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tail, "_listens", lambda server: False)
    scope = Scope(WEDNESDAY, MONDAY)
    late = running(TUESDAY, {})

    assert tail.find(KafkaConfig(), scope, None) is None
    assert tail.find(KafkaConfig(), scope, late) is None
    assert tail.find(KafkaConfig(), scope, structs.replace(late, dead_letters={"trade": 2})) == Tail({"trade": 2}, {})
    assert tail.find(KafkaConfig(), scope, running(TUESDAY, {}, stuck=4)) == Tail({}, {"trade": 4})
