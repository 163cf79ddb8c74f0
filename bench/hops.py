"""The cost per hop: where the CPU of an event of the mix goes, from single operations and whole roles of one run.

A full run writes this table and the table of targets into docs/performance.md, between two marks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.report import Row, markdown

BEGIN: Final = "<!-- bench: begin -->"
END: Final = "<!-- bench: end -->"

Hop = tuple[str, float, str]
"""(what, us per event, where the figure comes from)."""


def hops(figures: Mapping[str, dict[str, Any]]) -> list[Hop]:
    """Only what was measured. A rest is a role as a whole less its known parts; none where these were timed while the
    host was so slow that nothing is left. The serializer is one row: its client takes records as they lie in the ring,
    so that parts of it cannot be timed alone."""
    made: list[Hop] = []
    micro = figures.get("micro")
    if micro is None:
        return made
    codec, ring = micro["codec_us"]["all"], micro["ring"]
    known = codec["receive"] + codec["publish"]
    if (ingest := _best(figures.get("ingest", {}).get("ours"))) and ingest > known:
        made.append(
            ("ingest: socket, framing, session, dispatch", ingest - known, "ingest, blast, less the next three")
        )
    made += [
        ("ingest: decode JSON, typed", codec["bare"], "micro, bare decode"),
        ("ingest: checks, sequence, event", codec["receive"] - codec["bare"], "micro"),
        ("ingest: encode, append and count the record", codec["publish"], "micro"),
        ("ring: poll", ring["poll_us"], "micro, 110 bytes"),
    ]
    if serializer := _best(figures.get("consumer", {}).get("serializer")):
        made.append(("serializer: ring to the broker's acknowledgement", serializer, "full ring"))
    if consumer := _best(figures.get("consumer", {}).get("ours")):
        made.append(("consumer: Kafka to ClickHouse, a row", consumer, "consumer, full topics"))
    return made


def _best(runs: Sequence[dict[str, Any]] | None) -> float | None:
    return min((float(run["cpu_us"]) for run in runs), default=None) if runs else None


def write(path: Path, figures: Mapping[str, dict[str, Any]], rows: Sequence[Row], run: Mapping[str, Any]) -> bool:
    """Replace what stands between the marks; False when the file has none."""
    text = path.read_text() if path.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return False
    lines = [
        f"{run['date'][:10]}, commit {run['commit']}, {run['machine']}, load {run['load']}, Python {run['python']}, "
        + ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
        "",
        markdown(rows),
        "",
        "| hop | us/event | from |",
        "|---|--:|---|",
        *(f"| {what} | {cost:.2f} | {source} |" for what, cost, source in hops(figures)),
    ]
    path.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")
    return True
