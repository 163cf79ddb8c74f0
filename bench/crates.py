"""The yardsticks in Rust, ``rust`` and ``limit`` of ../shared/peers/clients: built with cargo, once for a checkout.

Their sources are copied first (cargo writes beside them), and built with the least priority: `build/peers` has the
result. Where cargo is missing, or a build fails, their rows are left out by name.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench import frames
from bench.processes import BenchFailed

BUILT: Final = frames.ROOT / "build" / "peers"
BINARIES: Final = {"rust": "peer", "limit": "limit"}
"""Crate -> its program."""


def program(crate: str) -> Path:
    return BUILT / "target" / "release" / BINARIES[crate]


def missing(crate: str) -> str:
    """Why it can be neither run nor built here; empty when it can."""
    if program(crate).exists():
        return ""
    sources = frames.peers()
    if sources is None or not (sources / "clients" / crate / "Cargo.toml").is_file():
        return f"{crate}: its source (../shared/peers/clients/{crate}) is not there"
    return "" if shutil.which("cargo") else f"{crate}: needs cargo"


def build(crate: str) -> None:
    """Harmless when it is there. `BenchFailed` with cargo's last line."""
    sources = frames.peers()
    if program(crate).exists() or sources is None:
        return
    shutil.copytree(sources / "clients" / crate, BUILT / crate, dirs_exist_ok=True)
    done = subprocess.run(
        ["nice", "-n", "19", "cargo", "build", "--release", "--quiet"],
        cwd=BUILT / crate, env=os.environ | {"CARGO_TARGET_DIR": str(BUILT / "target")}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode or not program(crate).exists():
        said = done.stderr.strip().splitlines() or [f"cargo ended with {done.returncode}"]
        raise BenchFailed(f"{crate}: cargo cannot build it: {said[-1]}")
