"""What was asked of a venue and what it answered: request ids, batches, halving of refused lists.

Pure, for every venue; one per connection. Guarantee: every name that was asked for is accepted or refused in the end as
long as the venue answers; one bad name in a list costs only itself.
"""

from collections import deque
from collections.abc import Iterable

from wsadapter.exchanges.venue import Acked, Answer, Item, Refused, Reply, Requests


def batches(requests: Requests, names: Iterable[str]) -> list[tuple[str, ...]]:
    """``names`` in lists that the venue takes: few of them, few octets."""
    result: list[tuple[str, ...]] = []
    batch: list[str] = []
    size = 0
    for name in names:
        octets = len(name.encode()) + 3
        if batch and (len(batch) == requests.most or size + octets > requests.octets):
            result.append(tuple(batch))
            batch, size = [], 0
        batch.append(name)
        size += octets
    return [*result, tuple(batch)] if batch else result


class Outstanding:
    """The requests without an answer, oldest first, and those that wait for their turn."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._sent: dict[int, tuple[str, ...]] = {}
        """Id -> names; none where streams were ended."""
        self._waiting: deque[tuple[bool, tuple[str, ...]]] = deque()
        self._count = 0
        self.unheard: set[str] = set()
        """Names that data would accept, where data is an answer."""
        self._renewed: set[str] = set()
        """Names whose old stream may still speak: only the answer tells of the new one."""

    def reset(self) -> None:
        """A new socket; ids go on."""
        self._sent.clear()
        self._waiting.clear()
        self.unheard.clear()
        self._renewed.clear()

    def begin(self, names: Iterable[str]) -> list[bytes]:
        """What asks for these; more may follow from `answered`."""
        for batch in batches(self._requests, names):
            self._waiting.append((True, batch))
            if self._requests.data_acks:
                self.unheard.update(batch)
        return self._send()

    def renew(self, names: Iterable[str]) -> list[bytes]:
        """The same for streams that run: they end first."""
        for batch in batches(self._requests, names):
            self._waiting += ((False, batch), (True, batch))
            self._renewed.update(batch)
        return self._send()

    def answered(self, answer: Answer) -> list[Item]:
        """A refused list is asked for again in halves."""
        request = answer.id
        if request is None and self._sent:
            request = next(iter(self._sent))
        names = self._sent.pop(request, ()) if request is not None else ()
        items: list[Item] = []
        if answer.error is None:
            if self._requests.data_acks:
                expected = self.unheard | self._renewed
                names = tuple(name for name in names if name in expected)
                self._answered(names)
            items += [Acked(names)] if names else []
        elif len(names) > 1:
            half = len(names) // 2
            self._waiting.extendleft(((True, names[half:]), (True, names[:half])))
        else:
            self._answered(names)
            items.append(Refused(names, *answer.error))
        return items + [Reply(payload) for payload in self._send()]

    def _answered(self, names: tuple[str, ...]) -> None:
        self.unheard.difference_update(names)
        self._renewed.difference_update(names)

    def _send(self) -> list[bytes]:
        payloads = []
        while self._waiting and len(self._sent) < self._requests.in_flight:
            begin, names = self._waiting.popleft()
            self._count += 1
            self._sent[self._count] = names if begin else ()
            payloads.append(self._requests.build(begin, names, self._count))
        return payloads
