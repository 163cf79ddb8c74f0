"""The counterparts of Kraken speak like recorded frames: the same keys, the same JSON types."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from conformance.pair import Pair
from frames_path import frames


def shape(value: Any) -> Any:
    """Keys and types; of a list that of its first element."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def spoken(exchange: str, kind: Callable[[Any], str]) -> dict[str, list[Any]]:
    """The shapes of all that it said, data and answers, by kind."""
    pair = Pair(exchange, changes=True).open().run(3.0)
    found: dict[str, list[Any]] = {}
    for line in pair.lines:
        for text in line.texts:
            message = json.loads(text)
            if (one := shape(message)) not in found.setdefault(kind(message), []):
                found[kind(message)].append(one)
    return found


def same(ours: Any, theirs: Any) -> bool:
    """Empty lists are of any shape."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[name], theirs[name]) for name in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return not ours or not theirs or same(ours[0], theirs[0])
    return bool(ours == theirs)


def kind_of_spot(message: Any) -> str:
    if "method" in message:
        return f"{message['method']} {message.get('result', {}).get('channel', '')}"
    return f"{message['channel']} {message.get('type', '')}"


def test_spot() -> None:
    found = spoken("kraken", kind_of_spot)
    names = "book", "control", "ohlc", "ticker", "trade"
    recorded = [
        json.loads(line) for name in names
        for line in frames(f"kraken/examples_{name}.jsonl").read_bytes().splitlines()
    ]  # fmt: skip
    compared = set()
    for message in recorded:
        kind = kind_of_spot(message)
        if "warnings" in message.get("result", {}):
            del message["result"]["warnings"]
        if kind in found and kind not in ("status update", "ticker snapshot"):
            later = {"req_id": "number"} if kind.startswith("subscribe") else {}
            assert any(same(one, shape(message) | later) for one in found[kind]), kind
            compared.add(kind)

    assert compared >= {"book snapshot", "book update", "ohlc update", "ticker update", "trade update",
                        "subscribe book", "subscribe trade", "subscribe ohlc"}  # fmt: skip


@pytest.mark.parametrize("key", ["version", "system", "api_version", "connection_id"])
def test_the_status_of_spot(key: str) -> None:
    (status,) = spoken("kraken", kind_of_spot)["status update"]
    recorded = json.loads(frames("kraken/examples_control.jsonl").read_bytes().splitlines()[0])

    assert status["data"][0][key] == shape(recorded)["data"][0][key]


def kind_of_futures(message: Any) -> str:
    return f"{message.get('event', '')} {message.get('feed', '')}"


LATER_OR_NEVER = {"funding_rate_prediction", "relative_funding_rate_prediction"}


def test_futures() -> None:
    found = spoken("kraken_futures", kind_of_futures)
    names = "book", "candles", "control", "liquidation", "ticker", "trade"
    compared = set()
    for name in names:
        for line in frames(f"kraken_futures/examples_{name}.jsonl").read_bytes().splitlines():
            message = json.loads(line)
            kind = kind_of_futures(message)
            if kind not in found or message.get("tag", "perpetual") != "perpetual":
                continue
            theirs = {key: value for key, value in shape(message).items() if key not in LATER_OR_NEVER}
            if "feed" in theirs and kind == " ticker" and "open" not in theirs:
                continue  # not in every frame
            if kind == " book_snapshot":
                assert any(set(one) == set(theirs) for one in found[kind])
            else:
                assert any(same(one, theirs) for one in found[kind]), kind
            compared.add(kind)

    assert compared >= {" book", " book_snapshot", " ticker", " trade", "info ", "subscribed ticker"}
