"""What a recorded Binance frame must become, written down a second time and independently of the product: plain `json`,
field by field from the venue's documentation. Values are the frame's own text and numbers."""

import json
from collections.abc import Iterable
from typing import Any

MS = 1_000_000


def rows(lines: Iterable[str]) -> dict[str, dict[tuple[Any, ...], dict[str, Any]]]:
    """Stream -> natural key -> fields that must be equal (times in ns), for every event in the frames."""
    found: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for line in lines:
        frame = json.loads(line)
        data = frame.get("data", frame)
        for event in data if isinstance(data, list) else [data]:
            made = row(event, frame.get("stream", ""))
            if made:
                stream, key, fields = made
                found.setdefault(stream, {})[key] = fields
    return found


def row(e: dict[str, Any], stream: str) -> tuple[str, tuple[Any, ...], dict[str, Any]] | None:
    kind = e.get("e")
    if kind in ("aggTrade", "trade"):
        aggregated = kind == "aggTrade"
        number = e["a"] if aggregated else e["t"]
        return "trade", (e["s"], aggregated, number), {
            "trade_id": str(number), "trade_number": number, "price": e["p"], "quantity": e["q"],
            "buyer_is_maker": e["m"], "first_trade_id": e.get("f"), "last_trade_id": e.get("l"),
            "aggregated": aggregated, "event_time_ns": e["E"] * MS, "transaction_time_ns": e["T"] * MS,
        }  # fmt: skip
    if kind == "bookTicker":
        return "book_ticker", (e["s"], e["u"]), {
            "update_id": e["u"], "bid_price": e["b"], "bid_quantity": e["B"], "ask_price": e["a"],
            "ask_quantity": e["A"], "event_time_ns": e["E"] * MS, "transaction_time_ns": e["T"] * MS,
        }  # fmt: skip
    if kind == "depthUpdate":
        channel = stream.partition("@")[2].partition("@")[0]
        levels = int(channel.removeprefix("depth") or 0)
        return "depth", (e["s"], levels, e["u"]), {
            "update_type": 1 if levels else 2, "level_limit": levels, "first_update_id": e["U"],
            "last_update_id": e["u"], "previous_update_id": e["pu"], "bid_price": [p for p, _ in e["b"]],
            "bid_quantity": [q for _, q in e["b"]], "ask_price": [p for p, _ in e["a"]],
            "ask_quantity": [q for _, q in e["a"]], "event_time_ns": e["E"] * MS, "transaction_time_ns": e["T"] * MS,
        }  # fmt: skip
    if kind == "kline":
        k = e["k"]
        return "kline", (k["s"], k["i"], k["t"], e["E"]), {
            "interval": k["i"], "open_time_ns": k["t"] * MS, "close_time_ns": k["T"] * MS, "open": k["o"],
            "high": k["h"], "low": k["l"], "close": k["c"], "volume": k["v"], "quote_volume": k["q"],
            "trade_count": k["n"], "taker_buy_volume": k["V"], "taker_buy_quote_volume": k["Q"], "closed": k["x"],
        }  # fmt: skip
    return None
