"""Messages of one partition that were fetched together: what a consumer gives, and what is decoded or framed.

In C they are librdkafka's own (`wsadapter.kafka.record_consumer`); `MessageList` is the same of messages of
confluent-kafka. Owns nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from wsadapter import native


class Message(Protocol):
    """What is used of a message of confluent-kafka."""

    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def partition(self) -> Any: ...
    def offset(self) -> Any: ...
    def timestamp(self) -> Any: ...


class Messages(Protocol):
    """A sequence to which more can be added, and whose first ones can be given back."""

    @property
    def values(self) -> Any:
        """What a decoder takes (`wsadapter.reader.decoding`), and the framing (`wsadapter.kafka.framing`)."""

    @property
    def offsets(self) -> Any:
        """What the framing takes beside them."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Message]: ...
    def __getitem__(self, index: int, /) -> Message: ...
    def extend(self, other: Any, /) -> None: ...
    def drop(self, count: int, /) -> None: ...


class MessageList:
    def __init__(self, messages: Iterable[Message] = (), values: Iterable[bytes | None] | None = None) -> None:
        self.messages = [*messages]
        self.values = [message.value() for message in self.messages] if values is None else [*values]

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def __getitem__(self, index: int) -> Message:
        return self.messages[index]

    @property
    def offsets(self) -> list[int]:
        return [message.offset() for message in self.messages]

    def extend(self, other: "MessageList") -> None:
        self.messages += other.messages
        self.values += other.values

    def drop(self, count: int) -> None:
        del self.messages[:count], self.values[:count]


class Run(NamedTuple):
    """``messages``: those that are wanted, of ``topic`` and ``partition``; the rest is of all that stood together:
    offset of the last one, Kafka's time of the first and of the last one (ms since the epoch)."""

    topic: str
    partition: int
    messages: Messages
    last_offset: int
    first_ms: int
    last_ms: int


Split = Callable[[list[Any], Mapping[bytes | None, bool] | None], tuple[list[list[Any]], list[Any]]]


def split_in_python(
    messages: list[Any], wanted: Mapping[bytes | None, bool] | None
) -> tuple[list[list[Any]], list[Any]]:
    """The twin of `split` in C."""
    runs: list[list[Any]] = []
    failed: list[Any] = []
    for message in messages:
        if message.error() is not None:
            failed.append(message)
            continue
        topic, partition = message.topic(), message.partition()
        if not runs or runs[-1][:2] != [topic, partition]:
            runs.append([topic, partition, [], [], message, None])
        run = runs[-1]
        run[5] = message
        if wanted is None or wanted[message.key()]:
            run[2].append(message)
            run[3].append(message.value())
    return runs, failed


split: Final[Split] = split_in_python if native.extension is None else native.extension.split
"""``split(messages, wanted)``: messages of confluent-kafka as [topic, partition, those that are wanted, their values,
the first and the last one of all], and those that are errors. ``wanted``: of which keys (None: all)."""


def runs_of(messages: list[Any], wanted: Mapping[bytes | None, bool] | None) -> tuple[list[Run], list[Any]]:
    """Messages of confluent-kafka as runs, and those that are errors."""
    found, failed = split(messages, wanted)
    runs = [
        Run(topic, number, MessageList(kept, values), last.offset(), first.timestamp()[1], last.timestamp()[1])
        for topic, number, kept, values, first, last in found
    ]
    return runs, failed
