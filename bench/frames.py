"""The frames of every benchmark: the peers' own generator where it is there, else one of ours with the same mix.

A tape makes Binance USD-M frames whose ids and times only grow. The mix `all` is 45% bookTicker, 30% aggTrade, 15%
depthUpdate (20+20 levels), 5% markPriceUpdate, 4% kline and 1% 24hrTicker over 20 symbols of uneven weight. Figures of
the two generators are not compared with each other: every result line says which one made its frames.
"""

import importlib
import json
import random
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, cast

ROOT: Final = Path(__file__).resolve().parents[1]
_BASES: Final = (
    *("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "AVAX", "LINK", "DOT"),
    *("LTC", "BCH", "UNI", "NEAR", "APT", "ARB", "OP", "SUI", "FIL", "ATOM"),
)
SYMBOLS: Final = tuple(f"{base}USDT" for base in _BASES)
MIXES: Final[Mapping[str, Mapping[str, float]]] = {
    "all": {"bookTicker": 0.45, "aggTrade": 0.30, "depthUpdate": 0.15, "markPriceUpdate": 0.05, "kline": 0.04,
            "24hrTicker": 0.01},
    "trades": {"aggTrade": 1.0},
}  # fmt: skip
CHANNELS: Final[Mapping[str, str]] = {
    "bookTicker": "bookTicker", "aggTrade": "aggTrade", "depthUpdate": "depth20@100ms",
    "markPriceUpdate": "markPrice@1s", "kline": "kline_1m", "24hrTicker": "ticker",
}  # fmt: skip
"""Kind of frame -> channel of its stream, as the peers and our configuration ask for it."""
STREAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "all": ("book_ticker", "trade", "depth", "mark_price", "kline", "ticker"),
    "trades": ("trade",),
}
"""Mix -> stream words of our configuration."""
STAMP: Final = 10**15
"""In a paced run a trade's first id (``f``) is this plus the monotonic time, in ns, at which it was written."""


class Tape(Protocol):
    def make(self, n: int, mix: str, suffix: Mapping[str, str], envelope: bool) -> list[tuple[str, bytes]]:
        """The next ``n`` frames of ``mix``, only the kinds in ``suffix`` (kind -> channel): (kind, payload)."""


def peers() -> Path | None:
    """The directory of the yardstick programs."""
    found = ROOT.parent / "shared" / "peers"
    return found if (found / "frames.py").is_file() and (found / "run.py").is_file() else None


def tape() -> Tape:
    directory = peers()
    if directory is None:
        return OwnTape()
    sys.path.append(str(directory))  # it imports its neighbour `common`
    try:
        return cast(Tape, importlib.import_module("frames").Tape())
    finally:
        sys.path.remove(str(directory))


def origin() -> str:
    return "peers" if peers() else "own"


def kind_of(stream: str) -> str | None:
    """The kind of frame that a stream name asks for."""
    channel = stream.partition("@")[2]
    if channel.startswith("depth"):
        return "depthUpdate"
    if channel.startswith("kline"):
        return "kline"
    words = {"bookTicker": "bookTicker", "aggTrade": "aggTrade", "trade": "aggTrade", "markPrice": "markPriceUpdate",
             "ticker": "24hrTicker"}  # fmt: skip
    return words.get(channel.partition("@")[0])


def suffixes(streams: Iterable[str]) -> dict[str, str]:
    """Kind -> channel, as subscribed."""
    return {kind: stream.partition("@")[2] for stream in streams if (kind := kind_of(stream))}


def streams(mix: str, symbols: Iterable[str] = SYMBOLS) -> list[str]:
    return [f"{symbol.lower()}@{CHANNELS[kind]}" for kind in MIXES[mix] for symbol in symbols]


class OwnTape:
    """Without the peers. ``exchange_info`` and ``snapshot``, which only a peer asks for, are theirs alone."""

    def __init__(self, seed: int = 7) -> None:
        self._rng = random.Random(seed)
        self._price = {s: 10 ** self._rng.uniform(-0.5, 4.9) for s in SYMBOLS}
        self._ids = {s: [2_900_000_000 + i, 6_500_000_000, 9_400_000_000_000] for i, s in enumerate(SYMBOLS)}
        self._ms = int(time.time() * 1000)

    def make(self, n: int, mix: str, suffix: Mapping[str, str], envelope: bool) -> list[tuple[str, bytes]]:
        order = [kind for kind, share in MIXES[mix].items() for _ in range(round(n * share))]
        self._rng.shuffle(order)
        made = []
        for index, kind in enumerate(order):
            symbol = SYMBOLS[min(int(self._rng.expovariate(0.18)), len(SYMBOLS) - 1)]
            if kind not in suffix:
                continue
            data = json.dumps(self._frame(kind, symbol, self._ms + index // 8), separators=(",", ":"))
            if envelope:
                data = f'{{"stream":"{symbol.lower()}@{suffix[kind]}","data":{data}}}'
            made.append((kind, data.encode()))
        self._ms += len(order) // 8 + 1
        return made

    def _frame(self, kind: str, symbol: str, ms: int) -> dict[str, Any]:
        rng, ids = self._rng, self._ids[symbol]
        price = self._price[symbol] * rng.uniform(0.999, 1.001)
        p, q = f"{price:.4f}", f"{rng.uniform(0.001, 90):.3f}"
        head = {"e": kind, "E": ms, "s": symbol}
        if kind == "aggTrade":
            ids[0] += 1
            ids[1] += 2
            return head | {"a": ids[0], "p": p, "q": q, "nq": q, "f": ids[1] - 1, "l": ids[1], "T": ms - 3, "m": True}
        if kind == "bookTicker":
            ids[2] += 7
            return head | {"u": ids[2], "b": p, "B": q, "a": f"{price * 1.0001:.4f}", "A": q, "T": ms - 3}
        if kind == "depthUpdate":
            first, ids[2] = ids[2] + 1, ids[2] + 40
            bids, asks = ([[f"{price * (1 + way * i * 1e-4):.4f}", q] for i in range(1, 21)] for way in (-1, 1))
            return head | {"T": ms - 3, "U": first, "u": ids[2], "pu": first - 1, "b": bids, "a": asks}
        if kind == "markPriceUpdate":
            due = ms - ms % 28_800_000 + 28_800_000
            return head | {"p": p, "P": p, "i": p, "r": "0.00010000", "T": due}
        if kind == "kline":
            opened = ms - ms % 60_000
            return head | {"k": {
                "t": opened, "T": opened + 59_999, "s": symbol, "i": "1m", "f": 100, "L": 200, "o": p, "c": p, "h": p,
                "l": p, "v": "1000.5", "n": 100, "x": False, "q": "1000.1", "V": "500.2", "Q": "500.3", "B": "0",
            }}  # fmt: skip
        return head | {
            "p": "1.5", "P": "0.15", "w": p, "c": p, "Q": "10.1", "o": p, "h": p, "l": p, "v": "100000.1",
            "q": "1000000.2", "O": ms - 86_400_000, "C": ms, "F": 1, "L": 18150, "n": 18151,
        }  # fmt: skip
