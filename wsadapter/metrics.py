"""The counters of all processes: the cells of each role's stats page, and what is made of them.

* One tuple a role names its page's cells, so that the writer, the monitor and a test see the same names. Label values
  are bounded: each that can occur is listed here or follows from the configuration; anything else is counted under
  ``other``. A page has one writer, its role; `wsadapter.roles.supervisor.topology` creates it from these cells.
* `METRICS`: one row a metric as Prometheus sees it, without the prefix ``wsadapter_``.
* `TOTALS` and `HOPS`: the sums of /status, and which of them must balance, for audit and account.
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
    "frames_total", "decoded_total", "too_large_total", "unencodable_total", "last_receive_ns", "open_candles_total",
    *labelled("events_total", "stream", STREAM_WORDS),
    *labelled("ring_dropped_total", "stream", STREAM_WORDS),
    *labelled("decode_errors_total", "kind", DECODE_ERROR_KINDS),
    *labelled("gaps_total", "cause", GAP_CAUSES),
)  # fmt: skip
"""What ingest counts as one with the ring's tail (`wsadapter.shm.ring_counters`)."""


def ingest(subscriptions: Iterable[str]) -> tuple[str, ...]:
    """``stream_state``: 0 requested, 1 acked, 2 live, 3 stale, 4 refused. ``gap_*``: the gaps that last, see
    `wsadapter.roles.open_gaps`."""
    names = tuple(subscriptions)
    return (
        *CHILD,
        "bytes_total", "connection_up", "connected_since_ns", "error_count", "reconnect_count",
        "gap_epoch", "gap_position", "gap_started_ns", "gap_version", "gap_cause",
        "connection_attempts_total", "connection_attempts_delayed_total", "state_write_failures_total",
        *banks.fields(PUBLISHED),
        *labelled("reconnects_total", "reason", RECONNECT_REASONS),
        *labelled("out_of_order_total", "stream", NUMBERED_WORDS),
        *labelled("copies_total", "stream", STREAM_WORDS),
        *labelled("stream_state", "stream", names),
        *labelled("stream_last_ns", "stream", names),
        *labelled("gap_epoch", "stream", names),
        *labelled("gap_position", "stream", names),
        *labelled("gap_started_ns", "stream", names),
    )  # fmt: skip


SERIALIZER_REASONS: Final = ("too_large", "encode", "rejected")
CONSUMER_REASONS: Final = ("parse", "foreign", "other")
UNKNOWN: Final = "unknown"
"""Instead of the topic, of a ring record of no kind of ours."""


def dead_letters(reason: str, topic: str) -> str:
    """Messages set aside; ``topic`` as a stream word."""
    return f'dead_letters_total{{reason="{reason}",topic="{topic}"}}'


RINGS_AT_ONCE: Final = 128
"""A serializer moves the heads of so many rings as one with what it counts."""
SERIALIZER: Final = (
    *CHILD,
    "broker_up", "outstanding", "spool_bytes", "spool_records", "spooled_total", "spool_lost_total",
    "single_messages", "batch_bytes", "spool_next", *journal.fields(RINGS_AT_ONCE),
    *labelled("produced_total", "topic", TOPIC_WORDS),
    *labelled("delivered_total", "topic", TOPIC_WORDS),
    "open_candle_copies_total",
    *labelled("copies_total", "stream", STREAM_WORDS),
    *(dead_letters(reason, word) for reason in SERIALIZER_REASONS for word in (*STREAM_WORDS, UNKNOWN)),
    *histogram("delivery_seconds"),
)  # fmt: skip
"""``spool_next``: records that went to this spool, as counted."""


def consumer(partitions: int) -> tuple[str, ...]:
    """``lag_measured_ns``: when the ends behind `consumer_lag` were learned, of the stream's partitions the longest ago
    (monotonic; 0: has none). ``commit_failed_since_ns``: since when each offset commit fails or gets no answer
    (monotonic; 0: the last one was confirmed). ``broker_refusal``: Kafka's error code of what it does not let us do (0:
    nothing). ``partitions``: most of a topic. Each has where its last counted batch ended, and from where on how
    many rows are not settled (`wsadapter.roles.consumer.accounting`); of a partition beyond them a kill may count a
    batch twice."""
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
        "commit_failed_since_ns", "broker_refusal",
        *labelled("consumer_lag", "stream", STREAM_WORDS),
        *labelled("lag_measured_ns", "stream", STREAM_WORDS),
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


SILENCES: Final = ("silence_epoch", "silence_position", "silence_started_ns", "silence_cause")
"""Of a symbol that is polled: the gap that lasts, see `wsadapter.roles.open_gaps`."""
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
                "rest_refused_total", "rest_bad_answers_total", "rest_bad_rows_total", "rest_weight_used",
                "rest_weight_limit", "rest_paused_seconds", "rest_queue")  # fmt: skip
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


class Metric(Struct, frozen=True):
    """One metric as it is exposed, without the prefix ``wsadapter_``. ``always``: as 0 when no page has the cell, for a
    dashboard's alert needs the series. ``beside``: cells of another name that are shown as this metric."""

    name: str
    help: str
    histogram: bool = False
    always: bool = False
    beside: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "histogram" if self.histogram else "counter" if self.name.endswith("_total") else "gauge"


_METRICS: Final = (
    Metric("accepted_rows_total", "Rows handed to ClickHouse that its views accepted."),
    Metric("acks_total", "Subscription requests that the loopback venue acknowledged."),
    Metric("broker_up", "1 when the Kafka broker answers this process."),
    Metric("build_info", "1; version, and whether the C extension is in use, as labels."),
    Metric("bytes_total", "WebSocket payload bytes received."),
    Metric("candle_checks_dropped_total", "Checks of candles that found too many others waiting."),
    Metric("candle_checks_total", "Neighbouring candles whose trade ids do not chain, compared with what REST says."),
    Metric("candles_differing_total", "Candles of the stream that REST contradicted and replaced."),
    Metric("child_cpu_seconds_total", "Processor time of the process."),
    Metric("child_heartbeat_age_seconds", "Time since the process's own loop last turned."),
    Metric("child_pid", "Process id."),
    Metric("child_restarts_total", "Restarts of a child, by the reason of its end."),
    Metric("child_rss_bytes", "Resident memory of the process."),
    Metric("child_start_time_seconds", "When the process started, seconds since the epoch."),
    Metric("child_state", "0 starting, 1 waiting for a service, 2 running, 3 stopping, 4 paused (needs the operator)."),
    Metric("child_up", "1 when the supervisor sees the child running."),
    Metric("clickhouse_up", "1 when ClickHouse answers this process."),
    Metric("clients", "Connections that the loopback venue serves."),
    Metric("connected_since_seconds", "When the connection was made, seconds since the epoch; 0 when it is down."),
    Metric("connection_attempts_delayed_total", "Attempts to connect that waited for the venue's limit."),
    Metric("connection_attempts_total", "Attempts to connect, for whatever reason."),
    Metric("connection_up", "1 when the WebSocket connection is up."),
    Metric("consumed_total", "Messages read from Kafka."),
    Metric("consumer_lag", "Messages in Kafka that are not committed yet."),
    Metric("copies_total", "Events that came twice, by two sockets or connections, and were passed on once."),
    Metric("dead_letters_total", "Messages that can never succeed, set aside."),
    Metric("decode_errors_total", "Frames or events refused by the decoder."),
    Metric(
        "decoded_total",
        "Market events that the decoder made of frames: written to the ring, dropped or too large.",
    ),
    Metric("delivered_total", "Records delivered to Kafka and done with, each once."),
    Metric(
        "delivery_seconds",
        "Time from produce until all of the batch was seen acknowledged (at least linger.ms).",
        histogram=True,
    ),
    Metric("error_count", "Errors of the connection."),
    Metric("events_total", "Market events written to the ring.", beside=("polled_total",)),
    Metric("filtered_rows_total", "Rows that a view passes over: candles that are not closed."),
    Metric("frames_sent_total", "Frames that the loopback venue sent."),
    Metric("frames_total", "WebSocket frames received."),
    Metric("gap_missing_total", "Events known to be missing, from gaps whose bounds are known.", always=True),
    Metric("gap_open", "1 while a gap of the connection lasts."),
    Metric("gaps_open", "Gaps that have ended and are not worked off by the repairer yet."),
    Metric("gaps_total", "Gaps recorded."),
    Metric("insert_retries_total", "Inserts sent again under the same token."),
    Metric("insert_seconds", "Time of one insert.", histogram=True),
    Metric("inserts_total", "Inserts done."),
    Metric("instrument_failures_total", "Instruments that could not be fetched or inserted; it is tried again."),
    Metric("instrument_rows_total", "Rows inserted into the table instrument."),
    Metric("last_receive_seconds", "When the last frame came, seconds since the epoch."),
    Metric("open_candle_copies_total", "Of the copies those of candles that are not closed."),
    Metric("open_candles_total", "Candles received that are not closed."),
    Metric("out_of_order_total", "Events whose id was not above the highest one: repeats and late ones."),
    Metric("outstanding", "Messages produced and not yet acknowledged."),
    Metric("paused", "1 when the consumer does not read this stream's topic."),
    Metric("poll_errors_total", "Answers about open interest that were refused or could not be read."),
    Metric("produced_total", "Messages handed to the Kafka client, those that are sent again included."),
    Metric("queries_total", "Requests that the embedded service answered."),
    Metric("rebalances_total", "Changes of the partitions that this consumer has."),
    Metric("reconnect_count", "Connections made after the first one."),
    Metric("reconnects_total", "Connections lost, not made, or exchanged for the next one (rotation, stale)."),
    Metric("records_total", "Records written to the ring."),
    Metric("redelivered_total", "Messages that were in Kafka before and were dropped."),
    Metric("rejected_rows_total", "Rows that went to the table rejected."),
    Metric("reload_failures_total", "Reloads that were refused or failed: the configuration before them stays."),
    Metric("reloads_total", "Reloads of the configuration."),
    Metric("repaired_total", "Events fetched again by REST.", always=True),
    Metric("repairs_total", "Gaps worked off, by what became of them."),
    Metric("replay_done", "1 when the replayed file is through."),
    Metric("requests_total", "Requests answered."),
    Metric("rest_bad_answers_total", "REST answers that could not be read."),
    Metric("rest_bad_rows_total", "Rows of REST answers that could not be read; the others of the answer were."),
    Metric("rest_banned_total", "REST answers 418, 403 and 451: the venue wants to be left alone."),
    Metric("rest_failed_total", "REST requests without an answer, or with 5xx."),
    Metric("rest_limited_total", "REST answers 429: too many requests."),
    Metric("rest_paused_seconds", "How long the host is left alone yet."),
    Metric("rest_queue", "Jobs that wait for the host."),
    Metric("rest_refused_total", "REST requests that the venue will never answer."),
    Metric("rest_requests_total", "REST requests sent."),
    Metric("rest_weight_limit", "Weight that the host allows a minute; a quarter of it is left to others."),
    Metric("rest_weight_used", "Weight of the host's current minute that is used."),
    Metric("ring_capacity_bytes", "Size of the ring."),
    Metric("ring_dropped_total", "Events that found the ring full."),
    Metric("ring_used_bytes", "Bytes in the ring that Kafka has not acknowledged."),
    Metric("rings_damaged_total", "Rings of earlier runs that could not be read and were set aside."),
    Metric("sent_total", "Events that the loopback venue sent."),
    Metric("service_up", "1 when the embedded service answers."),
    Metric("spool_bytes", "Bytes waiting in the spool on disk.", always=True),
    Metric("spool_lost_total", "Records of the spool that could not be read back: damage on the disk."),
    Metric("spool_records", "Records waiting in the spool on disk."),
    Metric("spooled_total", "Records that went to the spool."),
    Metric("state_files_damaged_total", "Files of the state directory that could not be read and were set aside."),
    Metric("state_write_failures_total", "Writes to the state directory that the system refused; they are repeated."),
    Metric("stream_last_seconds", "When the stream's last frame came, seconds since the epoch."),
    Metric("stream_state", "0 requested, 1 acked, 2 live, 3 stale, 4 refused."),
    Metric("too_large_total", "Events that are larger than a ring takes."),
    Metric("unencodable_total", "Events with a number or a text that no record can hold."),
    Metric("unsettled_rows", "Rows inserted of which the server has not said yet how many it rejected."),
)
METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _METRICS}
"""Cells that are not here are a role's own; a cell ``*_ns`` is shown as ``*_seconds``."""
SHOWN_AS: Final[Mapping[str, str]] = {cell: metric.name for metric in _METRICS for cell in metric.beside}


class Total(Struct, frozen=True):
    """A sum over all processes of a role. ``sources``: role and metric; ``by``: the label by which it is told apart,
    empty: one number."""

    sources: tuple[tuple[str, str], ...]
    by: str = ""


TOTALS: Final[Mapping[str, Total]] = {
    "frames": Total((("ingest", "frames_total"),)),
    "decoded": Total((("ingest", "decoded_total"),)),
    "too_large": Total((("ingest", "too_large_total"),)),
    "unencodable": Total((("ingest", "unencodable_total"),)),
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
DECODER: Final = Hop(
    "decoder -> ring", ("decoded",), ("events",), ("dropped", "too_large", "unencodable"), whole="events"
)
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
