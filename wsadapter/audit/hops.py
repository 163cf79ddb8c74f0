"""The sums of /status, and which of them must balance: for the monitor, the audit, the account and the end of a run.

* `TOTALS`: counters of all processes of a role, summed as `wsadapter.metrics.METRICS` says.
* `HOPS`: each step on an event's way, by what enters and what leaves it; `PIPELINE`: the whole way.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from wsadapter.events import StreamType
from wsadapter.events.streams import OURS
from wsadapter.metrics import METRICS, layout

_GAP: Final = StreamType.GAP.value
_Total = tuple[str, str]
"""Name of a sum, and the label by which it is told apart; empty: one number."""


def _totals() -> Iterator[tuple[tuple[str, str], _Total]]:
    for metric in METRICS.values():
        for role, cells in metric.pages.items():
            if cells.total:
                first = cells.axes[0].labels[0] if cells.axes else ""
                yield (role, cells.name or metric.name), (cells.total, first if cells.by is None else cells.by)


_TOTAL_OF: Final[Mapping[tuple[str, str], _Total]] = dict(_totals())
TOTALS: Final = (*dict.fromkeys(name for name, _ in _TOTAL_OF.values()), "dead_letters")
"""The totals of /status and of the account of a run, by name."""


def is_summed(role: str, cell: str) -> bool:
    """Whether a cell of the role's pages is part of a sum."""
    return (role, cell.partition("{")[0]) in _TOTAL_OF


def totals(pages: Iterable[tuple[str, Mapping[str, int]]]) -> dict[str, Any]:
    """`TOTALS` of these pages (role and cells): an int, or a dict by label with only what occurred."""
    sums: dict[str, Any] = {name: {} if by else 0 for name, by in _TOTAL_OF.values()}
    for role, page in pages:
        for cell_name, cells in layout(tuple(page)).items():
            name, by = _TOTAL_OF.get((role, cell_name), ("", ""))
            for labels, cell in cells if name else ():
                if not (value := page[cell]):
                    continue
                if by:
                    sums[name][labels[by]] = sums[name].get(labels[by], 0) + value
                else:
                    sums[name] += value
    sums["dead_letters"] = sum(sums["not_sent"].values()) + sum(sums["not_inserted"].values())
    return sums


class Hop(Struct, frozen=True):
    """One step on an event's way, in `TOTALS`: what enters it, what leaves it, and what is set aside (dropped,
    dead-lettered, rejected, filtered; never in both others). A name behind a minus is taken off. ``whole``: what it
    counts where it does not count by stream. ``venue``: only judged when the venue is ours to ask. ``makes``: gap rows
    that enter with it and come from no ring, counted by the stream that they are about."""

    name: str
    enters: tuple[str, ...]
    leaves: tuple[str, ...]
    aside: tuple[str, ...] = ()
    whole: str = ""
    venue: bool = False
    makes: tuple[str, ...] = ()

    def sides(self, stream: str, totals: Mapping[str, Any]) -> tuple[int, int, int]:
        """Entered, left and set aside, of one stream (of all where it is ``whole``)."""
        of = "" if self.whole else stream
        entered = _summed(self.enters, of, totals) + (self._made(totals) if of == _GAP else 0)
        return entered, _summed(self.leaves, of, totals), _summed(self.aside, of, totals)

    def between(self, totals: Mapping[str, Any]) -> int:
        """What entered and came to no end yet, of all streams, gaps included."""
        signs = ((self.enters, 1), (self.leaves, -1), (self.aside, -1))
        return sum(sign * _summed(terms, None, totals) for terms, sign in signs) + self._made(totals)

    def _made(self, totals: Mapping[str, Any]) -> int:
        return sum(count for name in self.makes for count in totals.get(name, {}).values())

    @property
    def roles(self) -> frozenset[str]:
        """Whose pages count it."""
        names = {term.removeprefix("-") for term in (*self.enters, *self.leaves, *self.aside, *self.makes)}
        return frozenset(role for (role, _), (name, _) in _TOTAL_OF.items() if name in names)


def _summed(terms: Iterable[str], stream: str | None, totals: Mapping[str, Any]) -> int:
    """``stream`` empty: all events; what is ours (a gap) is none. None: of every record, those included."""
    result = 0
    for term in terms:
        count = totals.get(term.removeprefix("-"), 0)
        if isinstance(count, Mapping):
            counted = (n for word, n in count.items() if word not in OURS or stream is None)
            count = count.get(stream, 0) if stream else sum(counted)
        result += -count if term.startswith("-") else count
    return result


SOCKET: Final = Hop("venue -> socket", ("frames_sent",), ("frames",), whole="frames", venue=True)
DECODER: Final = Hop(
    "decoder -> ring", ("decoded",), ("events",), ("dropped", "too_large", "unencodable"), whole="events"
)
VENUE: Final = Hop("venue -> ring", ("sent",), ("events",), ("dropped", "copies"), venue=True)
KAFKA: Final = Hop("ring -> Kafka", ("events", "repair_records"), ("delivered",), ("not_sent", "twins"))
CONSUMER: Final = Hop(
    "Kafka -> consumer", ("delivered",), ("consumed", "-redelivered"), makes=("kafka_gaps", "letter_gaps")
)
TABLES: Final = Hop(
    "consumer -> tables",
    ("consumed", "-redelivered"),
    ("accepted_rows",),
    ("rejected_rows", "filtered_rows", "not_inserted"),
)
HOPS: Final = (SOCKET, DECODER, VENUE, KAFKA, CONSUMER, TABLES)
COUNTING_ROLES: Final = tuple(sorted(frozenset[str]().union(*(hop.roles for hop in HOPS))))
"""Whose pages an account needs."""
PIPELINE: Final = Hop(
    "ring -> tables", KAFKA.enters, TABLES.leaves, (*KAFKA.aside, "spool_lost", *TABLES.aside), makes=CONSUMER.makes
)
"""The whole way of a record: what came into a ring, and all that can become of it."""


def flow(totals: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What became of each stream's events so far, in columns of which each counts the same events: what is repaired or
    polled is in the later ones, so in the first, too. A row counts when it is inserted, and no more when the server
    says that it was rejected. An open candle is in Kafka; its table keeps closed ones. ``ours``: the recorder's own
    (gaps, coverage), behind the others."""
    names = ("repaired", "delivered", "accepted_rows", "unsettled_rows", "filtered_rows", "rejected_rows", "dropped")
    counted = {name: totals.get(name, {}) for name in names}
    streams = {stream for name in ("events", "repair_records", *names) for stream in totals.get(name, {})}
    return [
        {
            "stream": stream,
            "ours": stream in OURS,
            "events": KAFKA.sides(stream, totals)[0],
            "repaired": counted["repaired"].get(stream, 0),
            "in_kafka": counted["delivered"].get(stream, 0),
            "rows": counted["accepted_rows"].get(stream, 0) + counted["unsettled_rows"].get(stream, 0),
            "open_candles": counted["filtered_rows"].get(stream, 0),
            "rejected": counted["rejected_rows"].get(stream, 0),
            "dropped": counted["dropped"].get(stream, 0),
        }
        for stream in sorted(streams, key=lambda stream: (stream in OURS, stream))
    ]
