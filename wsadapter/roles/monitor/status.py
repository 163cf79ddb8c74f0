"""What /status and /readyz say: a `Snapshot` in the words of an operator."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from wsadapter import __version__
from wsadapter.audit import hops
from wsadapter.errors import Reason
from wsadapter.metrics import SERVICE_STAGES
from wsadapter.roles.monitor import reasons
from wsadapter.roles.monitor.history import History, spooled_bytes
from wsadapter.roles.monitor.open_gaps import open_gaps
from wsadapter.roles.monitor.reasons import Cause
from wsadapter.roles.monitor.snapshot import ProcessUse, Reading, Snapshot, alive
from wsadapter.text import some
from wsadapter.times import SECOND, short

CHILD_STATES: Final = ("starting", "waiting", "running", "stopping", "paused")
STREAM_STATES: Final = ("requested", "acked", "live", "stale", "refused")
_RUNNING: Final = CHILD_STATES.index("running")
SILENT_SECONDS: Final = 10.0
"""A loop that has not turned for so long counts as hung; each role beats at least once a second."""
STALLED_NS: Final = 10 * SECOND
"""A ring that is written to and not read for so long has no reader: an acknowledgement that takes more than a second
sends its records to the spool."""
REPLAY_FILL: Final = 0.5
"""While a spool is replayed its rings wait until they are so full (`wsadapter.roles.serializer.spooling`)."""
ORDER_NS: Final = 60 * SECOND
"""The next socket of a connection is made, subscribed and heard by then."""
COMMIT_FAILED_NS: Final = 30 * SECOND
"""Each insert waits for a commit; one that fails for longer is no election of a leader."""
MAX_REASONS: Final = 100


def status(snapshot: Snapshot, history: History | None = None) -> dict[str, Any]:
    """All of /status."""
    return {**summary(snapshot, history), "streams": streams(snapshot)}


def streams(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Every subscription, and what is polled."""
    return [
        stream
        for role in ("ingest", "repairer")
        for reading in snapshot.of(role)
        for stream in _streams(snapshot, reading)
    ]


def summary(snapshot: Snapshot, history: History | None = None) -> dict[str, Any]:
    """/status without what grows with the symbols."""
    causes = not_ready(snapshot)
    history = history or History()
    history.observe(snapshot, causes)
    totals = _totals(snapshot)
    return {
        "version": __version__,
        "instance": snapshot.config.service.instance,
        "time": snapshot.wall_ns / 1e9,
        "ready": not causes,
        "not_ready_since": history.not_ready_since_ns / 1e9 if causes else None,
        "ready_since": None if causes else history.ready_since_ns / 1e9,
        "reasons": causes,
        "lag_seconds": history.lag_seconds(snapshot),
        "open_gaps": open_gaps(snapshot),
        "errors": history.errors.newest_first(),
        "latency": history.latency.told(snapshot),
        "spool": {
            "records": sum(reading.get("spool_records") for reading in snapshot.of("serializer")),
            "bytes": spooled_bytes(snapshot),
            "max_bytes": snapshot.config.spool.max_bytes,
            "seconds_left": history.seconds_left(snapshot),
        },
        "supervisor": _supervisor(snapshot),
        "children": [_child(snapshot, reading) for reading in (_own(snapshot), *snapshot.children)],
        "connections": [_connection(snapshot, reading) for reading in snapshot.of("ingest")],
        "rings": [
            {
                "connection": ring.connection,
                "name": ring.name,
                "capacity_bytes": ring.capacity,
                "used_bytes": ring.used,
                "fill": ring.used / ring.capacity if ring.capacity else 0.0,
                "dropped": ring.dropped,
                "epoch": str(ring.epoch),  # 64 bits: JavaScript's numbers would round it
            }
            for ring in snapshot.rings
        ],
        "serializers": [_serializer(reading) for reading in snapshot.of("serializer")],
        "consumers": [_consumer(snapshot, reading) for reading in snapshot.of("consumer")],
        "repairers": [_repairer(reading) for reading in snapshot.of("repairer")],
        "flow": hops.flow(totals),
        "totals": totals,
    }


def _totals(snapshot: Snapshot) -> dict[str, Any]:
    totals = hops.totals((reading.role, reading.cells) for reading in (*snapshot.children, *snapshot.retired))
    if any(snapshot.lag_unknown(reading) for reading in snapshot.of("consumer")):
        totals["lag"] = None
    return totals


def not_ready(snapshot: Snapshot) -> list[str]:
    """Why the pipeline does not work from end to end, a line a cause; empty when it does."""
    return reasons.lines(_causes(snapshot))[:MAX_REASONS]


def _causes(snapshot: Snapshot) -> Iterator[Cause]:
    if snapshot.supervisor_pid and not alive(snapshot.supervisor_pid):
        yield Cause("supervisor", f"process {snapshot.supervisor_pid} is gone")
    for child in snapshot.children:
        state = state_of(snapshot, child)
        silent = _silent_seconds(snapshot, child) or 0.0
        if state != "running":
            yield Cause(child.name, _stage(child) or state, child.role, is_waiting=state == "waiting")
        elif silent > SILENT_SECONDS:
            yield Cause(child.name, f"no heartbeat for {silent:.0f} s", child.role)
        elif child.cells.get("service_up") == 0:
            # a stand-in that has a cell for it; state running alone says only that its process is up
            yield Cause(child.name, "service does not answer", child.role)
    for each in snapshot.waiting:
        yield Cause(f"feed {each.feed} waits", each.reason)
    for child in snapshot.of("ingest"):
        if not child.get("connection_up"):
            if state_of(snapshot, child) == "running":
                yield Cause(child.name, "not connected", child.role)
        else:
            yield from _subscriptions(child)
        if (since := child.get("order_since_ns")) and (waited_ns := snapshot.monotonic_ns - since) > ORDER_NS:
            yield Cause(child.name, f"has not taken its new subscriptions for {_since(snapshot, waited_ns)}")
    yield from _services(snapshot)
    yield from _stalled_rings(snapshot)
    for child in snapshot.of("consumer"):
        yield from _consumer_stalls(snapshot, child)


def _services(snapshot: Snapshot) -> Iterator[Cause]:
    """What clients say of Kafka and ClickHouse."""
    for name, service in (("broker", "Kafka"), ("clickhouse", "ClickHouse")):
        for child in filter(snapshot.speaks, snapshot.children):
            if child.cells.get(f"{name}_up") != 0 or (name == "broker" and child.get("broker_refusal")):
                continue
            reason = Reason(child.get(f"{name}_reason"))
            failed = [] if name == "broker" else [each for each in _endpoints(child) if not each["up"]]
            if reason is Reason.NOT_ASKED:
                continue
            if len(failed) > 1:  # none of several answers: each has a cause of its own
                for each in failed:
                    yield Cause(child.name, each["reason"], child.role, service.lower())
            else:
                yield Cause(child.name, reason.sentence(service), child.role, service.lower())
    for child in snapshot.children:
        if code := child.get("broker_refusal"):
            from wsadapter.kafka.errors import code_text  # a monitor needs Kafka's client for nothing else

            yield Cause(child.name, f"Kafka refuses: {code_text(code)}", child.role)


def _stalled_rings(snapshot: Snapshot) -> list[Cause]:
    is_replaying = any(child.get("spool_records") for child in snapshot.of("serializer"))
    return [
        Cause(
            f"ring {ring.connection}",
            f"{ring.used:,} bytes wait, none was read for {_since(snapshot, elapsed_ns)}",
            service="kafka",  # for which its serializer waits
        )
        for ring in snapshot.rings
        if (elapsed_ns := snapshot.stalled.get(ring.name, 0)) > STALLED_NS
        and not (is_replaying and ring.used <= ring.capacity * REPLAY_FILL)
    ]


def _consumer_stalls(snapshot: Snapshot, child: Reading) -> Iterator[Cause]:
    failed_ns = child.get("commit_failed_since_ns")
    if failed_ns and (elapsed_ns := snapshot.monotonic_ns - failed_ns) > COMMIT_FAILED_NS:
        yield Cause(child.name, f"offset commits fail for {_since(snapshot, elapsed_ns)}, nothing is inserted")
    if unknown := snapshot.lag_unknown(child):
        oldest_ns = min(child.by("lag_measured_ns")[stream] for stream in unknown)
        since = _since(snapshot, snapshot.monotonic_ns - oldest_ns)
        yield Cause(child.name, f"lag of {', '.join(unknown)} not measured for {since}")


def _since(snapshot: Snapshot, elapsed_ns: int) -> str:
    """``14 s (since 2026-11-22 10:00:00 UTC)``."""
    return f"{elapsed_ns // SECOND} s (since {short(snapshot.wall_ns - elapsed_ns)[:19]} UTC)"


def state_of(snapshot: Snapshot, child: Reading) -> str:
    return "down" if snapshot.is_down(child) else _state(CHILD_STATES, child.get("state"))


def _silent_seconds(snapshot: Snapshot, reading: Reading) -> float | None:
    """Since the last heartbeat; None when there was none yet."""
    beat = reading.get("heartbeat_ns")
    return max(0, snapshot.monotonic_ns - beat) / 1e9 if beat else None


def _subscriptions(child: Reading) -> Iterator[Cause]:
    for state, says in ((0, "not acked"), (4, "refused")):
        names = [name for name, value in child.by("stream_state").items() if value == state]
        if names:
            yield Cause(child.name, f"{says}: {some(names)}")


def _supervisor(snapshot: Snapshot) -> dict[str, Any]:
    started = snapshot.supervisor.get("started_ns")
    return {
        "pid": snapshot.supervisor_pid or snapshot.supervisor.get("pid"),
        "uptime_seconds": max(0.0, (snapshot.wall_ns - started) / 1e9) if started else None,
        "state_dir": snapshot.config.service.state_dir,
        "kafka": snapshot.config.kafka.bootstrap_servers,
        "clickhouse": snapshot.config.clickhouse.url,
    }


def _own(snapshot: Snapshot) -> Reading:
    """The supervisor as a row among its children: its page may not have the common cells."""
    cells = {"state": _RUNNING, "pid": snapshot.supervisor_pid, **snapshot.supervisor.cells}
    return Reading("supervisor", snapshot.supervisor.name, cells, snapshot.supervisor.use)


def _child(snapshot: Snapshot, reading: Reading) -> dict[str, Any]:
    supervisor = reading.role == "supervisor"
    return {
        "role": reading.role,
        "name": reading.name,
        "pid": snapshot.supervisor_pid or reading.get("pid") if supervisor else reading.get("pid"),
        "state": _supervisor_state(snapshot, reading) if supervisor else state_of(snapshot, reading),
        "stage": _stage(reading),
        "restarts": 0 if supervisor else snapshot.restarts(reading),
        "heartbeat_age_seconds": _silent_seconds(snapshot, reading),
        **_use(reading.use),
    }


def _stage(reading: Reading) -> str:
    """What an embedded service does before it serves; empty when it does not say."""
    number, percent = reading.get("stage"), reading.get("stage_percent")
    stage = SERVICE_STAGES[number] if 0 <= number < len(SERVICE_STAGES) else ""
    return f"{stage}, {percent} %" if stage and percent else stage


def _use(use: ProcessUse | None) -> dict[str, Any]:
    """All absent where there is no process."""
    return {
        "rss_bytes": use.rss_bytes if use else None,
        "private_bytes": use.private_bytes if use else None,
        "shared_bytes": use.shared_bytes if use else None,
        "cpu_seconds": use.cpu_seconds if use else None,
        "cpus": list(use.cpus) if use else None,
        "nice": use.nice if use else None,
        "locked_bytes": use.locked_bytes if use else None,
    }


def _supervisor_state(snapshot: Snapshot, reading: Reading) -> str:
    pid = snapshot.supervisor_pid or reading.get("pid")
    if not alive(pid):
        return "down"
    state = reading.get("state")
    return _state(CHILD_STATES, state)


def _connection(snapshot: Snapshot, reading: Reading) -> dict[str, Any]:
    up = state_of(snapshot, reading) == "running" and reading.get("connection_up") == 1
    since = reading.get("connected_since_ns")
    return {
        "connection": reading.name,
        "exchange": reading.exchange,
        "up": up,
        "connected_since": since / 1e9 if up and since else None,
        "last_receive_age_seconds": age_of(snapshot, reading.get("last_receive_ns")),
        "frames": reading.get("frames_total"),
        "bytes": reading.get("bytes_total"),
        "events": reading.total("events_total"),
        "decode_errors": reading.total("decode_errors_total"),
        "reconnects": reading.total("reconnects_total"),
        "gaps": reading.total("gaps_total"),
        "dropped": reading.total("ring_dropped_total"),
    }


def _streams(snapshot: Snapshot, reading: Reading) -> list[dict[str, Any]]:
    """Of a connection, or of what is polled: then the labels name the exchange."""
    last = {
        (own["stream"], own.get("exchange")): reading.cells[cell]
        for own, cell in reading.layout.get("stream_last_ns", ())
    }
    return [
        {
            "connection": reading.name,
            "exchange": own.get("exchange", reading.exchange),
            "stream": own["stream"],
            "state": _state(STREAM_STATES, reading.cells[cell]),
            "age_seconds": age_of(snapshot, last.get((own["stream"], own.get("exchange")), 0)),
        }
        for own, cell in reading.layout.get("stream_state", ())
    ]


def _state(words: Sequence[str], number: int) -> str:
    return words[number] if 0 <= number < len(words) else f"state {number}"


def _serializer(reading: Reading) -> dict[str, Any]:
    return {
        "name": reading.name,
        "broker_up": reading.get("broker_up") == 1,
        "outstanding": reading.get("outstanding"),
        "spool_records": reading.get("spool_records"),
        "spool_bytes": reading.get("spool_bytes"),
        "produced": reading.total("produced_total"),
        "delivered": reading.total("delivered_total"),
        "dead_letters": reading.total("dead_letters_total"),
    }


def _consumer(snapshot: Snapshot, reading: Reading) -> dict[str, Any]:
    unknown = snapshot.lag_unknown(reading)
    lag = {stream: count for stream, count in reading.by("consumer_lag").items() if stream not in unknown}
    return {
        "name": reading.name,
        "broker_up": reading.get("broker_up") == 1,
        "clickhouse_up": reading.get("clickhouse_up") == 1,
        "clickhouse_endpoints": _endpoints(reading),
        "lag": _nonzero(lag),
        "lag_unknown": unknown,
        "paused": sorted(_nonzero(reading.by("paused"))),
        "accepted_rows": _nonzero(reading.by("accepted_rows_total")),
        "rejected_rows": _nonzero(reading.by("rejected_rows_total")),
        "inserts": reading.get("inserts_total"),
        "insert_retries": reading.get("insert_retries_total"),
    }


def _endpoints(reading: Reading) -> list[dict[str, Any]]:
    """The addresses of ClickHouse as a consumer knows them. ``reason``: why one is not up."""
    used, up = reading.by("clickhouse_endpoint_in_use"), reading.by("clickhouse_endpoint_up")
    reasons_by = reading.by("clickhouse_endpoint_reason")
    return [
        {
            "endpoint": name,
            "in_use": bool(used[name]),
            "up": bool(up[name]),
            "reason": "" if up[name] else Reason(reasons_by[name]).sentence(f"ClickHouse at {name}"),
        }
        for name in used
    ]


def _repairer(reading: Reading) -> dict[str, Any]:
    paused = reading.by("rest_paused_seconds")
    return {
        "name": reading.name,
        "broker_up": reading.get("broker_up") == 1,
        "gaps_open": reading.get("gaps_open"),
        "repaired": _nonzero(reading.by("repaired_total")),
        "polled": _nonzero(reading.by("polled_total")),
        "instrument_rows": reading.get("instrument_rows_total"),
        "poll_errors": reading.get("poll_errors_total"),
        "repairs": _nonzero(reading.by("repairs_total")),
        "candle_checks": reading.get("candle_checks_total"),
        "candles_differing": reading.get("candles_differing_total"),
        "candles_confirmed": reading.get("candles_confirmed_total"),
        "candles_unconfirmed": reading.get("candles_unconfirmed_total"),
        "hosts": [
            {
                "host": host,
                "weight_used": reading.by("rest_weight_used")[host],
                "weight_limit": reading.by("rest_weight_limit")[host],
                "paused_seconds": seconds,
                "queue": reading.by("rest_queue")[host],
                "requests": reading.by("rest_requests_total")[host],
                "limited": reading.by("rest_limited_total")[host],
                "banned": reading.by("rest_banned_total")[host],
                "failed": reading.by("rest_failed_total")[host],
            }
            for host, seconds in paused.items()
        ],
    }


def _nonzero(values: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in values.items() if value}


def age_of(snapshot: Snapshot, at_ns: int) -> float | None:
    """None = never. Both are wall clock; a step of it must not give a negative age."""
    return max(0, snapshot.wall_ns - at_ns) / 1e9 if at_ns else None
