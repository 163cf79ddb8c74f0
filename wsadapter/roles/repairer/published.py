"""What the jobs of this process have published of each series, so that two that are about the same events publish each
of them once.

A job knows what the log held when it looked. What others publish from then on stands here, at once: the repairs of two
redundant connections have gaps of one time, a symbol that goes with one reload and comes back with another is missing
in two gaps, settled rates are polled and candles closed by the clock beside repairs. Bounded as `Present` is.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar
from weakref import WeakSet

from wsadapter.events import MarketEvent
from wsadapter.roles.repairer.missing_range import Present

E = TypeVar("E", bound=MarketEvent)


class Published:
    def __init__(self) -> None:
        self._series: dict[tuple[str, ...], Present] = {}
        self._followers: WeakSet[Published] = WeakSet()

    def of(self, exchange: str, *key: str) -> Present:
        """``key``: stream, symbol and interval."""
        return self._series.setdefault((exchange, *key), Present())

    def note(self, exchange: str, key: Sequence[str], events: Iterable[MarketEvent]) -> None:
        """These are handed over to be published."""
        for known in (self, *self._followers):
            present = known.of(exchange, *key)
            for event in events:
                present.add(event)

    def new(self, exchange: str, key: Sequence[str], events: Iterable[E]) -> list[E]:
        """Those that nobody has published. They are, from now on."""
        present = self.of(exchange, *key)
        new = [event for event in events if event not in present]
        self.note(exchange, key, new)
        return new

    def from_now_on(self) -> "Published":
        """What is published after this, as long as somebody holds it: for who publishes again what the log has lost."""
        follower = Published()
        self._followers.add(follower)
        return follower
