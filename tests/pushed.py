"""What loopback venues of this process handed to at least one open socket, each event once for however many it was.

Of a connection that rotates, and of redundant ones, the venue sends everything several times; this is what must be
recorded, once. Funding rates, which come once after each connect, are left out.
"""

import re
from collections import Counter
from collections.abc import Mapping

import pytest

from wsadapter.embedded.exchange.listeners import Listeners
from wsadapter.embedded.exchange.server import LoopbackVenue
from wsadapter.embedded.market.streams import Push

Key = tuple[str, str, str]
"""Exchange, stream of the venue, and stream word."""


class Pushed:
    def __init__(self) -> None:
        self.events: Counter[Key] = Counter()
        self._numbers: dict[Key, set[int]] = {}

    def count(self, exchange: str, push: Push) -> None:
        told = {(exchange, push.stream, word): count for word, count in push.events if word != "funding_rate"}
        self.events.update(told)
        if push.numbers:
            self._numbers.setdefault((exchange, push.stream, "trade"), set()).update(push.numbers)

    def of(self, symbol: str, exchange: str = "") -> Counter[str]:
        """Stream word -> events, of the streams with this symbol in their name; of one exchange or of all."""
        is_meant = re.compile(rf"(?<![A-Z0-9]){re.escape(symbol)}(?![A-Z0-9])", re.IGNORECASE).search
        counts: Counter[str] = Counter()
        sized: Mapping[Key, int] = {key: len(numbers) for key, numbers in self._numbers.items()}
        for (of, stream, word), count in (*self.events.items(), *sized.items()):
            if is_meant(stream) and exchange in ("", of):
                counts[word] += count
        return counts


def watch(monkeypatch: pytest.MonkeyPatch) -> Pushed:
    """Of all venues from now on."""
    pushed, dispatch = Pushed(), Listeners.dispatch

    def counting(self: Listeners, push: Push) -> None:
        ready = [one for one in self._listeners.get(push.stream, ()) if one.open and not one.stalled]
        if ready:
            venue = ready[0]._host
            pushed.count(venue.options.exchange if isinstance(venue, LoopbackVenue) else "", push)
        dispatch(self, push)

    monkeypatch.setattr(Listeners, "dispatch", counting)
    return pushed
