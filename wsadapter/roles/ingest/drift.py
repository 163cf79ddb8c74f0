"""Drift: what a venue sends that this version does not know, found in samples while all is recorded as ever.

Each thing is counted once, said once, and one message that has it is kept, in ``drift`` in the state directory: a field
that no table reads and nobody knows, a type of event, a stream that keeps time and has another pace. What is kept there
already was found by an earlier process and is not new; whoever removes a file is told again.

Bounded: one message in `SHARE` is looked at, which is less than a hundredth of what ingest does; a process finds
`MOST` things at most and keeps `MOST_BYTES` of a message. The disk is a thread's business. Used on the loop.
"""

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Final

from wsadapter.exchanges.drift import Known, unknown_fields
from wsadapter.exchanges.venue import Cadence, Item, Subscription
from wsadapter.executor import DaemonExecutor
from wsadapter.files import replace
from wsadapter.log import get_logger
from wsadapter.text import sample

SHARE: Final = 512
SOONEST: Final = 10.0
"""Seconds after which a quiet connection shows one message, too."""
MOST: Final = 64
MOST_BYTES: Final = 65_536
WINDOW: Final = 600.0
"""Seconds over which a pace is taken."""
OTHER: Final = 2.5
"""So many times faster or slower is another pace, if two windows in a row have it."""
STREAMS: Final = 8
"""Of a word that are looked at."""
LEAST: Final = 10
"""Messages of a window that make a pace."""

_TYPE: Final = re.compile(r'"(?:e|channel|topic|stream|ch|event|feed|type|method)":\s*"([\w.@ -]{1,40})')

log = get_logger()


class Drift:
    """``known``: None where nothing is known of the venue's fields. ``counts``: by kind; they only grow."""

    def __init__(self, exchange: str, known: Known | None, directory: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._exchange, self._known, self._directory = exchange, known, directory
        self._found: set[tuple[str, str]] = set()
        self._disk: DaemonExecutor | None = None
        self._frames = 0
        self._looked_at = float("-inf")

    def share(self, frames: int, now: float) -> int:
        """How many messages are to be looked at; ``frames``: received up to now, which is ``now`` on a clock that never
        goes back."""
        if self._known is None or frames == self._frames:
            return 0
        share = (frames - self._frames) // SHARE
        if not share and now - self._looked_at < SOONEST:
            return 0
        self._frames, self._looked_at = frames, now
        return max(1, share)

    def look(self, message: bytes, items: Sequence[Item]) -> None:
        """One of them, and what it gave."""
        if self._known is not None:
            word, fields = unknown_fields(message, items, self._known)
            for field in sorted(fields):
                self._find("field", f"{word} {field}", message)

    def unknown_event(self, detail: str) -> None:
        """The decoder says that it knows no such message."""
        match = _TYPE.search(detail)
        self._find("event", match[1] if match else "without a type", detail.encode())

    def pace(self, word: str, before: float, now: float) -> None:
        """Seconds between two messages of such a stream."""
        self._find("pace", word, b"%.3f s between two messages, before it was %.3f s" % (now, before))

    def _find(self, kind: str, what: str, message: bytes) -> None:
        if (kind, what) in self._found or len(self._found) >= MOST:
            return
        self._found.add((kind, what))
        if self._disk is None:
            self._disk = DaemonExecutor(1, "drift")
        self._disk.call(lambda: self._keep(kind, what, message))

    def _keep(self, kind: str, what: str, message: bytes) -> None:
        name = re.sub(r"[^\w.-]", "_", f"{self._exchange}-{kind}-{what}")
        path = self._directory / f"{name}.txt"
        try:
            if path.exists():
                return
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(path, message[:MOST_BYTES])
        except OSError as error:
            log.warning("a sample of drift is not kept", file=str(path), reason=str(error))
        self.counts[kind] += 1
        log.warning("drift: the venue sends what this version does not know", exchange=self._exchange, kind=kind,
                    what=what, sample=sample(message), file=str(path))  # fmt: skip


class Paces:
    """How often streams that keep time speak: told when each was last received, at each look."""

    def __init__(self, streams: Iterable[Subscription], cadences: Mapping[str, Cadence]) -> None:
        words: dict[str, str] = {}
        for one in streams:
            cadence, word = cadences.get(one.name), one.stream.value
            keeps_time = cadence is not None and not cadence.rhythm and isfinite(cadence.silence)
            if keeps_time and [*words.values()].count(word) < STREAMS:
                words[one.name] = word
        self._words = words
        self._last: dict[str, int] = {}
        self._times: Counter[str] = Counter()
        self._began: float | None = None
        self._usual: dict[str, float] = {}
        self._doubted: set[str] = set()

    def look(self, received: Mapping[str, int], now: float) -> list[tuple[str, float, float]]:
        """(word, seconds before, seconds now) of those that have changed."""
        for name in self._words:
            if (at_ns := received.get(name, 0)) != self._last.get(name, 0):
                self._last[name] = at_ns
                self._times[name] += 1
        if self._began is None:
            self._began = now
        if now - self._began < WINDOW:
            return []
        seconds, self._began = now - self._began, now
        times, self._times = self._times, Counter()
        return self._judge(seconds, times)

    def broken(self) -> None:
        """Nothing was received for a while: what was taken says nothing."""
        self._began = None
        self._times.clear()
        self._doubted.clear()

    def _judge(self, seconds: float, times: Counter[str]) -> list[tuple[str, float, float]]:
        changed = []
        for word in sorted(set(self._words.values())):
            counts = [times[name] for name, own in self._words.items() if own == word]
            if (count := statistics.median(counts)) < LEAST:
                continue
            pace, usual = seconds / count, self._usual.setdefault(word, seconds / count)
            if usual / OTHER <= pace <= usual * OTHER:
                self._doubted.discard(word)
            elif word not in self._doubted:
                self._doubted.add(word)
            else:
                self._doubted.discard(word)
                self._usual[word] = pace
                changed.append((word, usual, pace))
        return changed
