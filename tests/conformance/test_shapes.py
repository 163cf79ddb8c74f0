"""Frames of the counterparts have the keys, JSON types and envelopes of recorded or documented ones: a venue and its
counterpart cannot share one misreading."""

import gzip
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conformance.pair import Pair
from conformance.test_conformance import EXCHANGES
from frames_path import frames

FOLDERS = {
    "binance": "binance_usdm", "bybit": "bybit_linear", "coinbase": "coinbase_exchange coinbase_advanced",
    "gate": "gateio_futures", "bitget": "bitget_v3", "bitget_spot": "bitget_v3", "bybit_inverse": "bybit_linear",
}  # fmt: skip
"""Of the recordings, where it is not the exchange word, or where those of that are years older."""
HEADS = (
    ("event",), ("op",), ("arg", "channel"), ("arg", "topic"), ("params", "channel"), ("topic",), ("feed",),
    ("channel",), ("e",), ("type",),
)  # fmt: skip
"""Where a message says of which kind it is."""
NEWER = {
    "binance": {"forceOrder.ps", "forceOrder.st", "markPriceUpdate.ap"},
    "binance_coinm": {"forceOrder.ps", "forceOrder.st"},
    # recorded with other channels
    "coinbase": {"subscriptions.events[].subscriptions.level2[]", "subscriptions.events[].subscriptions.candles[]"},
    "gate": {"futures.public_liquidates.result.size"},  # text with the header of decimal sizes
    # answers of version 2, whose recordings are in a folder of their own
    "bitget": {"subscribe.arg.channel", "subscribe.arg.instId"},
}
"""Fields that came after the recordings, as documented."""
Shape = dict[str, str]


def head(document: Any) -> str:
    """The kind of a message without symbol, interval and levels; empty for what says of none."""
    for path in HEADS:
        value = document
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str) and value != "update":
            name = value if path == ("e",) else value.partition(".")[0] if path != ("channel",) else value
            found = re.match(r"[A-Za-z_.-]+", name)
            return found[0].rstrip("._-") if found else ""
    return ""


def shape(value: Any, path: str = "") -> Shape:
    """Key path -> JSON type; the elements of a list are one, a number is a number."""
    if isinstance(value, dict):
        return {k: t for key, inner in value.items() for k, t in shape(inner, f"{path}.{key}").items()}
    if isinstance(value, list):
        return {k: t for inner in value for k, t in shape(inner, f"{path}[]").items()}
    return {
        path: "number"
        if isinstance(value, float)
        else {"int": "number"}.get(type(value).__name__, type(value).__name__)
    }


def recorded(folder: Path) -> Iterator[Any]:
    for file in sorted(folder.glob("*.jsonl*")):
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
            for line in lines:
                try:
                    document = msgspec.json.decode(line)
                except msgspec.DecodeError:
                    continue
                if isinstance(document, dict) and set(document) == {"stream", "data"}:
                    document = document["data"]
                yield from document if isinstance(document, list) else [document]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_frames_have_keys_and_types_of_recorded_ones(exchange: str) -> None:
    folders = [frames(name) for name in FOLDERS.get(exchange, exchange).split()]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip(f"no recorded frames of {exchange}")
    ever: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for document in (one for folder in folders for one in recorded(folder)):
        for path, of in shape(document).items():
            ever[head(document)][path].add(of)
    pair = Pair(exchange).open().run(8.0)
    compared: set[str] = set()
    wrong: set[tuple[str, str, str, str]] = set()
    for line in pair.lines:
        for text in line.texts:
            try:
                document = msgspec.json.decode(text)
            except msgspec.DecodeError:
                continue
            if isinstance(document, dict) and set(document) == {"stream", "data"}:
                document = document["data"]
            kind = head(document)
            if not kind or kind not in ever:
                continue
            compared.add(kind)
            for path, of in shape(document).items():
                known = ever[kind].get(path, set())
                if of not in known and kind + path not in NEWER.get(exchange, ()):
                    wrong.add((kind, path, of, " ".join(sorted(known))))
    assert compared, "no message of a kind that was recorded"
    assert not wrong, "\n".join(map(str, sorted(wrong)))
