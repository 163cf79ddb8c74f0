"""The counters of all processes: one row a metric says what it is called, which role's page has it, and what it is.

* `METRICS`: a row's ``pages`` say which roles count it, with which labels. The cells of a role's stats page follow from
  that (`ingest`, `SERIALIZER`, ...), so that the writer, the monitor and a test see the same names. Label values are
  bounded: each that can occur is listed here or follows from the configuration; anything else is counted under
  ``other``. A page has one writer, its role; `wsadapter.roles.supervisor.topology` creates it from these cells.
* `STATE`: the cells of a role's own, which no metric shows.

A row's ``total`` names the sum of /status that counts it; which of these must balance, `wsadapter.audit.hops` says.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import product
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from wsadapter.events.gaps import GapCause, RepairState
from wsadapter.events.sequence import NUMBERINGS
from wsadapter.events.streams import DEAD_LETTER, SPECS
from wsadapter.shm import redo_log, ring_counters
from wsadapter.shm.stats_page import SECONDS

CHILD: Final = ("heartbeat_ns", "state", "pid", "started_ns")
"""Every child's page begins with these."""

STREAM_WORDS: Final = tuple(spec.name for spec in SPECS)
POLLED_STREAMS: Final = ("open_interest", "funding_rate")
"""What is asked for without having been missed."""
TOPIC_WORDS: Final = (*STREAM_WORDS, DEAD_LETTER)
NUMBERED_WORDS: Final = tuple(word for word in STREAM_WORDS if NUMBERINGS[word].is_numbered)
"""Streams whose events have an order of their own."""
DECODE_ERROR_KINDS: Final = (
    "json", "utf8", "depth", "type", "decimal", "range", "unknown_event", "foreign_symbol", "binary", "oversize",
    "other",
)  # fmt: skip
DRIFT_KINDS: Final = ("field", "event", "pace")
RECONNECT_REASONS: Final = (
    "dns", "connect", "tls", "handshake", "http_403", "http_418", "http_429", "http_5xx", "http_other", "closed",
    "reset", "idle", "protocol", "ack", "stale", "oversize", "rotation", "other",
)  # fmt: skip
GAP_CAUSES: Final = tuple(cause.value for cause in GapCause)
REPAIR_STATES: Final = tuple(state.value for state in RepairState if state is not RepairState.OPEN)
"""What a gap may become."""
SERIALIZER_REASONS: Final = ("too_large", "encode", "rejected")
CONSUMER_REASONS: Final = ("parse", "foreign", "other")
UNKNOWN: Final = "unknown"
"""Instead of the topic, of a ring record of no kind of ours."""
MEASURED_WORDS: Final = tuple(word for word in STREAM_WORDS if word not in ("open_interest", "gap", "coverage"))
"""Streams whose events a venue sends: how late they are can be measured."""
RECEIVED, DELIVERED, INSERTED = HOPS = ("venue_to_receive", "receive_to_delivered", "delivered_to_inserted")
"""Of an event's way, whose times `latency_seconds` has."""
LATENCIES: Final = (
    "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60", "300",
    "+Inf",
)  # fmt: skip
"""Bounds of `latency_seconds`: from a loopback to a Kafka that was away."""
RINGS_AT_ONCE: Final = 128
"""A serializer moves the heads of so many rings as one with what it counts."""


class Axis(Struct, frozen=True):
    """A label, or several that go together, and their values: listed here, or ``given`` under this name by whoever
    creates the page."""

    labels: tuple[str, ...]
    values: tuple[tuple[str, ...], ...] = ()
    given: str = ""


def _axis(label: str, values: Iterable[str]) -> Axis:
    return Axis((label,), tuple((value,) for value in values))


class Cells(Struct, frozen=True):
    """Those of one metric on one role's page: one for each combination of the labels' values.

    ``name``: what the page calls it, where that is not the metric's name; a cell ``*_ns`` is shown in seconds.
    ``published``: it moves as one with the ring's tail (`wsadapter.shm.ring_counters`). ``total``: the sum of /status
    that counts it, told apart by the label ``by`` (None: the first one, empty: not at all)."""

    axes: tuple[Axis, ...] = ()
    name: str = ""
    published: bool = False
    total: str = ""
    by: str | None = None


class Metric(Struct, frozen=True):
    """One metric as it is exposed, without the prefix ``wsadapter_``. ``pages``: role -> its cells; empty: the monitor
    sees it itself. ``bounds``: of a histogram. ``always``: as 0 when no page has the cell, for a dashboard's alert
    needs the series."""

    name: str
    help: str
    pages: Mapping[str, Cells] = {}
    bounds: tuple[str, ...] = ()
    always: bool = False

    @property
    def histogram(self) -> bool:
        return bool(self.bounds)

    @property
    def kind(self) -> str:
        return "histogram" if self.histogram else "counter" if self.name.endswith("_total") else "gauge"

    @property
    def cell_names(self) -> frozenset[str]:
        """What pages call it."""
        return frozenset(cells.name or self.name for cells in self.pages.values())


_STREAM: Final = _axis("stream", STREAM_WORDS)
_TOPIC: Final = _axis("topic", TOPIC_WORDS)
_SUBSCRIPTION: Final = Axis(("stream",), given="subscriptions")
_POLL: Final = Axis(("stream", "exchange"), given="polls")
_HOST: Final = Axis(("host",), given="hosts")
_RECORDED: Final = Axis(("exchange",), given="exchanges")
_CLOCK: Final = Axis(("exchange",), given="clocks")
_MEASURED: Final = _axis("stream", MEASURED_WORDS)
_ENDPOINT: Final = Axis(("endpoint",), given="endpoints")
_CHILD: Final = Axis(("role", "name"), given="children")
_ANY_CHILD: Final = ("supervisor", "ingest", "serializer", "consumer", "repairer", "monitor", "exchange", "service")


def _counted(total: str, *axes: Axis, published: bool = False) -> Cells:
    return Cells(axes, published=published, total=total)


def _at(role: str, *axes: Axis) -> dict[str, Cells]:
    return {role: Cells(axes)}


# fmt: off
_METRICS: Final = (
    # every process
    Metric("build_info", "1; as labels the version, whether the C extension is in use, and what sends to Kafka."),
    Metric("ready", "1 while all works from end to end, as /readyz says."),
    Metric("child_heartbeat_age_seconds", "Time since the last heartbeat of the process."),
    Metric("child_state", "0 starting, 1 waiting for a service, 2 running, 3 stopping, 4 paused (needs the operator).",
           dict.fromkeys(_ANY_CHILD, Cells(name="state"))),
    Metric("child_start_time_seconds", "When the process started.",
           dict.fromkeys(_ANY_CHILD, Cells(name="started_ns"))),
    Metric("child_rss_bytes", "Resident memory of the process's own (RssAnon): rings and pages are apart."),
    Metric("child_shared_bytes", "Rings and pages that the process has touched: one memory, in each of them."),
    Metric("child_cpu_seconds_total", "CPU time of the process."),
    # the supervisor: its page is created in `wsadapter.supervision.counters`
    Metric("reloads_total", "Reloads of the configuration that were applied.", _at("supervisor")),
    Metric("reload_failures_total", "Reloads that were refused or failed: the configuration before them stays.",
           _at("supervisor")),
    Metric("config_last_reload_successful", "1 while the last reload, or the start, was not refused.",
           _at("supervisor")),
    Metric("config_last_reload_success_timestamp_seconds", "When the configuration in force was read.",
           {"supervisor": Cells(name="config_last_reload_success_ns")}),
    Metric("state_write_failures_total",
           "Writes to the state directory and uses of the host's limits that the system refused.",
           {"supervisor": Cells(), "ingest": Cells(), "repairer": Cells()}),
    Metric("state_files_damaged_total",
           "Files of the state directory and of the host's limits that could not be read and were set aside.",
           {"supervisor": Cells(), "ingest": Cells(), "repairer": Cells()}),
    Metric("rings_damaged_total", "Rings of earlier runs that could not be read and were set aside.",
           _at("supervisor")),
    Metric("segments_lost_total", "Segments of shared memory that somebody else removed and that were made anew.",
           _at("supervisor")),
    Metric("child_up", "1 while the supervisor sees the child running.", _at("supervisor", _CHILD)),
    Metric("child_restarts_total", "Restarts of a child, by the reason of its end.",
           _at("supervisor", _CHILD, _axis("reason", ("exit", "signal", "hung", "config")))),
    # ingest: a connection
    Metric("bytes_total", "WebSocket payload bytes received.", {"ingest": _counted("bytes")}),
    Metric("connection_up", "1 while the WebSocket connection is up.", _at("ingest")),
    Metric("connected_since_timestamp_seconds", "When the connection was made; 0 while it is down.",
           {"ingest": Cells(name="connected_since_ns")}),
    Metric("certificate_expiry_timestamp_seconds",
           "Until when a certificate is valid: the venue's, as the connection was shown it, and those in the files of "
           "the configuration; of authorities the first one that ends.",
           {"ingest": Cells((_axis("of", ("venue",)),), name="certificate_expiry_ns")}),
    Metric("connection_errors_total",
           "Connections lost and attempts failed, frames without an event and refused subscriptions.",
           {"ingest": Cells(name="error_count")}),
    Metric("connection_losses_total", "Connections lost and attempts failed.",
           {"ingest": Cells(name="reconnect_count")}),
    Metric("connection_attempts_total", "Attempts to connect, for whatever reason.", _at("ingest")),
    Metric("connection_attempts_delayed_total", "Attempts to connect that waited for the venue's limit.",
           _at("ingest")),
    Metric("frames_total", "WebSocket frames received.", {"ingest": _counted("frames", published=True)}),
    Metric("decoded_total", "Market events decoded from frames: written to the ring, dropped or too large.",
           {"ingest": _counted("decoded", published=True)}),
    Metric("too_large_total", "Events that are larger than a ring takes.",
           {"ingest": _counted("too_large", published=True)}),
    Metric("unencodable_total", "Events with a number or a text that no record can hold.",
           {"ingest": _counted("unencodable", published=True), "repairer": Cells(published=True)}),
    Metric("last_receive_timestamp_seconds", "When the last frame came.",
           {"ingest": Cells(name="last_receive_ns", published=True)}),
    Metric("open_candles_total", "Candles received that are not closed.",
           {"ingest": _counted("open_candles", published=True)}),
    Metric("events_total", "Market events written to the ring.",
           {"ingest": _counted("events", _STREAM, published=True),
            "repairer": Cells((_axis("stream", POLLED_STREAMS), Axis(("exchange",), given="polled_exchanges")),
                              name="polled_total", published=True, total="polled")}),
    Metric("ring_dropped_total", "Events that found the ring full.",
           {"ingest": _counted("dropped", _STREAM, published=True)}),
    Metric("decode_errors_total", "Frames or events that the decoder refused.",
           {"ingest": _counted("decode_errors", _axis("kind", DECODE_ERROR_KINDS), published=True)}),
    Metric("gaps_total", "Gaps recorded.",
           {"ingest": _counted("gaps", _axis("cause", GAP_CAUSES), published=True),
            "repairer": Cells((_axis("cause", ("stale", "restart")),), published=True)}),
    Metric("gap_missing_total", "Events known to be missing, from gaps that have ended and name what is missing.",
           {"ingest": Cells(published=True)}, always=True),
    Metric("reconnects_total", "Connections lost, not made, or exchanged for the next one (rotation, stale).",
           {"ingest": _counted("reconnects", _axis("reason", RECONNECT_REASONS))}),
    Metric("out_of_order_total", "Events whose sequence number was not above the highest one: repeats and late ones.",
           _at("ingest", _axis("stream", NUMBERED_WORDS))),
    Metric("copies_total", "Events that came twice, by two sockets or connections, and were passed on once.",
           {"ingest": _counted("copies", _STREAM), "serializer": _counted("twins", _STREAM)}),
    Metric("stream_state", "0 requested (and without a process), 1 acked, 2 live, 3 stale, 4 refused.",
           {"ingest": Cells((_SUBSCRIPTION,)), "repairer": Cells((_POLL,))}),
    Metric("stream_last_timestamp_seconds", "When the subscription's last frame came.",
           {"ingest": Cells((_SUBSCRIPTION,), name="stream_last_ns"),
            "repairer": Cells((_POLL,), name="stream_last_ns")}),
    Metric("recorded_frames_total", "Raw frames written to recordings.", _at("ingest")),
    Metric("recorded_bytes_total", "Bytes of recordings written.", _at("ingest")),
    Metric("recording_missing_total",
           "Raw frames that should be in a recording and are not: the disk was slow, full or away.", _at("ingest")),
    Metric("recording_failures_total", "Writes of recordings that the disk refused.", _at("ingest")),
    Metric("drift_total",
           "What a venue sends that this version does not know, each once: fields, types of events; and other paces.",
           _at("ingest", _axis("kind", DRIFT_KINDS))),
    # serializer
    Metric("delivery_seconds", "Time from produce until the whole batch was acknowledged (at least linger.ms).",
           _at("serializer"), bounds=SECONDS),
    Metric("latency_seconds",
           "How late events are, of samples: the venue's time to receipt (with the offset of its clock in it, never "
           "negative), receipt to Kafka's acknowledgement, and Kafka's time to the end of the insert (all venues).",
           {"serializer": Cells((_RECORDED, _MEASURED, _axis("hop", (RECEIVED, DELIVERED)))),
            "consumer": Cells((_MEASURED, _axis("hop", (INSERTED,))))}, bounds=LATENCIES),
    Metric("broker_up", "1 while the Kafka broker answers this process.",
           {"serializer": Cells(), "consumer": Cells(), "repairer": Cells()}),
    Metric("outstanding", "Messages produced and not yet acknowledged.", _at("serializer")),
    Metric("spool_bytes", "Bytes waiting in the spool on disk.", _at("serializer"), always=True),
    Metric("spool_records", "Records waiting in the spool on disk.", _at("serializer")),
    Metric("spooled_total", "Records that went to the spool.", {"serializer": _counted("spooled")}),
    Metric("spool_lost_total", "Records of the spool that could not be read back: damage on the disk.",
           {"serializer": _counted("spool_lost")}),
    Metric("ring_damaged_bytes_total", "Bytes of rings that were no records and were passed over.", _at("serializer")),
    Metric("produced_total", "Messages handed to the Kafka client, those that are sent again included.",
           {"serializer": _counted("produced", _TOPIC)}),
    Metric("delivered_total", "Records delivered to Kafka and done with, each once.",
           {"serializer": _counted("delivered", _TOPIC)}),
    Metric("open_candle_copies_total", "Of the copies those of candles that are not closed.", _at("serializer")),
    Metric("dead_letters_total", "Messages that can never succeed, sent to the dead letter topic.",
           {"serializer": Cells((_axis("reason", SERIALIZER_REASONS), _axis("topic", (*STREAM_WORDS, UNKNOWN))),
                                total="not_sent", by="topic"),
            "consumer": Cells((_axis("reason", CONSUMER_REASONS), _axis("topic", STREAM_WORDS)),
                              total="not_inserted", by="topic")}),
    # consumer
    Metric("insert_seconds", "Time of one insert.", _at("consumer"), bounds=SECONDS),
    Metric("clickhouse_up", "1 while ClickHouse answers this process.", _at("consumer")),
    Metric("clickhouse_endpoint_in_use", "1 for the one address of clickhouse.url that this process asks.",
           _at("consumer", _ENDPOINT)),
    Metric("clickhouse_endpoint_up", "0 for an address of clickhouse.url that failed when it was last asked, or that "
           "does not share the tables of the others.", _at("consumer", _ENDPOINT)),
    Metric("rebalances_total", "Changes of the partitions assigned to this consumer.", _at("consumer")),
    Metric("inserts_total", "Inserts done.", _at("consumer")),
    Metric("insert_retries_total", "Inserts sent again under the same token.", _at("consumer")),
    Metric("consumed_total", "Messages read from Kafka.", {"consumer": _counted("consumed", _STREAM)}),
    Metric("redelivered_total", "Messages that were in Kafka twice and were dropped before the tables.",
           {"consumer": _counted("redelivered", _STREAM)}),
    Metric("kafka_gaps_total", "Gap rows that consumers published of messages of this stream that are gone from Kafka: "
           "an offset out of range, a topic made anew.", {"consumer": _counted("kafka_gaps", _STREAM)}),
    Metric("letter_gaps_total", "Gap rows of events of this stream that became dead letters.",
           {role: _counted("letter_gaps", _STREAM) for role in ("serializer", "consumer")}),
    Metric("filtered_rows_total", "Rows that a view leaves out: candles that are not closed.",
           {"consumer": _counted("filtered_rows", _STREAM)}),
    Metric("unsettled_rows", "Rows inserted of which it is not known yet how many the server rejected.",
           {"consumer": _counted("unsettled_rows", _STREAM)}),
    Metric("accepted_rows_total", "Rows inserted into ClickHouse that its views accepted.",
           {"consumer": _counted("accepted_rows", _STREAM)}),
    Metric("rejected_rows_total", "Rows that went to the table rejected.",
           {"consumer": _counted("rejected_rows", _STREAM)}),
    Metric("consumer_lag", "Messages in Kafka that are not committed yet; NaN when not known.",
           {"consumer": Cells((_STREAM,), total="lag", by="")}),
    Metric("paused", "1 while the consumer does not read this stream's topic.", _at("consumer", _STREAM)),
    # repairer
    Metric("gaps_open", "Gaps that have ended and are not worked off by the repairer yet.", _at("repairer")),
    Metric("candle_checks_total", "Neighbouring candles whose trade ids do not chain, compared with what REST says.",
           _at("repairer")),
    Metric("candles_differing_total", "Candles of the stream that REST contradicted and replaced.", _at("repairer")),
    Metric("candles_replaced_total", "Closed candles that are in Kafka twice, as the stream told them and from REST.",
           {"repairer": _counted("replaced_candles")}),
    Metric("candle_checks_dropped_total", "Checks of candles left out because too many were waiting.", _at("repairer")),
    Metric("candles_confirmed_total", "Candles that nothing had closed after their end, closed by what REST says.",
           _at("repairer")),
    Metric("candles_unconfirmed_total", "Candles that nothing had closed after their end, and REST did not, either.",
           _at("repairer")),
    Metric("poll_errors_total", "Answers about open interest and settled funding that were refused or unreadable.",
           _at("repairer")),
    Metric("book_snapshots_total", "Whole books asked for beside their changes; they are among what is repaired, too.",
           _at("repairer")),
    Metric("book_snapshot_failures_total", "Whole books that were refused or could not be read; due again later.",
           _at("repairer")),
    Metric("book_checkpoints_total", "Books made of recorded changes and inserted into the table book_checkpoint.",
           _at("repairer")),
    Metric("book_checkpoint_failures_total", "Books that could not be made or inserted; due again later.",
           _at("repairer")),
    Metric("instrument_rows_total", "Rows inserted into the table instrument.", _at("repairer")),
    Metric("instrument_failures_total", "Instruments that could not be fetched or inserted; it is tried again.",
           _at("repairer")),
    Metric("listings_total", "Listings of venues that were fetched and kept, for the rules of feeds.", _at("repairer")),
    Metric("listings_refused_total", "Listings that were not kept: empty, or shrunk by more than half.",
           _at("repairer")),
    Metric("records_total", "Records written to the ring.",
           {"repairer": _counted("repair_records", _STREAM, published=True)}),
    Metric("repaired_total", "Events fetched again by REST.",
           {"repairer": _counted("repaired", _STREAM, published=True)}, always=True),
    Metric("repairs_total", "Gaps worked off, by what became of them.",
           {"repairer": _counted("repairs", _axis("state", REPAIR_STATES))}),
    Metric("rest_requests_total", "REST requests sent.", _at("repairer", _HOST)),
    Metric("rest_limited_total", "REST answers 429: too many requests.", _at("repairer", _HOST)),
    Metric("rest_banned_total", "REST answers 418, 403 and 451: the venue has banned us.", _at("repairer", _HOST)),
    Metric("rest_failed_total", "REST requests without an answer, or with 5xx.", _at("repairer", _HOST)),
    Metric("rest_refused_total", "REST requests that the venue will never answer.", _at("repairer", _HOST)),
    Metric("rest_bad_answers_total", "REST answers that could not be read.", _at("repairer", _HOST)),
    Metric("rest_bad_rows_total", "Rows of REST answers that could not be read; the others of the answer were.",
           _at("repairer", _HOST)),
    Metric("rest_weight_used", "Weight of the host's current minute that is used.", _at("repairer", _HOST)),
    Metric("rest_weight_limit", "Weight that the host allows a minute; a quarter of it is left to others.",
           _at("repairer", _HOST)),
    Metric("rest_paused_seconds", "How long no request is sent to the host yet.", _at("repairer", _HOST)),
    Metric("rest_queue", "Jobs that wait for the host.", _at("repairer", _HOST)),
    Metric("venue_clock_offset_seconds",
           "By how much the venue's clock is ahead of ours, as its API says the time; NaN where it does not.",
           {"repairer": Cells((_CLOCK,), name="venue_clock_offset_ns")}),
    Metric("venue_clock_error_seconds", "By how much that may be wrong: half of the shortest round trip; NaN as above.",
           {"repairer": Cells((_CLOCK,), name="venue_clock_error_ns")}),
    # the stand-ins, and the monitor
    Metric("frames_sent_total", "Frames that the loopback venue sent.", {"exchange": _counted("frames_sent")}),
    Metric("clients", "Connections that the loopback venue serves.", _at("exchange")),
    Metric("requests_total", "Requests answered.", {"exchange": Cells(), "monitor": Cells()}),
    Metric("listen_failures_total", "Times that the monitor could not take its address.", _at("monitor")),
    Metric("acks_total", "Subscription requests that the loopback venue acknowledged.",
           {"exchange": _counted("frames_sent")}),
    Metric("replay_done", "1 when the whole file was replayed.", _at("exchange")),
    Metric("sent_total", "Events that the loopback venue sent.", {"exchange": _counted("sent", _STREAM)}),
    Metric("service_up", "1 while the embedded service answers.", _at("service")),
    Metric("queries_total", "Requests that the embedded service answered.", _at("service")),
    # the rings and the disks, as the monitor sees them
    Metric("ring_used_bytes", "Bytes in the ring that Kafka has not acknowledged."),
    Metric("ring_capacity_bytes", "Size of the ring."),
    Metric("free_bytes", "Bytes free on the file system of the state directory, of the spool and of shared memory."),
)
# fmt: on
METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _METRICS}

SILENCES: Final = ("silence_epoch", "silence_position", "silence_started_ns", "silence_cause")
"""Of a symbol that is polled: the gap that lasts, see `wsadapter.roles.open_gaps`."""
KAFKA_CLIENTS: Final = ("native", "confluent-kafka")
"""What sends records: our own use of librdkafka in C, or its Python client."""
SERVICE_STAGES: Final = ("", "fetching", "preparing", "starting")
"""What an embedded service does before it serves, as its cell ``stage`` says; empty: nothing of these."""
_PARTITION: Final = Axis(("partition",), given="partitions")
STATE: Final[Mapping[str, tuple[Cells, ...]]] = {
    # the gaps that last, of the connection and of its streams, see `wsadapter.roles.open_gaps`
    "ingest": (
        # monotonic: since when another order waits to be done (0: none does)
        Cells(name="order_since_ns"),
        # 1: a reload brings the connection, or begins it anew; until its process has seen it
        Cells(name="by_reload"),
        *(Cells(name=f"gap_{word}") for word in ("epoch", "position", "started_ns", "version", "cause")),
        *(Cells((_SUBSCRIPTION,), name=f"gap_{word}") for word in ("epoch", "position", "started_ns")),
    ),
    # broker_refusal: Kafka's error code for which it takes no records now (0: none); broker_reason and
    # clickhouse_reason: a `wsadapter.errors.Reason`, while the service is not up; spool_next: records that went to
    # this spool, as counted; kafka_client: 1 + its place among `KAFKA_CLIENTS` (0: none yet); partitions: by which it
    # produces (`wsadapter.roles.serializer.partitioning`)
    "serializer": (
        *(
            Cells(name=name)
            for name in (
                "broker_refusal",
                "broker_reason",
                "single_messages",
                "batch_bytes",
                "spool_next",
                "kafka_client",
            )
        ),
        *(Cells(name=name) for name in redo_log.fields(RINGS_AT_ONCE)),
        Cells((_TOPIC,), name="partitions"),
    ),
    "consumer": (
        # monotonic: since when each offset commit fails or gets no answer (0: the last one was confirmed), and when the
        # ends behind the lag were learned, of the stream's partitions the longest ago (0: it has none)
        Cells(name="commit_failed_since_ns"),
        Cells(name="broker_refusal"),  # Kafka's error code of what it does not let us do (0: nothing)
        *(Cells(name=name) for name in ("broker_reason", "clickhouse_reason")),
        Cells((_ENDPOINT,), name="clickhouse_endpoint_reason"),  # a `wsadapter.errors.Reason`, while it is not up
        Cells((_STREAM,), name="lag_measured_ns"),
        *(Cells(name=name) for name in redo_log.FIELDS),
        # where the last counted batch ended, from where on how many rows are not settled
        # (`wsadapter.roles.consumer.accounting`)
        *(Cells((_STREAM, _PARTITION), name=name) for name in ("counted_to", "unsettled_from", "unsettled")),
    ),
    "repairer": (
        Cells(name="broker_refusal"),  # Kafka's error code for which the gap topic is not read (0: none)
        Cells(name="broker_reason"),
        *(Cells((_POLL,), name=name, published=True) for name in SILENCES),
    ),
    "service": tuple(Cells(name=name) for name in ("stage", "stage_percent")),  # of `SERVICE_STAGES`, and how far
}
"""Cells of a role's own."""


def _page(role: str, **given: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The cells of a role's stats page, what moves with its ring together at the end."""
    values = {name: tuple(each) for name, each in given.items()}
    plain: list[str] = []
    published: list[str] = []
    for name, cells, bounds in _rows(role):
        texts = histogram(name, bounds, cells.axes, values) if bounds else _texts(name, cells.axes, values)
        (published if cells.published else plain).extend(texts)
    plain = [cell for cell in plain if cell not in CHILD]
    return (*CHILD, *plain, *(ring_counters.fields(published) if published else ()))


def _rows(role: str) -> Iterator[tuple[str, Cells, tuple[str, ...]]]:
    """Name of the cells, what they are, and a histogram's bounds."""
    for metric in _METRICS:
        if (cells := metric.pages.get(role)) is not None:
            yield cells.name or metric.name, cells, metric.bounds
    for cells in STATE.get(role, ()):
        yield cells.name, cells, ()


def _texts(name: str, axes: Iterable[Axis], given: Mapping[str, tuple[tuple[str, ...], ...]]) -> Iterator[str]:
    """``name{a="v",b="w"}`` for each combination of the values."""
    labels = [label for axis in axes for label in axis.labels]
    for combination in product(*(given[axis.given] if axis.given else axis.values for axis in axes)):
        words = (word for part in combination for word in part)
        inner = ",".join(f'{label}="{word}"' for label, word in zip(labels, words, strict=True))
        yield f"{name}{{{inner}}}" if inner else name


def histogram(
    name: str,
    bounds: Iterable[str] = SECONDS,
    axes: tuple[Axis, ...] = (),
    given: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Cells of a histogram: cumulative buckets, the sum in ns, the count."""
    buckets = _texts(f"{name}_bucket", (*axes, _axis("le", bounds)), given)
    return (*buckets, *_texts(f"{name}_sum_ns", axes, given), *_texts(f"{name}_count", axes, given))


def latency_labels(stream: str, hop: str, exchange: str = "") -> str:
    """Of the cells of `latency_seconds`; ``exchange``: not of the last hop."""
    labels = f'stream="{stream}",hop="{hop}"'
    return f'exchange="{exchange}",{labels}' if exchange else labels


def dead_letters(reason: str, topic: str) -> str:
    """The cell of messages set aside; ``topic`` as a stream word."""
    return f'dead_letters_total{{reason="{reason}",topic="{topic}"}}'


def host_label(base: str) -> str:
    """A host as labels name it: without the scheme."""
    return base.partition("://")[2] or base


def polled(name: str, exchange: str, symbol: str = "", word: str = "open_interest") -> str:
    """A cell about what is polled, of one symbol or of all."""
    stream = polled_stream(symbol) if symbol else word
    return f'{name}{{stream="{stream}",exchange="{exchange}"}}'


def polled_stream(symbol: str) -> str:
    """How cells name what is polled of a symbol."""
    return f"{symbol.lower()}@openInterest"


def ingest(subscriptions: Iterable[str]) -> tuple[str, ...]:
    return _page("ingest", subscriptions=((name,) for name in subscriptions))


def consumer(partitions: int, clickhouse_urls: Iterable[str] = ()) -> tuple[str, ...]:
    """``partitions``: most of a topic; of a partition beyond them a kill may count a batch twice."""
    return _page(
        "consumer",
        partitions=((str(number),) for number in range(partitions)),
        endpoints=((host_label(url),) for url in clickhouse_urls),
    )


def repairer(
    hosts: Iterable[str], polls: Iterable[tuple[str, str]] = (), clocks: Iterable[str] = ()
) -> tuple[str, ...]:
    """``hosts``: whom it asks, as named in labels; ``polls``: exchange and symbol whose open interest it asks for;
    ``clocks``: exchanges that have a host, and so may be asked for settled funding.
    ``records_total``: all that it wrote to its ring, ``polled_total`` what of it was polled, ``gaps_total`` the holes
    of that."""
    pairs, exchanges = tuple(polls), tuple(dict.fromkeys(clocks))
    return _page(
        "repairer",
        hosts=((host,) for host in hosts),
        polls=((polled_stream(symbol), exchange) for exchange, symbol in pairs),
        clocks=((exchange,) for exchange in exchanges),
        polled_exchanges=((one,) for one in dict.fromkeys((*(exchange for exchange, _ in pairs), *exchanges))),
    )


def serializer(exchanges: Iterable[str]) -> tuple[str, ...]:
    """``exchanges``: those that are recorded."""
    return _page("serializer", exchanges=((name,) for name in dict.fromkeys(exchanges)))


SERIALIZER: Final = serializer(())
"""Where nothing is said of venues."""
MONITOR: Final = _page("monitor")
EXCHANGE: Final = _page("exchange")
SERVICE: Final = _page("service")
"""Embedded Kafka and ClickHouse."""


def published(role: str, fields: Collection[str]) -> tuple[str, ...]:
    """Of a page's cells those that move with its role's ring, in their order (`wsadapter.shm.ring_counters`)."""
    names = {name for name, cells, _ in _rows(role) if cells.published}
    return tuple(field for field in fields if field.partition("{")[0] in names)


PUBLISHED: Final = published("ingest", ingest(()))
"""What ingest counts as one with the ring's tail."""


def repair_published(fields: Collection[str]) -> tuple[str, ...]:
    return published("repairer", fields)


Labels = Mapping[str, str]
Layout = Mapping[str, tuple[tuple[Labels, str], ...]]
"""Name -> labels and text of each cell of that name, in the page's order."""


@lru_cache(maxsize=1024)
def layout(fields: tuple[str, ...]) -> Layout:
    """The cells of a page by name; made once a page, not once a scrape."""
    by_name: dict[str, list[tuple[Labels, str]]] = {}
    for field in fields:
        name, labels = parse(field)
        by_name.setdefault(name, []).append((MappingProxyType(labels), field))
    return MappingProxyType({name: tuple(cells) for name, cells in by_name.items()})


def parse(cell: str) -> tuple[str, dict[str, str]]:
    """``name{a="v",b="w"}`` as (name, labels)."""
    name, _, inner = cell.partition("{")
    pairs = (pair.partition('="') for pair in inner.removesuffix('"}').split('",')) if inner else ()
    return name, {label: value for label, _, value in pairs}
