"""The counterpart of Deribit speaks like its recorded frames: the same keys, the same JSON types and envelope."""

import json
from typing import Any

import pytest
from conformance.pair import Pair
from frames_path import frames

WANTED = {
    "trades": "examples_trade.jsonl", "book": "examples_depth_delta.jsonl", "top": "examples_depth_snapshot.jsonl",
    "chart": "examples_kline.jsonl", "ticker": "examples_ticker_mark_funding_oi.jsonl",
    "quote": "examples_book_ticker.jsonl",
}  # fmt: skip
ADDED_LATER = {"contracts", "starbase_match_id", "starbase_timestamp", "combo_trade_id", "combo_id", "legs"}
"""Of trades; and what only some have."""
ONLY_SOME = {"liquidation", "prev_change_id", "min_price", "max_price", "interest_value", "stats"}


def kind(message: Any) -> str:
    first, *rest = message["params"]["channel"].split(".")
    return "top" if first == "book" and "none" in rest else str(first)


def shape(value: Any) -> Any:
    """Keys and types; of a list that of its first element."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items() if name not in ADDED_LATER | ONLY_SOME}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) else type(value).__name__


def spoken(changes: bool) -> dict[str, Any]:
    """The last message of each kind."""
    pair = Pair("deribit", changes=changes).open().run(3.0)
    told = [json.loads(text) for line in pair.lines for text in line.texts]
    return {kind(message): message for message in told if message.get("method") == "subscription"}


@pytest.mark.parametrize("name", WANTED)
def test_a_frame_has_the_shape_of_the_recorded_ones(name: str) -> None:
    lines = frames(f"deribit/{WANTED[name]}").read_bytes().splitlines()
    recorded = [message for line in lines if kind(message := json.loads(line)) == name and len(line) > 300]
    recorded = recorded or [json.loads(line) for line in lines]
    message = spoken(changes=name != "top")[name]

    ours, theirs = shape(message), [shape(one) for one in recorded]
    data = [one["params"]["data"] for one in theirs]
    data = [one[0] if isinstance(one, list) else one for one in data]
    said = ours["params"]["data"]
    said = said[0] if isinstance(said, list) else said
    assert ours.keys() == theirs[0].keys()
    assert any(said.keys() == one.keys() for one in data), (said.keys(), [one.keys() for one in data])
    for one in data:
        for key in said.keys() & one.keys() - {"bids", "asks"}:
            assert said[key] == one[key], key
