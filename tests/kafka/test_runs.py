"""Messages of confluent-kafka become runs of one partition, in C and in Python."""

import pytest

from wsadapter.kafka import runs


class Fetched:
    """As confluent-kafka's messages."""

    def __init__(self, topic: str, partition: int, key: bytes | None, value: bytes, error: object = None) -> None:
        self._all = topic, partition, key, value, error

    def topic(self) -> str:
        return self._all[0]

    def partition(self) -> int:
        return self._all[1]

    def key(self) -> bytes | None:
        return self._all[2]

    def value(self) -> bytes:
        return self._all[3]

    def error(self) -> object:
        return self._all[4]


@pytest.mark.parametrize("split", [runs.split_in_python, runs.split], ids=["python", "as built"])
def test_messages_become_runs_of_a_partition(split: runs.Split) -> None:
    def fetched(topic: str, partition: int, key: bytes | None, error: object = None) -> Fetched:
        return Fetched(topic, partition, key, f"{topic}{partition}{key!r}".encode(), error)

    a, b, c = fetched("t", 0, b"a"), fetched("t", 0, b"b"), fetched("t", 0, None)
    end, other, last = fetched("t", 0, b"a", "EOF"), fetched("u", 0, b"b"), fetched("u", 1, b"a")
    assert split([], None) == ([], [])
    found, failed = split([a, b, end, c, other, last, a], None)
    assert failed == [end]
    assert [run[:2] for run in found] == [["t", 0], ["u", 0], ["u", 1], ["t", 0]]
    assert found[0] == ["t", 0, [a, b, c], [a.value(), b.value(), c.value()], a, c]
    found, _ = split([a, b, other, last], {b"a": True, b"b": False})
    assert found == [
        ["t", 0, [a], [a.value()], a, b],
        ["u", 0, [], [], other, other],
        ["u", 1, [last], [last.value()], last, last],
    ]
    with pytest.raises(KeyError):
        split([c], {})
