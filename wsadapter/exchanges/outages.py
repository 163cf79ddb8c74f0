"""Holes that no id shows: frames that gave no event, and streams that fell silent.

Pure, for every venue, one per connection. A hole lasts until the first good event of its stream and symbol, which then
comes behind the `Gap` that ends it; that of a book whose checksum broke until a snapshot, that of a stream which was
refused and may be silent for ever until it is taken again. One hole is one gap: where a sequence rule sees the same
hole by its ids, its bounds go into this one. Both kinds outlast a reconnect. Bounded by symbols times streams.

The hot path looks at `pending` only.
"""

from collections.abc import Iterable, Mapping

from wsadapter.events import Depth, Event, Gap, StreamType, Trade, UpdateType
from wsadapter.events.gaps import GapCause, RepairState
from wsadapter.exchanges.continuity import Sequences
from wsadapter.exchanges.planning import stream_type
from wsadapter.exchanges.venue import Item, Subscription


class _Silence:
    """``gap`` as it began. ``chained``: the ids will tell whether anything was missed."""

    def __init__(self, gap: Gap, chained: bool) -> None:
        self.gap, self.chained = gap, chained


class _Run:
    """Events lost one after the other. ``whole``: with all else of their stream, so that its next good element ends
    it."""

    def __init__(self, started_ns: int, cause: GapCause) -> None:
        self.started_ns, self.cause, self.count, self.whole = started_ns, cause, 0, False

    def join(self, before: "_Run") -> None:
        """One run of two sockets."""
        self.started_ns, self.count = min(self.started_ns, before.started_ns), self.count + before.count
        self.whole = self.whole or before.whole


class Outages:
    """``received``: stream name -> receive time of its last good frame."""

    __slots__ = ("_acknowledged", "_failures", "_received", "_sequences", "_silences", "_subscriptions", "pending")

    def __init__(
        self, sequences: Sequences, subscriptions: Iterable[Subscription], received: Mapping[str, int]
    ) -> None:
        self._sequences, self._received = sequences, received
        self._subscriptions = {subscription.name: subscription for subscription in subscriptions}
        self._failures: dict[tuple[str, str, str], _Run] = {}
        self._silences: dict[str, _Silence] = {}
        self._acknowledged: dict[str, int] = {}
        """Stream name -> when the venue took it again, which ended a gap, last."""
        self.pending = False
        """Whether any hole lasts: then every event goes through `ended`."""

    def reset(self) -> None:
        """A new socket: ids begin anew and prove nothing about the time before."""
        for silence in self._silences.values():
            silence.chained = False

    def succeed(self, before: "Outages") -> None:
        """The socket of ``before`` has ended and this one goes on, with its ids: what lasts there lasts here, until
        `ended` or `joined`."""
        self._silences.update({name: each for name, each in before._silences.items() if name in self._subscriptions})
        lasting = {key: run for key, run in before._failures.items() if self._has(key) or not before._has(key)}
        for key, run in self._failures.items():
            if (other := lasting.get(key)) is not None:
                run.join(other)
        self._failures = lasting | self._failures
        for name, at_ns in before._acknowledged.items():
            if name in self._subscriptions:
                self._acknowledged[name] = max(at_ns, self._acknowledged.get(name, 0))
        self.pending = bool(self._silences or self._failures)

    def leave(self, heir: "Outages", at_ns: int) -> list[Gap]:
        """The ends of the gaps of streams that ``heir`` does not have: it goes on with the others."""
        gone = [name for name in self._silences if name not in heir._subscriptions]
        ends = [self._end(self._silences.pop(name).gap, at_ns) for name in gone]
        lost = [key for key in self._failures if self._has(key) and not heir._has(key)]
        return [*ends, *(self._run_over(*key, self._failures.pop(key), at_ns) for key in lost)]

    def _has(self, key: tuple[str, str, str]) -> bool:
        """Whether events of this word, symbol and interval are of a subscription."""
        word, symbol, interval = key
        return any(
            each.symbol in ("", symbol)
            and each.interval == interval
            and word in {each.stream.value, *(stream_type(fed).value for fed in each.feeds)}
            for each in self._subscriptions.values()
        )

    def joined(self, event: Event, by_ids: Gap | None) -> Gap | None:
        """An event that this socket brought before it went on: the silence or the run of failures that it ends, which
        ids may say better; else ``by_ids``."""
        word, symbol, at_ns = event.stream_type.value, event.symbol, event.receive_time_ns
        if type(event) is Depth and event.update_type is UpdateType.DELTA and self.is_wrong(word, symbol):
            return by_ids
        series = word, symbol, getattr(event, "interval", "")
        name = next((name for name, each in self._silences.items() if _series(each.gap) == series), None)
        gap = by_ids
        if name is not None:
            gap = self._spoke(self._silences.pop(name), type(event) is Trade, by_ids, at_ns)
        for key in _keys(event):
            if gap is not None and by_ids is None:
                break  # what else lasts ends with a later event, under its own cause
            if (run := self._failures.pop(key, None)) is not None:
                made = self._decoded(*key, run, by_ids, at_ns)
                gap = made[0] if made else gap
        self.pending = bool(self._silences or self._failures)
        return gap

    def is_wrong(self, word: str, symbol: str) -> bool:
        """Whether a checksum told that what was recorded of this book is wrong, and no snapshot came since."""
        run = self._failures.get((word, symbol, ""))
        return run is not None and run.cause is GapCause.CHECKSUM

    def failed(
        self, word: str, symbol: str, stream: str, at_ns: int, cause: GapCause = GapCause.DECODE, whole: bool = False
    ) -> None:
        """An event of a known stream and symbol was lost: in decoding, or for want of the ones before it. ``whole``:
        with all else that its element would have been."""
        subscription = self._subscriptions.get(stream)
        key = word, symbol, subscription.interval if subscription else ""
        run = self._failures.setdefault(key, _Run(self._received.get(stream) or at_ns, cause))
        run.count += 1
        run.whole = run.whole or whole
        self.pending = True

    def silent(self, name: str, since_ns: int, at_ns: int) -> Gap | None:
        """A stream says nothing any more: the gap that begins with its last event, else with ``since_ns``, but not
        before its last gap ended for being `acknowledged`. None when it is known already. Of a stream of several words
        it is the first one's; the others' come when they end."""
        if name in self._silences:
            return None
        subscription = self._subscriptions[name]
        word, symbol = subscription.stream.value, subscription.symbol
        chained = self._sequences.numbered(word, symbol)
        started_ns = max(self._received.get(name) or since_ns, self._acknowledged.get(name, 0))
        gap = self._sequences.gap(word, symbol, GapCause.STALE, started_ns, at_ns, None, interval=subscription.interval)
        self._silences[name] = _Silence(gap, chained)
        for other in map(stream_type, subscription.feeds):
            if other != word:
                self.failed(other.value, symbol, name, started_ns, GapCause.STALE, whole=True)
        self.pending = True
        return gap

    def acknowledged(self, name: str, at_ns: int) -> list[Gap]:
        """The ends of the gaps of a stream whose events nobody can wait for: from now on it is well."""
        if (silence := self._silences.pop(name, None)) is None:
            return []
        self._acknowledged[name] = at_ns
        ends = [self._end(silence.gap, at_ns), *self._with_others(name, set(), at_ns)]
        self.pending = bool(self._silences or self._failures)
        return ends

    def ended(self, items: list[Item], stream: str, at_ns: int) -> list[Item]:
        """``items`` of one good element, behind the gaps that its events end."""
        if stream not in self._silences and not self._failures:
            return items
        by_ids = next((item for item in items if type(item) is Gap), None)
        events = {item.stream_type: item for item in items if isinstance(item, Event) and type(item) is not Gap}
        ends: list[Item] = []
        marked: set[StreamType] = set()
        if not events:
            ends = [] if items else [*self._with_others(stream, marked, at_ns)]
            self.pending = bool(self._silences or self._failures)
            return items or ends
        if (silence := self._silences.pop(stream, None)) is not None:
            event = next(iter(events.values()))
            ends.append(self._spoke(silence, type(event) is Trade, by_ids, at_ns))
            marked.add(event.stream_type)
        for word, event in events.items():
            for key in _keys(event):
                if (run := self._failures.pop(key, None)) is not None:
                    of_ids = by_ids if by_ids is not None and by_ids.stream == word.value else None
                    ends += self._decoded(*key, run, of_ids, at_ns)
                    marked.add(word)
        ends += self._with_others(stream, marked, at_ns)
        self.pending = bool(self._silences or self._failures)
        if not ends:
            return items
        for item in items:
            if isinstance(item, Event) and item.stream_type in marked:
                item.last_gap_ns = at_ns
        # one hole, one gap: a silence has taken the bounds over
        return [*ends, *(item for item in items if silence is None or item is not by_ids)]

    def _with_others(self, stream: str, marked: set[StreamType], at_ns: int) -> list[Gap]:
        """The ends of what a good element of the stream ends in words of which it was no event (a rate as before)."""
        subscription = self._subscriptions.get(stream)
        ends: list[Gap] = []
        if subscription is None:
            return ends
        for word in map(stream_type, subscription.feeds):
            key = word.value, subscription.symbol, subscription.interval
            if (run := self._failures.get(key)) is not None and run.whole:
                ends.append(self._run_over(*key, self._failures.pop(key), at_ns))
                marked.add(word)
        return ends

    def close(self, at_ns: int) -> list[Gap]:
        """The connection ends for good: what lasts ends here, another gap begins with the next start."""
        ends = [self._end(silence.gap, at_ns) for silence in self._silences.values()]
        for (word, symbol, interval), run in self._failures.items():
            ends.append(self._run_over(word, symbol, interval, run, at_ns))
        self._silences.clear()
        self._failures.clear()
        self.pending = False
        return ends

    def _decoded(self, word: str, symbol: str, interval: str, run: _Run, by_ids: Gap | None, at_ns: int) -> list[Gap]:
        """The end of a run of failures, unless the ids say it better."""
        if by_ids is None:
            return [self._run_over(word, symbol, interval, run, at_ns)]
        if (by_ids.missing_count or run.count) <= run.count:
            by_ids.cause = run.cause.value
        return []

    def _run_over(self, word: str, symbol: str, interval: str, run: _Run, at_ns: int) -> Gap:
        """``missing_count`` is that of elements which gave no event; of a broken chain more may be missing."""
        missing = None, None, run.count if run.cause is GapCause.DECODE else None
        return self._sequences.gap(word, symbol, run.cause, run.started_ns, at_ns, at_ns, missing, interval)

    def _spoke(self, silence: _Silence, is_trade: bool, by_ids: Gap | None, at_ns: int) -> Gap:
        gap = self._end(silence.gap, at_ns)
        if by_ids is not None:
            gap.first_missing, gap.last_missing = by_ids.first_missing, by_ids.last_missing
            gap.missing_count = by_ids.missing_count
        elif silence.chained and is_trade:
            gap.missing_count, gap.repair_state = 0, RepairState.REPAIRED.value  # nobody traded
        return gap

    def _end(self, begun: Gap, at_ns: int) -> Gap:
        gap = self._sequences.gap(
            begun.stream, begun.symbol, GapCause(begun.cause), begun.started_ns, at_ns, at_ns, interval=begun.interval
        )
        gap.version = begun.version + 1
        return gap


def _series(gap: Gap) -> tuple[str, str, str]:
    return gap.stream, gap.symbol, gap.interval


def _keys(event: Event) -> Iterable[tuple[str, str, str]]:
    """Of the runs that an event ends: of which symbol what was lost of a stream of the whole market is not known."""
    word, symbol = event.stream_type.value, event.symbol
    return dict.fromkeys(((word, symbol, getattr(event, "interval", "")), (word, symbol, ""), (word, "", "")))
