"""What the jobs of this process have published of each series, so that two that are about the same events publish each
of them once.

A job knows what the log held when it looked. What others publish from then on stands here, at once: the repairs of two
redundant connections have gaps of one time, a symbol that goes with one reload and comes back with another is missing
in two gaps, settled rates are polled and candles closed by the clock beside repairs. A look does not reach far behind
its gap, either: what was published for another gap of that time may be later than where it ends.

Gaps of one time are repaired within hours of one another. So what is published is known for `KEPT_SECONDS` at least and
for twice as long at most, and longer only while a job is under way that began before it was published (`begun`): one
that is begun anew has been so since its first beginning, as its next look may not reach what it has published itself.
Of a series it is bounded as `Present` is.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar
from weakref import WeakSet

from wsadapter.events import MarketEvent
from wsadapter.roles.repairer.missing_range import Present

KEPT_SECONDS: Final = 12 * 3600.0

E = TypeVar("E", bound=MarketEvent)
Known = dict[tuple[str, ...], Present]


class Published:
    """``clock``: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent: Known = {}
        """Published since `_turned`."""
        self._former: Known = {}
        """Before that."""
        self._turned = clock()
        self._jobs: dict[object, float] = {}
        """When those under way began."""
        self._followers: WeakSet[Published] = WeakSet()

    def of(self, exchange: str, *key: str) -> list[Present]:
        """``key``: stream, symbol and interval."""
        series = exchange, *key
        return [known[series] for known in (self._recent, self._former) if series in known]

    def note(self, exchange: str, key: Sequence[str], events: Iterable[MarketEvent]) -> None:
        """These are handed over to be published."""
        self._turn()
        for known in (self, *self._followers):
            present = known._recent.setdefault((exchange, *key), Present())
            for event in events:
                present.add(event)

    def unknown(self, exchange: str, key: Sequence[str], events: Iterable[E]) -> list[E]:
        """Those that nobody has published."""
        presents = self.of(exchange, *key)
        return [event for event in events if not any(event in present for present in presents)]

    def new(self, exchange: str, key: Sequence[str], events: Iterable[E]) -> list[E]:
        """Those that nobody has published. They are, from now on."""
        new = self.unknown(exchange, key, events)
        self.note(exchange, key, new)
        return new

    def from_now_on(self) -> "Published":
        """What is published after this, as long as somebody holds it: for who publishes again what the log has lost."""
        follower = Published(self._clock)
        self._followers.add(follower)
        return follower

    def begun(self, job: object) -> None:
        """Nothing is forgotten that is published from its first beginning until it has `ended`."""
        self._jobs.setdefault(job, self._clock())

    def ended(self, job: object) -> None:
        del self._jobs[job]

    def _turn(self) -> None:
        """Forget what is old."""
        now = self._clock()
        if now - self._turned >= KEPT_SECONDS and all(began >= self._turned for began in self._jobs.values()):
            self._former, self._recent, self._turned = self._recent, {}, now
