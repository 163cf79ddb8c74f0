"""One JSON line per section and run, appended to bench/results/<section>.jsonl: figures, and what made them."""

import importlib.metadata
import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from bench import frames

DIRECTORY: Final = Path(__file__).with_name("results")
PACKAGES: Final = (
    "picows", "msgspec", "uvloop", "protobuf", "confluent-kafka", "clickhouse-connect", "chdb", "websockets",
)  # fmt: skip


def circumstances(quick: bool) -> dict[str, Any]:
    """Commit, versions, machine, date: what a figure means nothing without."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain") else ""),
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "frames": frames.origin(),
        "quick": quick,
    }


def append(directory: Path, section: str, run: dict[str, Any], figures: dict[str, Any]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"{section}.jsonl").open("a") as file:
        file.write(json.dumps({"bench": section, **run, **rounded(figures)}) + "\n")


def rounded(value: Any) -> Any:
    """Floats with four digits that mean something."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if abs(value) < 1000 else round(value)
    if isinstance(value, dict):
        return {str(key): rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=frames.ROOT, capture_output=True, text=True, timeout=10)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "?"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
