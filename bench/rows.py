"""What the sections' figures mean: rows of the table, with the targets of the project."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from bench import connections
from bench.accounts import median
from bench.report import Row, compared

Runs = list[dict[str, Any]]
Figures = Mapping[str, Any]
BASE: Final = "picows-proto-kafka"
SLOW_PEERS: Final = {"websockets-json-kafka": (1 / 2, 1 / 3), "cryptofeed-kafka": (1 / 20, 1 / 30)}
LINGERS: Final = {1: (1.5, 1.2), 5: (1.25, 1.0)}
LATENCY: Final = {"p50": (2, 1.5), "p99": (10, 6)}
"""ms, at linger 1."""
RUST: Final = "rust-kafka"
"""A single process from the best crates: the same frames, checks, messages and settings."""
LIMIT: Final = "limit-kafka"
"""What socket, one scan of the bytes and the log's own framing cost."""
RUST_LINGERS: Final = {1: (1.2, 1.0), 5: (1.2, 0.7)}
RSS_ANON: Final = {"ingest": 40, "serializer": 60, "consumer": 120, "supervisor": 40, "monitor": 50}


def beside(what: str, ours: Runs, theirs: Runs | None, figure: str, target: float | None = None,
           stretch: float | None = None, *, more: bool = False) -> Row:  # fmt: skip
    """As `compared`, with a yardstick that may not be there, or have failed in a round."""
    theirs = theirs or []
    return compared(what, ours[: len(theirs)], theirs, figure, target, stretch, more=more)


def of_micro(found: Figures) -> list[Row]:
    costs, codec, wake = found["ring"], found["codec_us"]["all"], found["wake_up"]
    decoded = f"{codec['receive']:.2f} us : {codec['bare']:.2f} us bare typed decode"
    return [
        Row("ring: put one record", costs["put_us"], "us", shown=f"{costs['poll_us']:.2f} us to poll it"),
        Row("decode a frame of the mix to its event", codec["receive"] / codec["bare"], "x", shown=decoded),
        Row("build key and message of a record", codec["build"], "us", shown=f"{codec['encode']:.2f} us to encode it"),
        Row("wake-up, one process to another", wake["p50_us"], "us", shown=f"p99 {wake['p99_us']:.0f} us"),
    ]


def of_ingest(found: Figures) -> list[Row]:
    base, unchecked = found["picows-msgspec"], found["unchecked"]
    return [
        compared("ingest, blast: CPU/event against picows-msgspec", found["ours"], base, "cpu_us", 1.7, 1.3),
        compared("  the same without decimal checks", unchecked, base if unchecked else [], "cpu_us"),
        compared("ingest at 5,000/s: CPU/event", found["paced"], found["paced theirs"], "cpu_us", 1.25, 1.1),
        beside("ingest, blast: CPU/event against rust (proto)", found["ours"], found.get("rust"), "cpu_us", 1, 0.5),
        beside("ingest at 5,000/s: CPU/event against limit", found["paced"], found.get("limit-scan"), "cpu_us", 2, 1.5),
    ]


def of_road(found: Figures) -> list[Row]:
    ours, base = found.get("ours", []), found.get(BASE, [])
    made = [
        compared(f"whole road, blast: CPU/event against {BASE}", ours, base, "cpu_us", 1.0, 0.7),
        compared("whole road, blast: events/s", ours, base, "per_s", 1.0, 1.3, more=True),
    ]
    for name, bounds in SLOW_PEERS.items():
        theirs = found.get(name, [])
        made.append(compared(f"  CPU/event against {name}", ours[: len(theirs)], theirs, "cpu_us", *bounds))
    rust, limit = found.get(RUST), found.get(LIMIT)
    made += [
        beside("whole road, blast: CPU/event against rust", ours, rust, "cpu_us", 1.0, 0.6),
        beside("whole road, blast: events/s against rust", ours, rust, "per_s", 1.3, 2, more=True),
        beside("  CPU/event against limit (scan, own requests)", ours, limit, "cpu_us"),
    ]
    for linger, bounds in LINGERS.items():
        mine, theirs = found.get(f"2000/s linger {linger}", []), found.get(f"{BASE} 2000/s linger {linger}", [])
        if mine:
            what = f"whole road at 2,000/s, linger {linger} ms: CPU/event"
            made.append(compared(what, mine, theirs, "cpu_us", *bounds))
            rust = found.get(f"{RUST} 2000/s linger {linger}")
            made.append(beside("  CPU/event against rust", mine, rust, "cpu_us", *RUST_LINGERS[linger]))
            made += [_latency(linger, name, mine, theirs) for name in LATENCY]
    return made


def _latency(linger: int, name: str, mine: Runs, theirs: Runs) -> Row:
    value = median(run["latency_ms"][name] for run in mine)
    beside = f"{BASE}: {median(run['latency_ms'][name] for run in theirs):.3g} ms" if theirs else ""
    target, stretch = LATENCY[name] if linger == 1 else (None, None)
    return Row(f"  venue write -> read from the broker, {name}", value, "ms", target, stretch, shown=beside)


def of_serializer(found: Figures) -> list[Row]:
    bare = f"bare producer, blast: {found['bare']['cpu_us']:.2f} us"
    return [
        Row("serializer at 5,000/s: CPU/event", found["paced"]["cpu_us"], "us", shown=bare),
        beside("serializer, full ring: CPU/event against confluent-kafka's client", found.get("direct", []),
               found.get("confluent"), "cpu_us", 0.6),
    ]  # fmt: skip


def of_consumer(found: Figures) -> list[Row]:
    ours, some = found["ours"], found["ours"][: len(found["insert"])]
    full = min((run["cpu_us"] for run in found["serializer"]), default=None)
    return [
        Row("serializer, full ring: CPU/event", full, "us"),
        compared("consumer: CPU/row against consume + raw_insert", ours, found["raw"], "cpu_us", 1.5, 1.2),
        beside("consumer: CPU/row against bare librdkafka + framing", ours, found.get("framing"), "cpu_us", 4, 3),
        compared("consumer: CPU/row against decode + insert", some, found["insert"], "cpu_us", 1 / 6, 1 / 8),
        compared("consumer: rows/s against decode + insert", some, found["insert"], "per_s", 2.5, 4, more=True),
    ]


def of_site(found: Figures) -> list[Row]:
    each = ", ".join(f"{name} {share:.2f}" for name, share in found["idle"]["each"].items())
    made = [Row("idle, connected, all processes", found["idle"]["percent"], "%", 0.3, 0.1, shown=each)]
    for role, took in found["restart_median_s"].items():
        made.append(Row(f"{role} killed to its first new data", took, "s", 0.6, 0.4))
    for role, bound in RSS_ANON.items():
        rss = f"RSS {found['rss_mb'][role]:.0f} MB"
        made.append(Row(f"RssAnon of {role}, peak", found["rss_anon_mb"][role], "MB", bound, shown=rss))
    return made


def of_reading(found: Figures) -> list[Row]:
    """CPU is of the thread that reads. Events a second depend on what else the machine does: shown, no target."""
    ours = found["ours"]
    cpu, rate = median(run["cpu_us"] for run in ours), median(run["per_s"] for run in ours)
    made = [Row("reader: CPU/event of the reading thread", cpu, "us", shown=f"{rate:,.0f} events/s")]
    words = {"consume": "protobuf, consume()", "poll": "protobuf, poll()", "typed": "typed events, consume()"}
    for name, what in words.items():
        ratio = median(theirs["cpu_us"] / mine["cpu_us"] for mine, theirs in zip(ours, found[name], strict=True))
        cpu, rate = median(run["cpu_us"] for run in found[name]), median(run["per_s"] for run in found[name])
        shown = f"{cpu:.2f} us, {rate:,.0f} events/s by hand"
        made.append(Row(f"  CPU/event, by hand ({what}) : reader", ratio, "x", 3, more=True, shown=shown))
    return made


def of_connections(found: Figures) -> list[Row]:
    made = []
    for point in found["points"]:
        what = f"{point['connections']} connections, {connections.RATE:,}/s together: CPU/event"
        shown = f"ingests {point['roles']['ingest']:.1f} us, {point['total_anon_mb']:.0f} MB of their own"
        made.append(Row(what, point["cpu_us"], "us", shown=shown))
    by_count = {point["connections"]: point["cpu_us"] for point in found["points"]}
    if {1, 16} <= by_count.keys():
        made.append(Row("16 connections : 1 connection, CPU/event", by_count[16] / by_count[1], "x", 1.3, 1.1))
    return made


def of_stored(found: Figures) -> list[Row]:
    naive = f"{found['naive_s'] / found['trades_s']:.1f} times as fast as the driver's rows"
    longest = f"the longest of a day {found['book_longest_s']:.2f} s"
    return [
        Row("100,000 trades to a DataFrame, gaps marked", found["trades_s"], "s", 0.15, shown=naive),
        Row("book_at, any moment of a recorded day", found["book_s"], "s", 1.0, shown=longest),
    ]


def of_archives(found: Figures) -> list[Row]:
    """Of one core: this process and the server together."""
    return [
        Row(
            what, found[word], "rows/s", 200_000, more=True, shown=f"a second import adds {found[f'{word}_again']} rows"
        )
        for what, word in (
            ("import a month of minute candles, of one core", "candles"),
            ("import a day of aggregated trades, of one core", "trades"),
        )
    ]


OF: Final[Mapping[str, Callable[[Figures], list[Row]]]] = {
    "micro": of_micro, "ingest": of_ingest, "road": of_road, "serializer": of_serializer, "consumer": of_consumer,
    "site": of_site, "connections": of_connections, "stored": of_stored, "reading": of_reading,
    "archives": of_archives,
}  # fmt: skip
