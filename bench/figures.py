"""Which plots a run draws: docs/bench-cpu.svg and docs/bench-connections.svg (a quick run: ...-quick.svg)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.plot import Bar, bars, lines


def write(directory: Path, figures: Mapping[str, dict[str, Any]], run: Mapping[str, Any]) -> list[Path]:
    """Draw what the sections that ran allow."""
    suffix = "-quick" if run["quick"] else ""
    note = f"{run['date'][:10]}, {run['commit']}, Python {run['python']}, {run['machine']}"
    drawn = {"cpu": cpu(figures, note), "connections": connections(figures.get("connections", {}), note)}
    written = []
    for name, svg in drawn.items():
        if svg:
            path = directory / f"bench-{name}{suffix}.svg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(svg)
            written.append(path)
    return written


def best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return min(runs, key=lambda run: float(run["cpu_us"]))


def cpu(figures: Mapping[str, dict[str, Any]], note: str) -> str:
    """CPU per event beside the yardsticks, the best round of each."""
    groups: dict[str, list[Bar]] = {}
    if (ingest := figures.get("ingest")) and ingest["ours"] and ingest["paced"]:
        for heading, mine, theirs in (
            ("Socket to decoded event, as fast as it goes", "ours", "picows-msgspec"),
            ("The same at 5,000 frames a second", "paced", "paced theirs"),
        ):
            groups[heading] = [ours("wsadapter ingest", {"ingest": best(ingest[mine])["cpu_us"]})]
            groups[heading] += [theirs_bar("picows-msgspec", ingest[theirs])] if ingest[theirs] else []
    road = figures.get("road", {})
    if road.get("ours"):
        group = groups["Socket to the broker's acknowledgement, as fast as it goes"] = [whole(road["ours"])]
        names = ("picows-proto-kafka", "websockets-json-kafka", "cryptofeed-kafka")
        group += [theirs_bar(name, road[name]) for name in names if road.get(name)]
    for linger in (1, 5):
        if runs := road.get(f"2000/s linger {linger}"):
            group = groups[f"The same at 2,000 frames a second, linger {linger} ms"] = [whole(runs)]
            if found := road.get(f"picows-proto-kafka 2000/s linger {linger}"):
                group.append(theirs_bar("picows-proto-kafka", found))
    return bars("CPU per event", "us", groups, note) if groups else ""


def ours(label: str, parts: Mapping[str, float]) -> Bar:
    return Bar(label, parts, True)


def whole(runs: list[dict[str, Any]]) -> Bar:
    roles = best(runs)["roles"]
    rest = sum(spent for role, spent in roles.items() if role not in ("ingest", "serializer"))
    parts = {"ingest": roles["ingest"], "serializer": roles["serializer"], "supervisor and monitor": rest}
    return ours("wsadapter, all processes", parts)


def theirs_bar(name: str, runs: list[dict[str, Any]]) -> Bar:
    return Bar(name, {name: best(runs)["cpu_us"]}, False)


def connections(found: Mapping[str, Any], note: str) -> str:
    points = found.get("points", [])
    if len(points) < 2:
        return ""
    series = {
        "all processes": [point["cpu_us"] for point in points],
        "ingests": [point["roles"]["ingest"] for point in points],
        "serializer": [point["roles"]["serializer"] for point in points],
    }
    counts = [point["connections"] for point in points]
    return lines("4,000 frames a second over more connections", "connections, an ingest process each",
                 "CPU per event, us", counts, series, note)  # fmt: skip
