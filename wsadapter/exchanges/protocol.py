"""What was asked of a venue and what it answered: request ids, batches, halving of refused lists.

Pure, for every venue; one per connection. Guarantee: every name that was asked for is accepted or refused in the end as
long as the venue answers; one bad name in a list costs only itself. Where a bad name costs the connection
(`Requests.may_close`), so many are spent on it as a search by halves takes, and one more after each that stood without
it: what looked like the name may have been the venue. A socket on which nothing was answered is held against no name.
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

from wsadapter.exchanges.venue import Acked, Answer, ClosesSoon, Item, Refused, Reply, Requests

STRIKES: Final = 2
"""So many sockets that ended while one name alone was without an answer, and others had theirs: it is the name."""

PAUSE_SECONDS: Final = 1.0
"""Before a request is made once more that was not looked at, doubled each time, ..."""
LONGEST_PAUSE: Final = 15.0
"""... up to this: what the venue asks meanwhile is answered behind it."""
MOST_TRIES: Final = 12
"""Some two minutes; from then on it is a refusal."""

PART_OF_REQUESTS: Final = 0.75
"""Of those that a socket takes: then it is time for another one."""


def batches(requests: Requests, names: Iterable[str]) -> list[tuple[str, ...]]:
    """``names`` in lists that the venue takes: of one group, few of them, few octets."""
    if requests.group is None:
        return cut(names, requests.most, requests.octets)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(requests.group(name), []).append(name)
    return [batch for group in groups.values() for batch in cut(group, requests.most, requests.octets)]


def octets_of(name: str) -> int:
    """In a list: with quotes and a comma."""
    return len(name.encode()) + 3


def cut(names: Iterable[str], most: int, most_octets: int) -> list[tuple[str, ...]]:
    """Lists of so many names, and of so many octets with their quotes and commas, at most."""
    result: list[tuple[str, ...]] = []
    batch: list[str] = []
    size = 0
    for name in names:
        octets = octets_of(name)
        if batch and (len(batch) == most or size + octets > most_octets):
            result.append(tuple(batch))
            batch, size = [], 0
        batch.append(name)
        size += octets
    return [*result, tuple(batch)] if batch else result


class _Sent:
    """A request without an answer. ``names``: those that have none; ``tries``: so often it was not looked at."""

    def __init__(self, begin: bool, names: tuple[str, ...], alone: bool, tries: int = 0) -> None:
        self.begin, self.names, self.alone, self.tries = begin, names, alone, tries


class Outstanding:
    """The requests without an answer, oldest first, and those that wait for their turn."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._sent: dict[int, _Sent] = {}
        self._waiting: deque[_Sent] = deque()
        self._count = 0
        self.unheard: set[str] = set()
        """Names that data would accept, where data is an answer."""
        self.aliases: dict[str, str] = {}
        """The venue's other name of a stream -> ours."""
        self._renewed: set[str] = set()
        """Names whose old stream may still speak: only the answer tells of the new one."""
        self._suspects: list[tuple[str, ...]] = []
        """Lists that were without an answer when a socket ended: each is asked for alone."""
        self._strikes: Counter[str] = Counter()
        """Name -> sockets that ended while it alone was without an answer, and others had theirs."""
        self._left_out: set[str] = set()
        """Names that the last socket stood without: on the next one they are asked for, alone and last."""
        self._is_heard = False
        """There was an answer on this socket."""
        self._given_up: list[Item] = []
        self._on_socket = 0
        """Requests of this socket."""
        self._is_told = False
        """That there are not many left."""

    def reset(self) -> None:
        """A new socket; ids go on."""
        if self._requests.may_close:
            self._suspect()
        self._on_socket, self._is_told, self._is_heard = 0, False, False
        self._sent.clear()
        self._waiting.clear()
        self.unheard.clear()
        self.aliases.clear()
        self._renewed.clear()

    def follow(self, before: "Outstanding") -> None:
        """What an earlier socket of the plan has found out."""
        self._suspects, self._strikes = list(before._suspects), before._strikes.copy()
        # once: where the connection ends when they are asked for, the next attempt is to stand
        self._left_out, before._left_out = before._left_out, set()

    def begin(self, names: Iterable[str]) -> list[bytes]:
        """What asks for these; more may follow from `answered`."""
        names = list(names)
        closing = {name for name in names if self._strikes[name] >= STRIKES and name not in self._left_out}
        if len(closing) == len(names):
            closing = set()  # nothing is lost by another try
        self._left_out = closing
        why = "the connection ends when it is asked for"
        self._given_up = [Refused((name,), "", why, again=False) for name in sorted(closing)]
        suspects = [tuple(name for name in batch if name in names and name not in closing) for batch in self._suspects]
        apart = closing.union(*suspects)
        self._waiting += (_Sent(True, b, False) for b in batches(self._requests, (n for n in names if n not in apart)))
        self._waiting += (_Sent(True, batch, True) for batch in suspects if batch)
        if self._requests.data_acks:
            self.unheard.update(name for name in names if name not in closing)
        return self._send()

    def renew(self, names: Iterable[str]) -> list[bytes]:
        """The same for streams that run: they end first."""
        for batch in batches(self._requests, names):
            self._waiting += _Sent(False, batch, False), _Sent(True, batch, False)
            self._renewed.update(batch)
        return self._send()

    def answered(self, answer: Answer) -> list[Item]:
        """A refused list is asked for again in halves, one that was not looked at as it was, later."""
        items, self._given_up = self._given_up, []
        concerned = self._concerned(answer)
        if not concerned and answer.error is not None:
            items.append(Refused((), *answer.error))
        pause = 0.0
        for sent, names in concerned:
            if answer.again and sent.tries < MOST_TRIES:
                pause = min(PAUSE_SECONDS * 2.0**sent.tries, LONGEST_PAUSE)
                ended = () if sent.begin else (_Sent(False, names, sent.alone, sent.tries + 1),)
                self._waiting += *ended, _Sent(True, names, sent.alone, sent.tries + 1)
            elif not sent.begin:
                items += [] if answer.error is None else [Refused((), *answer.error)]
            elif answer.error is None:
                items += self._accepted(names, answer)
            elif len(names) > 1:
                half = len(names) // 2
                halves = (_Sent(True, part, sent.alone, sent.tries) for part in (names[half:], names[:half]))
                self._waiting.extendleft(halves)
            else:
                self._resolved(names)
                items.append(Refused(names, *answer.error))
        items += (Reply(payload, pause=pause) for payload in self._send())
        most = self._requests.on_socket
        if most and not self._is_told and self._on_socket >= most * PART_OF_REQUESTS:
            self._is_told = True
            items.append(ClosesSoon(f"{self._on_socket} of {most} requests", announced=False))
        return items

    def _concerned(self, answer: Answer) -> list[tuple[_Sent, tuple[str, ...]]]:
        """Requests and those of their names that the answer is about; they wait for nothing more."""
        by_name = (bool(answer.names) or answer.about is not None) and not answer.everything
        is_meant = answer.about or answer.names.__contains__
        if answer.id is not None:
            ids = [answer.id] if answer.id in self._sent else []
        elif by_name:
            ids = [each for each, sent in self._sent.items() if sent.begin is answer.begin]
        elif answer.standing:
            ids = self._answered_by(answer.names)
        else:
            ids = [next(iter(self._sent))] if self._sent else []
        concerned = []
        for request in ids:
            sent = self._sent[request]
            if by_name:
                names = tuple(filter(is_meant, sent.names))
            elif answer.standing:
                # of one that ran before it may be the answer to its end
                names = tuple(name for name in sent.names if name in answer.names or name not in self._renewed)
            else:
                names = sent.names
            sent.names = tuple(name for name in sent.names if name not in names)
            if names:
                concerned.append((sent, names))
            if not sent.names:
                del self._sent[request]
        return concerned

    def _answered_by(self, standing: tuple[str, ...]) -> list[int]:
        """Requests up to the last one of which a list of all that stands has a name; of renewed ones it may be the old
        stream. One without any answers the oldest, unless that is one of several: it may be of a request for no stream
        (signs of life)."""
        ids = list(self._sent)
        new = set(standing).difference(self._renewed)
        found = [at for at, sent in enumerate(self._sent.values(), 1) if not new.isdisjoint(sent.names)]
        if found:
            return ids[: found[-1]]
        is_nobodys = len(ids) > 1 and self._renewed.isdisjoint(self._sent[ids[0]].names)
        return [] if is_nobodys else ids[:1]

    def _accepted(self, names: tuple[str, ...], answer: Answer) -> list[Item]:
        refused: tuple[str, ...] = ()
        if answer.everything:
            if len(answer.names) == len(names) and not answer.standing:
                self.aliases.update({theirs: ours for theirs, ours in zip(answer.names, names, strict=True)
                                     if theirs not in names and ours not in answer.names})  # fmt: skip
            taken = {self.aliases.get(name, name) for name in answer.names}
            refused = tuple(name for name in names if name not in taken)
            names = tuple(name for name in names if name in taken)
        if self._requests.data_acks:
            expected = self.unheard | self._renewed
            names = tuple(name for name in names if name in expected)
        self._resolved((*names, *refused))
        items: list[Item] = [Acked(names)] if names else []
        return items + [Refused((name,), "", "not among what the venue took") for name in refused]

    def _resolved(self, names: tuple[str, ...]) -> None:
        self.unheard.difference_update(names)
        self._renewed.difference_update(names)
        self._is_heard |= bool(names)
        for name in names:
            self._strikes.pop(name, None)
        if self._suspects:
            self._suspects = [tuple(name for name in batch if name not in names) for batch in self._suspects]
            self._suspects = [batch for batch in self._suspects if batch]

    def _suspect(self) -> None:
        """The socket has ended: was it for one of the names that have no answer?"""
        if self._sent:
            self._left_out = set()  # the rest goes first
        for sent in self._sent.values():
            names = tuple(name for name in sent.names if sent.begin)
            if not names:
                continue
            self._suspects = [batch for batch in self._suspects if not set(batch) & set(names)]
            if len(names) == 1:
                self._strikes[names[0]] += sent.alone and self._is_heard
                self._suspects.append(names)
            else:
                half = len(names) // 2
                self._suspects += names[:half], names[half:]

    def _send(self) -> list[bytes]:
        payloads = []
        while self._waiting and self._may_send(self._waiting[0]):
            sent = self._waiting.popleft()
            self._count += 1
            self._on_socket += 1
            if sent.begin or self._requests.ends:
                self._sent[self._count] = sent
            payloads.append(self._requests.build(sent.begin, sent.names, self._count))
        return payloads

    def _may_send(self, sent: _Sent) -> bool:
        if self._on_socket == self._requests.on_socket != 0:
            return False
        if sent.alone or any(each.alone for each in self._sent.values()):
            return not self._sent
        return len(self._sent) < self._requests.in_flight
