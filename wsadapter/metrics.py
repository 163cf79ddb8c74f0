"""The cells of each role's stats page: metric names as they are exposed, without the prefix ``wsadapter_``.

One tuple a role, so that the writer, the monitor and a test see the same names. Label values are bounded: every value
that can occur is listed here or follows from the configuration; anything else is counted under ``other``. A page has
one writer, its role; `wsadapter.roles.supervisor.topology` creates it from these fields.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from wsadapter.events.gaps import GapCause, RepairState
from wsadapter.events.sequence import NUMBERINGS
from wsadapter.events.streams import DEAD_LETTER, SPECS
from wsadapter.shm import redo_log as journal
from wsadapter.shm import ring_counters as banks
from wsadapter.shm.stats_page import SECONDS

CHILD: Final = ("heartbeat_ns", "state", "pid", "started_ns")
"""Every child's page begins with these."""

STREAM_WORDS: Final = tuple(spec.name for spec in SPECS)
TOPIC_WORDS: Final = (*STREAM_WORDS, DEAD_LETTER)
NUMBERED_WORDS: Final = tuple(word for word in STREAM_WORDS if NUMBERINGS[word].is_numbered)
"""Streams whose events have an order of their own."""
DECODE_ERROR_KINDS: Final = (
    "json", "utf8", "depth", "type", "decimal", "range", "unknown_event", "foreign_symbol", "binary", "oversize",
    "other",
)  # fmt: skip
RECONNECT_REASONS: Final = (
    "dns", "connect", "tls", "handshake", "http_403", "http_418", "http_429", "http_5xx", "http_other", "closed",
    "reset", "idle", "protocol", "ack", "stale", "oversize", "rotation", "other",
)  # fmt: skip
GAP_CAUSES: Final = tuple(cause.value for cause in GapCause)


def labelled(name: str, label: str, values: Iterable[str]) -> tuple[str, ...]:
    return tuple(f'{name}{{{label}="{value}"}}' for value in values)


_CELL: Final = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)(?:\{(.*)\})?")
_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="([^"]*)"')
Labels = tuple[tuple[str, str], ...]


@lru_cache(maxsize=65536)
def parse(cell: str) -> tuple[str, Labels]:
    """``name{a="v",b="w"}`` as (name, labels)."""
    match = _CELL.fullmatch(cell)
    return (cell, ()) if match is None else (match[1], tuple(_LABEL.findall(match[2] or "")))


def histogram(name: str) -> tuple[str, ...]:
    """Cells of a histogram: cumulative buckets, the sum in ns, the count."""
    return (*labelled(f"{name}_bucket", "le", SECONDS), f"{name}_sum_ns", f"{name}_count")


PUBLISHED: Final = (
    "frames_total", "decoded_total", "too_large_total", "last_receive_ns", "open_candles_total",
    *labelled("events_total", "stream", STREAM_WORDS),
    *labelled("ring_dropped_total", "stream", STREAM_WORDS),
    *labelled("decode_errors_total", "kind", DECODE_ERROR_KINDS),
    *labelled("gaps_total", "cause", GAP_CAUSES),
)  # fmt: skip
"""What ingest counts as one with the ring's tail (`wsadapter.shm.ring_counters`)."""


def ingest(subscriptions: Iterable[str]) -> tuple[str, ...]:
    """``stream_state``: 0 requested, 1 acked, 2 live, 3 stale, 4 refused. ``gap_*``: the gap that is open now, see
    `wsadapter.roles.ingest.gaps`."""
    names = tuple(subscriptions)
    return (
        *CHILD,
        "bytes_total", "connection_up", "connected_since_ns", "error_count", "reconnect_count",
        "gap_position", "gap_started_ns", "gap_version", "gap_cause",
        "connection_attempts_total", "connection_attempts_delayed_total",
        *banks.fields(PUBLISHED),
        *labelled("reconnects_total", "reason", RECONNECT_REASONS),
        *labelled("out_of_order_total", "stream", NUMBERED_WORDS),
        *labelled("copies_total", "stream", STREAM_WORDS),
        *labelled("stream_state", "stream", names),
        *labelled("stream_last_ns", "stream", names),
    )  # fmt: skip


SERIALIZER_REASONS: Final = ("too_large", "encode", "rejected")
CONSUMER_REASONS: Final = ("parse", "foreign", "other")
UNKNOWN: Final = "unknown"
"""Instead of the topic, of a ring record of no kind of ours."""


def dead_letters(reason: str, topic: str) -> str:
    """Messages set aside; ``topic`` as a stream word."""
    return f'dead_letters_total{{reason="{reason}",topic="{topic}"}}'


SERIALIZER: Final = (
    *CHILD,
    "broker_up", "outstanding", "spool_bytes", "spool_records", "spooled_total", "spool_lost_total",
    "single_messages", "batch_bytes", "spool_next", "replayed_spool", "replayed_to", *journal.FIELDS,
    *labelled("produced_total", "topic", TOPIC_WORDS),
    *labelled("delivered_total", "topic", TOPIC_WORDS),
    "open_candle_copies_total",
    *labelled("copies_total", "stream", STREAM_WORDS),
    *(dead_letters(reason, word) for reason in SERIALIZER_REASONS for word in (*STREAM_WORDS, UNKNOWN)),
    *histogram("delivery_seconds"),
)  # fmt: skip
"""``spool_next``: records that went to this spool, as counted; ``replayed_*``: the commit that the journal decides."""


def consumer(partitions: int) -> tuple[str, ...]:
    """``partitions``: most of a topic. Each has where its last counted batch ended, and from where on how many rows
    are not settled (`wsadapter.roles.consumer.accounting`); of a partition beyond them a kill may count a batch
    twice."""
    return (
        *CHILD,
        "broker_up", "clickhouse_up", "rebalances_total", "inserts_total", "insert_retries_total", *journal.FIELDS,
        *labelled("consumed_total", "stream", STREAM_WORDS),
        *labelled("redelivered_total", "stream", STREAM_WORDS),
        *labelled("filtered_rows_total", "stream", STREAM_WORDS),
        *labelled("unsettled_rows", "stream", STREAM_WORDS),
        *labelled("accepted_rows_total", "stream", STREAM_WORDS),
        *labelled("rejected_rows_total", "stream", STREAM_WORDS),
        *(dead_letters(reason, word) for reason in CONSUMER_REASONS for word in STREAM_WORDS),
        *labelled("consumer_lag", "stream", STREAM_WORDS),
        *labelled("paused", "stream", STREAM_WORDS),
        *histogram("insert_seconds"),
        *(
            f'{word}{{stream="{stream}",partition="{number}"}}'
            for word in ("counted_to", "unsettled_from", "unsettled")
            for stream in STREAM_WORDS
            for number in range(partitions)
        ),
    )  # fmt: skip


REPAIR_STATES: Final = tuple(state.value for state in RepairState if state is not RepairState.OPEN)
"""What a gap may become."""


def host_label(base: str) -> str:
    """A host as labels name it: without the scheme."""
    return base.partition("://")[2] or base


SILENCES: Final = ("silence_position", "silence_started_ns", "silence_cause")
"""Of a symbol that is polled: the gap that lasts, by the ring position of its first record + 1 (0: none)."""
REPAIR_PUBLISHED: Final = ("records_total", "repaired_total", "polled_total", "gaps_total", *SILENCES)
"""What the repairer counts as one with its ring's tail."""


def repair_published(fields: Iterable[str]) -> tuple[str, ...]:
    """Of a repairer's cells those that move with its ring's tail, in their order."""
    return tuple(field for field in fields if field.partition("{")[0] in REPAIR_PUBLISHED)


def polled(name: str, exchange: str, symbol: str = "") -> str:
    """A cell about what is polled, of one symbol or of all."""
    stream = f"{symbol.lower()}@openInterest" if symbol else "open_interest"
    return f'{name}{{stream="{stream}",exchange="{exchange}"}}'


def repairer(hosts: Iterable[str], polls: Iterable[tuple[str, str]] = ()) -> tuple[str, ...]:
    """``hosts``: whom it asks, as named in labels; ``polls``: exchange and symbol whose open interest it asks for.
    ``records_total``: all that it wrote to its ring, ``polled_total`` (exposed as ``events_total``) what of it was
    polled, ``gaps_total`` the holes of that; ``gaps_open``: those with an end that are not worked off."""
    names, asked = tuple(hosts), tuple(polls)
    per_host = ("rest_requests_total", "rest_limited_total", "rest_banned_total", "rest_failed_total",
                "rest_refused_total", "rest_bad_answers_total", "rest_weight_used", "rest_weight_limit",
                "rest_paused_seconds", "rest_queue")  # fmt: skip
    return (
        *CHILD,
        "broker_up", "gaps_open", "candle_checks_total", "candles_differing_total", "candle_checks_dropped_total",
        "poll_errors_total", "instrument_rows_total", "instrument_failures_total",
        *banks.fields((
            *labelled("records_total", "stream", STREAM_WORDS),
            *labelled("repaired_total", "stream", STREAM_WORDS),
            *(polled("polled_total", exchange) for exchange in dict.fromkeys(exchange for exchange, _ in asked)),
            *labelled("gaps_total", "cause", ("stale", "restart")),
            *(polled(name, *each) for name in SILENCES for each in asked),
        )),
        *labelled("repairs_total", "state", REPAIR_STATES),
        *(field for name in per_host for field in labelled(name, "host", names)),
        *(polled(name, *each) for name in ("stream_state", "stream_last_ns") for each in asked),
    )  # fmt: skip


MONITOR: Final = (*CHILD, "requests_total")

EXCHANGE: Final = (
    *CHILD,
    "frames_sent_total", "clients", "requests_total", "acks_total", "replay_done",
    *labelled("sent_total", "stream", STREAM_WORDS),
)  # fmt: skip

SERVICE: Final = (*CHILD, "service_up", "queries_total")
"""Embedded Kafka and ClickHouse."""


class Total(Struct, frozen=True):
    """A sum over all processes of a role. ``sources``: role and metric; ``by``: the label by which it is told apart,
    empty: one number."""

    sources: tuple[tuple[str, str], ...]
    by: str = ""


TOTALS: Final[Mapping[str, Total]] = {
    "frames": Total((("ingest", "frames_total"),)),
    "decoded": Total((("ingest", "decoded_total"),)),
    "too_large": Total((("ingest", "too_large_total"),)),
    "bytes": Total((("ingest", "bytes_total"),)),
    "events": Total((("ingest", "events_total"),), "stream"),
    "decode_errors": Total((("ingest", "decode_errors_total"),), "kind"),
    "reconnects": Total((("ingest", "reconnects_total"),), "reason"),
    "gaps": Total((("ingest", "gaps_total"),), "cause"),
    "dropped": Total((("ingest", "ring_dropped_total"),), "stream"),
    "copies": Total((("ingest", "copies_total"),), "stream"),
    "open_candles": Total((("ingest", "open_candles_total"),)),
    "repaired": Total((("repairer", "repaired_total"),), "stream"),
    "polled": Total((("repairer", "polled_total"),), "stream"),
    "repair_records": Total((("repairer", "records_total"),), "stream"),
    "repairs": Total((("repairer", "repairs_total"),), "state"),
    "frames_sent": Total((("exchange", "frames_sent_total"), ("exchange", "acks_total"))),
    "sent": Total((("exchange", "sent_total"),), "stream"),
    "twins": Total((("serializer", "copies_total"),), "stream"),
    "produced": Total((("serializer", "produced_total"),), "topic"),
    "delivered": Total((("serializer", "delivered_total"),), "topic"),
    "spooled": Total((("serializer", "spooled_total"),)),
    "spool_lost": Total((("serializer", "spool_lost_total"),)),
    "not_sent": Total((("serializer", "dead_letters_total"),), "topic"),
    "consumed": Total((("consumer", "consumed_total"),), "stream"),
    "redelivered": Total((("consumer", "redelivered_total"),), "stream"),
    "not_inserted": Total((("consumer", "dead_letters_total"),), "topic"),
    "filtered_rows": Total((("consumer", "filtered_rows_total"),), "stream"),
    "unsettled_rows": Total((("consumer", "unsettled_rows"),), "stream"),
    "accepted_rows": Total((("consumer", "accepted_rows_total"),), "stream"),
    "rejected_rows": Total((("consumer", "rejected_rows_total"),), "stream"),
    "dead_letters": Total((("serializer", "dead_letters_total"), ("consumer", "dead_letters_total"))),
    "lag": Total((("consumer", "consumer_lag"),)),
}
"""The totals of /status and of the account of a run, by name."""

_TOTALS_OF: Final[dict[tuple[str, str], list[str]]] = {}
for _name, _total in TOTALS.items():
    for _source in _total.sources:
        _TOTALS_OF.setdefault(_source, []).append(_name)


def totals(pages: Iterable[tuple[str, Mapping[str, int]]]) -> dict[str, Any]:
    """`TOTALS` of these pages (role and cells): an int, or a dict by label with only what occurred."""
    found: dict[str, Any] = {name: {} if total.by else 0 for name, total in TOTALS.items()}
    for role, cells in pages:
        for cell, value in cells.items():
            metric, labels = parse(cell)
            for name in _TOTALS_OF.get((role, metric), ()) if value else ():
                if not (by := TOTALS[name].by):
                    found[name] += value
                elif (key := dict(labels).get(by)) is not None:
                    found[name][key] = found[name].get(key, 0) + value
    return found


class Hop(Struct, frozen=True):
    """One step on an event's way, in `TOTALS`: what enters it, what leaves it, and what is set aside (dropped,
    dead-lettered, rejected, filtered; never in both others). A name behind a minus is taken off. ``whole``: what it
    counts where it does not count by stream. ``venue``: only judged when the venue is ours to ask."""

    name: str
    enters: tuple[str, ...]
    leaves: tuple[str, ...]
    aside: tuple[str, ...] = ()
    whole: str = ""
    venue: bool = False

    def sides(self, stream: str, totals: Mapping[str, Any]) -> tuple[int, int, int]:
        """Entered, left and set aside, of one stream (of all where it is ``whole``)."""
        of = "" if self.whole else stream
        return _summed(self.enters, of, totals), _summed(self.leaves, of, totals), _summed(self.aside, of, totals)


def _summed(terms: Iterable[str], stream: str, totals: Mapping[str, Any]) -> int:
    """``stream`` empty: all events; a gap is none."""
    found = 0
    for term in terms:
        count = totals.get(term.removeprefix("-"), 0)
        if isinstance(count, Mapping):
            count = count.get(stream, 0) if stream else sum(n for word, n in count.items() if word != "gap")
        found += -count if term.startswith("-") else count
    return found


SOCKET: Final = Hop("venue -> socket", ("frames_sent",), ("frames",), whole="frames", venue=True)
DECODER: Final = Hop("decoder -> ring", ("decoded",), ("events",), ("dropped", "too_large"), whole="events")
VENUE: Final = Hop("venue -> ring", ("sent",), ("events",), ("dropped", "copies"), venue=True)
KAFKA: Final = Hop("ring -> Kafka", ("events", "repair_records"), ("delivered",), ("not_sent", "twins"))
CONSUMER: Final = Hop("Kafka -> consumer", ("delivered",), ("consumed", "-redelivered"))
TABLES: Final = Hop(
    "consumer -> tables",
    ("consumed", "-redelivered"),
    ("accepted_rows",),
    ("rejected_rows", "filtered_rows", "not_inserted"),
)
HOPS: Final = (SOCKET, DECODER, VENUE, KAFKA, CONSUMER, TABLES)
