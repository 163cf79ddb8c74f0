"""Conservation on a running road: what went into each hop came out of it, is on its way, or was set aside. Pure.

Works on samples of /status (`wsadapter.monitor_client.Status`), taken a moment apart. Counters of processes that work
are never of one moment, so a hop is judged by the sample in which least was between its two counters: where that is
nothing, the hop is balanced. Otherwise what its own queue says is in flight, and what came in during the last seconds,
may still be between; more than that is unexplained.

A killed process takes along what it had counted and not done, or done and not counted: at most a batch. After a restart
of the role such a rest is said as that, for it stays in the counters for ever. More out than in is no loss: records
of an earlier run, or a batch that was counted twice.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from wsadapter.monitor_client import Status
from wsadapter.streams import SPECS

BALANCED: Final = "balanced"
IN_FLIGHT: Final = "in flight"
RESTARTED: Final = "restarted"
BEFORE: Final = "earlier"
MISSED: Final = "gap rows"
DEAD: Final = "dead letters"
UNEXPLAINED: Final = "unexplained"

VENUE: Final = "venue -> ring"
KAFKA: Final = "ring -> Kafka"
CONSUMER: Final = "Kafka -> consumer"
TABLES: Final = "consumer -> tables"
HOPS: Final = (VENUE, KAFKA, CONSUMER, TABLES)

SETTLE_SECONDS: Final = {VENUE: 1.0, KAFKA: 1.0, CONSUMER: 6.0, TABLES: 12.0}
"""How long an event may be on its way through a hop: a quiet batch waits, and rejects are asked for every 5 s."""
BATCH: Final = 20_000
"""Per restart: records of one cycle of a serializer, rows of a consumer's batch, events of one socket read."""
NO_GAP: Final = ("connect", "ring_full")
"""Causes that are no time without a connection after the first, and are counted otherwise."""

RECORD_BYTES: Final = 32
"""Of a ring; no record of an event is smaller."""

_ROLES: Final = {VENUE: ("ingest", "exchange"), KAFKA: ("ingest", "serializer"), CONSUMER: ("serializer", "consumer"),
                 TABLES: ("consumer",)}  # fmt: skip


class Balance(Struct, frozen=True):
    """One stream on one hop: ``entered`` and ``left``, ``aside`` (dropped, dead-lettered, rejected, open candles; never
    in both counters), and the ``rest`` that is between (less than 0: more came out)."""

    hop: str
    stream: str
    entered: int
    left: int
    aside: int
    rest: int
    verdict: str


class Live(Struct, frozen=True):
    balances: tuple[Balance, ...]
    frames: int
    events: int
    decode_errors: Mapping[str, int]
    dropped: Mapping[str, int]
    gaps: Mapping[str, int]
    dead_letters: int
    lag: int
    restarts: Mapping[str, int]
    samples: int

    @property
    def unexplained(self) -> int:
        return sum(one.rest for one in self.balances if one.verdict == UNEXPLAINED)

    @property
    def verdict(self) -> str:
        words = {one.verdict for one in self.balances}
        for word in (UNEXPLAINED, IN_FLIGHT, RESTARTED, DEAD, MISSED):
            if word in words:
                return word
        return BALANCED


Sides = tuple[int, int, int]
"""Entered, left, set aside."""


def sides(hop: str, stream: str, totals: Mapping[str, Any], open_candles: bool) -> Sides:
    """What the counters of one sample say."""

    def count(name: str) -> int:
        return int(totals[name].get(stream, 0))

    fresh = count("consumed") - count("redelivered")
    if hop == VENUE:
        return count("sent"), count("events"), count("dropped") + count("copies")
    if hop == KAFKA:
        return count("events"), count("delivered"), count("twins")
    if hop == CONSUMER:
        return count("delivered"), fresh, 0
    kept = count("accepted_rows") + count("rejected_rows")
    # ingest counts the open candles, and so those that have not come here yet
    filtered = 0 if open_candles or stream != "kline" else int(totals["open_candles"])
    return fresh, count("accepted_rows"), count("rejected_rows") + min(filtered, max(0, fresh - kept))


def balance(samples: Sequence[Status], open_candles: bool, stream: str = "") -> Live:
    """Judge every hop and stream. At least two samples; the more of them, the less is taken to be in flight."""
    streams = [stream] if stream else [spec.name for spec in SPECS]
    last = samples[-1]["totals"]
    return Live(
        tuple(
            made
            for hop in HOPS
            for name in streams
            if (made := _judge(hop, name, samples, open_candles)) is not None
        ),
        last["frames"], sum(last["events"].values()), last["decode_errors"], last["dropped"], last["gaps"],
        last["dead_letters"], last["lag"], restarts(samples[-1]), len(samples),
    )  # fmt: skip


def settled(samples: Sequence[Status], open_candles: bool) -> bool:
    """Whether another sample could not say more: nothing is left between any two counters."""
    return len(samples) > 1 and all(
        one.verdict not in (IN_FLIGHT, UNEXPLAINED) for one in balance(samples, open_candles).balances
    )


def restarts(sample: Status) -> dict[str, int]:
    """Role -> how often its processes were started again."""
    found: dict[str, int] = {}
    for child in sample["children"]:
        if child["restarts"]:
            found[child["role"]] = found.get(child["role"], 0) + int(child["restarts"])
    return found


def _judge(hop: str, stream: str, samples: Sequence[Status], open_candles: bool) -> Balance | None:
    """None where there is nothing to judge: the stream was never there, or the venue is not ours to ask."""
    if stream == "gap" and hop == VENUE:
        return None
    read = [sides(hop, stream, sample["totals"], open_candles) for sample in samples]
    if not any(read[-1]) or (hop == VENUE and not samples[-1]["totals"]["sent"]):
        return None
    rests = [entered - left - aside for entered, left, aside in read]
    rest = min(rests, key=abs)
    if min(rests) < 0 < max(rests):
        rest = 0  # it was nothing in between
    entered, left, aside = read[rests.index(rest) if rest in rests else -1]
    return Balance(hop, stream, entered, left, aside, rest, _verdict(hop, stream, rest, samples, read))


def _verdict(hop: str, stream: str, rest: int, samples: Sequence[Status], read: Sequence[Sides]) -> str:
    if rest <= 0:
        return BALANCED if rest == 0 else BEFORE
    last = samples[-1]
    if hop == VENUE and any(count for cause, count in last["totals"]["gaps"].items() if cause not in NO_GAP):
        return MISSED
    if rest <= max(_queued(hop, stream, sample) for sample in samples) + _moving(hop, samples, read):
        return IN_FLIGHT
    if rest <= _dead_letters(hop, last):
        return DEAD
    again = restarts(last)
    return RESTARTED if rest <= BATCH * sum(again.get(role, 0) for role in _ROLES[hop]) else UNEXPLAINED


def _queued(hop: str, stream: str, sample: Status) -> int:
    """What the hop's own queue may hold, in records."""
    if hop == KAFKA:
        used = sum(int(ring["used_bytes"]) for ring in sample["rings"])
        kept = sum(int(one["outstanding"]) + int(one["spool_records"]) for one in sample["serializers"])
        return used // RECORD_BYTES + kept
    if hop == VENUE:
        return 0
    return sum(int(one["lag"].get(stream, 0)) for one in sample["consumers"])


def _dead_letters(hop: str, sample: Status) -> int:
    """Of the hop's role; they are not counted by stream."""
    serializers = sum(int(one["dead_letters"]) for one in sample["serializers"])
    if hop == KAFKA:
        return serializers
    return int(sample["totals"]["dead_letters"]) - serializers if hop == TABLES else 0


def _moving(hop: str, samples: Sequence[Status], read: Sequence[Sides]) -> int:
    """What came in while an event may be on its way, by the pace between the samples."""
    seconds = samples[-1]["time"] - samples[0]["time"]
    came = max(0, read[-1][0] - read[0][0])
    return round(came * SETTLE_SECONDS[hop] / seconds) if seconds > 0 else came
