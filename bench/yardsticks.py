"""The yardstick programs of ../shared/peers: which of them can run here, and one run of one.

Ours and theirs get the same frames from the same venue program. Their environments: ``--envs DIR`` as for the peers'
own run.py (DIR/base, DIR/cryptofeed); without it our interpreter runs those whose packages we have anyway. Those in
Rust are programs (`bench.crates`).
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from bench import crates, frames
from bench.processes import BenchFailed, Program, Venue, cores, pinned


class Client(Struct, frozen=True):
    """One row of the peers' table. ``packages``: what it imports; ``topics``: what it produces to; ``crate``: it is a
    program in Rust, and has no script."""

    script: str
    variant: str
    environment: str
    packages: tuple[str, ...]
    topics: tuple[str, ...] = ()
    crate: str = ""


_TOPICS: Final = tuple(f"bench-{kind}" for kind in frames.CHANNELS)
_OF_CRYPTOFEED: Final = tuple(
    f"{kind}-BINANCE_FUTURES-{symbol.removesuffix('USDT')}-USDT-PERP"
    for kind in ("trades", "ticker", "funding", "candles", "book")
    for symbol in frames.SYMBOLS
)
BASE: Final = ("picows", "msgspec", "uvloop")
CLIENTS: Final = {
    "picows-count": Client("bound.py", "count", "base", BASE),
    "picows-msgspec": Client("bound.py", "msgspec", "base", BASE),
    "picows-proto": Client("bound.py", "proto", "base", BASE),
    "picows-proto-kafka": Client("bound.py", "proto", "base", BASE, _TOPICS),
    "websockets-json": Client("naive.py", "", "base", ("websockets",)),
    "websockets-json-kafka": Client("naive.py", "", "base", ("websockets",), _TOPICS),
    "cryptofeed-kafka": Client("cryptofeed_client.py", "", "cryptofeed", ("cryptofeed", "aiokafka"), _OF_CRYPTOFEED),
    "rust": Client("", "proto", "", (), crate="rust"),
    "rust-kafka": Client("", "proto", "", (), _TOPICS, "rust"),
    "limit-scan": Client("", "scan", "", (), crate="limit"),
    "limit-kafka": Client("", "scan-native", "", (), _TOPICS, "limit"),
}


class Yardsticks:
    def __init__(self, envs: Path | None) -> None:
        self._envs, self._peers = envs, frames.peers()

    def missing(self, name: str) -> str:
        """Why it cannot run here; empty when it can."""
        client = CLIENTS[name]
        if client.crate:
            return crates.missing(client.crate)
        if self._peers is None:
            return f"{name}: the yardstick programs (../shared/peers) are not there"
        if self._envs is not None and (self._envs / client.environment / "bin/python").exists():
            return ""
        absent = [package for package in client.packages if importlib.util.find_spec(package) is None]
        return f"{name}: needs {' '.join(absent)}, give an environment with --envs" if absent else ""

    def run(self, name: str, directory: Path, count: int, rate: float, *, mix: str = "all", kafka: str = "",
            settings: dict[str, Any] | None = None, pin: bool = False) -> dict[str, Any]:  # fmt: skip
        """One run; ``settings`` of the producer are those of the product."""
        client, (venue_core, client_core) = CLIENTS[name], cores() if pin else (None, None)
        if client.crate:
            crates.build(client.crate)
        with Venue(directory, frames=count, mix=mix, rate=rate, cpu=venue_core) as venue:
            argv = [
                *self._command(client, settings or {}), "--url", venue.url, "--frames", count, "--mix", mix,
                "--variant", client.variant, *(["--kafka", kafka] if kafka else []),
            ]  # fmt: skip
            with Program(pinned(argv, client_core), directory / f"{name}.log") as program:
                found = program.result(60 + (count / rate if rate else count / 1000))
        if found["events"] < 0.99 * found["frames"]:
            raise BenchFailed(f"{name}: only {found['events']} of {found['frames']} events")
        return {
            "frames": found["events"], "cpu_s": found["cpu_s"], "wall_s": found["wall_s"], "rss_mb": found["rss_mb"],
            "cpu_us": found["cpu_s"] / found["events"] * 1e6, "per_s": found["events"] / found["wall_s"],
        }  # fmt: skip

    def _command(self, client: Client, settings: dict[str, Any]) -> list[Any]:
        if client.crate:  # idempotent and acks=all by itself
            linger = settings.get("linger.ms")
            return [crates.program(client.crate), *([] if linger is None else ["--set", f"linger.ms={linger:g}"])]
        assert self._peers is not None
        script = self._peers / "clients" / client.script
        return [self._python(client), "-m", "bench.yardstick", json.dumps(settings), script]

    def _python(self, client: Client) -> str:
        if self._envs is not None and (found := self._envs / client.environment / "bin/python").exists():
            return str(found)
        return sys.executable
