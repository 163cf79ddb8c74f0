"""Conservation on a running pipeline: what went into each hop came out of it, is on its way, or was set aside. Pure.

Works on samples of /status (`Status`), taken a moment apart. Each process's counters are exact whatever was killed
(`wsadapter.shm.ring_counters`, `wsadapter.shm.redo_log`), but those of several processes are never of one moment. So
a hop is judged by the sample in which least was between its two counters: where that is nothing, it is balanced.
Otherwise what its own queue holds may be between, or what came in since the first sample: when all that had come in
then has come out by the last, the hop passes things on, however slow the machine is. What a queue holds of which
nothing comes out for half a minute is stuck, unless it waits for rows that do come out. What stays is unexplained.

More out than in is no loss: records of an earlier run whose pages are gone, or of a stranger who writes to our topics.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from wsadapter.audit.hops import CONSUMER, HOPS, KAFKA, TABLES, VENUE, Hop
from wsadapter.events.streams import OURS, SPECS
from wsadapter.times import SECOND

BALANCED: Final = "balanced"
IN_FLIGHT: Final = "in flight"
BEFORE: Final = "earlier"
MISSED: Final = "gap rows"
DAMAGED: Final = "damaged spool"
STUCK: Final = "stuck"
UNEXPLAINED: Final = "unexplained"
STUCK_SECONDS: Final = 30.0
"""A hop that passes nothing on for so long, although something waits, is stuck."""

NO_GAP: Final = ("connect", "ring_full", "filler")
"""Causes that are no time without a connection after the first, and are counted otherwise."""
RECORD_BYTES: Final = 32
"""Of a ring; no record of an event is smaller."""


Status = dict[str, Any]
"""The JSON of /status, see `wsadapter.roles.monitor.status`."""


class Balance(Struct, frozen=True):
    """One stream on one hop: ``entered`` and ``exited``, ``aside`` (dropped, dead-lettered, rejected, open candles;
    never in both counters), and the ``rest`` that is between (less than 0: more came out). ``moved``: something came
    out between the first sample and the last."""

    hop: str
    stream: str
    entered: int
    exited: int
    aside: int
    rest: int
    verdict: str
    moved: bool = True


class Live(Struct, frozen=True):
    balances: tuple[Balance, ...]
    frames: int
    events: int
    decode_errors: Mapping[str, int]
    dropped: Mapping[str, int]
    gaps: Mapping[str, int]
    spooled: int
    repeated: int
    """Messages that were handed to the Kafka client again, after a kill or an outage."""
    redelivered: int
    """Those that were in Kafka twice for it, and were dropped before the tables."""
    dead_letters: Mapping[str, int]
    """Stream -> messages set aside by serializers and consumers since the counters began: they are in no table."""
    lag: int | None
    """None: not known."""
    restarts: Mapping[str, int]
    samples: int
    began_ns: int | None = None
    """The counters are from then on, or from earlier: when the supervisor began. None: not known."""

    @property
    def unexplained(self) -> int:
        return sum(one.rest for one in self.balances if one.verdict == UNEXPLAINED)

    @property
    def verdict(self) -> str:
        words = {one.verdict for one in self.balances}
        for word in (UNEXPLAINED, STUCK, DAMAGED, IN_FLIGHT, MISSED):
            if word in words:
                return word
        return BALANCED

    @property
    def stuck(self) -> dict[str, int]:
        """Stream -> records that wait before a hop that passes nothing on."""
        counts: dict[str, int] = {}
        for one in self.balances:
            if one.verdict == STUCK:
                counts[one.stream] = counts.get(one.stream, 0) + one.rest
        return counts

    @property
    def is_undecided(self) -> bool:
        """More samples may tell a slow machine from a loss, or from a hop that is stuck."""
        return any(one.verdict == UNEXPLAINED or (one.verdict == IN_FLIGHT and not one.moved) for one in self.balances)


Sides = tuple[int, int, int]
"""Entered, exited, set aside."""


def balance(samples: Sequence[Status], stream: str = "") -> Live:
    """Judge every hop and stream. At least two samples; the more of them, the less is taken to be in flight."""
    streams = [stream] if stream else [spec.name for spec in SPECS]
    last = samples[-1]["totals"]
    produced, delivered = sum(last["produced"].values()), sum(last["delivered"].values())
    outstanding = sum(int(one["outstanding"]) for one in samples[-1]["serializers"])
    return Live(
        tuple(
            judged
            for hop in HOPS
            for name in ([hop.whole] if hop.whole else streams)
            if (judged := _judge(hop, name, samples)) is not None
        ),
        last["frames"], sum(last["events"].values()), last["decode_errors"], last["dropped"], last["gaps"],
        last["spooled"], max(0, produced - delivered - sum(last["not_sent"].values()) - outstanding),
        sum(last["redelivered"].values()), _dead_letters(last), last["lag"], restarts(samples[-1]), len(samples),
        _began_ns(samples[-1]),
    )  # fmt: skip


def is_final(samples: Sequence[Status]) -> bool:
    """Whether another sample could not say more: nothing is between any two counters."""
    return len(samples) > 1 and all(
        one.verdict not in (IN_FLIGHT, UNEXPLAINED) for one in balance(samples).balances
    )  # fmt: skip


def _began_ns(sample: Status) -> int | None:
    uptime = sample["supervisor"]["uptime_seconds"]
    return None if uptime is None else round((sample["time"] - uptime) * SECOND)


def _dead_letters(totals: Mapping[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for stream, count in (*totals["not_sent"].items(), *totals["not_inserted"].items()):
        counts[stream] = counts.get(stream, 0) + count
    return counts


def restarts(sample: Status) -> dict[str, int]:
    """Role -> how often its processes were started again."""
    counts: dict[str, int] = {}
    for child in sample["children"]:
        if child["restarts"]:
            counts[child["role"]] = counts.get(child["role"], 0) + int(child["restarts"])
    return counts


def _judge(hop: Hop, stream: str, samples: Sequence[Status]) -> Balance | None:
    """None where there is nothing to judge: the stream was never there, or the venue is not ours to ask."""
    if stream in OURS and hop == VENUE:
        return None
    read = [hop.sides(stream, sample["totals"]) for sample in samples]
    if not any(read[-1]) or (hop.venue and not samples[-1]["totals"]["sent"]):
        return None
    rests = [entered - exited - aside for entered, exited, aside in read]
    rest = min(rests, key=abs)
    if min(rests) < 0 < max(rests):
        rest = 0  # it was nothing in between
    entered, exited, aside = read[rests.index(rest) if rest in rests else -1]
    out = [exited + aside for _, exited, aside in read]
    moved = rest <= 0 or max(out) > min(out)
    verdict = _verdict(hop, stream, rest, samples, read)
    if verdict == IN_FLIGHT and not moved and samples[-1]["time"] - samples[0]["time"] >= STUCK_SECONDS:
        verdict = IN_FLIGHT if _waits_for_rows(hop, stream, samples) else STUCK
    return Balance(hop.name, stream, entered, exited, aside, rest, verdict, moved)


def _waits_for_rows(hop: Hop, stream: str, samples: Sequence[Status]) -> bool:
    """Whether it is a stream of ours that is inserted behind rows which are on their way, however long that takes
    (`wsadapter.roles.consumer.insert_order`)."""
    if hop != CONSUMER or stream not in OURS:
        return False
    rows = [_judge(hop, spec.name, samples) for spec in SPECS if not spec.ours]
    return any(one is not None and one.rest > 0 and one.moved for one in rows)


def _verdict(hop: Hop, stream: str, rest: int, samples: Sequence[Status], read: Sequence[Sides]) -> str:
    if rest <= 0:
        return BALANCED if rest == 0 else BEFORE
    totals = samples[-1]["totals"]
    if hop.venue and any(count for cause, count in totals["gaps"].items() if cause not in NO_GAP):
        return MISSED
    passed_on = len(read) > 1 and max(exited + aside for _, exited, aside in read) >= read[0][0]
    if passed_on or rest <= max(_queued(hop, stream, sample) for sample in samples):
        return IN_FLIGHT
    if hop == CONSUMER and totals.get("kafka_gaps", {}).get(stream):
        return MISSED  # messages that Kafka had taken, and lost with their topic or by its retention
    # which streams the lost records of a spool were of, nobody knows
    return DAMAGED if hop == KAFKA and rest <= totals["spool_lost"] else UNEXPLAINED


def _queued(hop: Hop, stream: str, sample: Status) -> int:
    """What the hop's own queue may hold, in records."""
    if hop == KAFKA:
        used = sum(int(ring["used_bytes"]) for ring in sample["rings"])
        kept = sum(int(one["outstanding"]) + int(one["spool_records"]) for one in sample["serializers"])
        return used // RECORD_BYTES + kept
    if hop == CONSUMER:
        return sum(int(one["lag"].get(stream, 0)) for one in sample["consumers"])
    return int(sample["totals"]["unsettled_rows"].get(stream, 0)) if hop == TABLES else 0
