"""What a Binance frame says, read a second time and independently: `json.loads`, no code of the decoder.

Expected events are dicts of every field but those that a connection adds (exchange, receive time, source, connection,
last gap).
"""

import json
import re
from collections import Counter
from typing import Any

from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import ConnectionPlan, Item, Subscription

RECEIVED = 1_790_000_000_123_456_789
MS = 10**6
Expected = dict[str, Any]


def exchange(*symbols: str, names: tuple[str, ...] = (), venue: type[VenueSession] = BinanceFutures) -> VenueSession:
    """A session of one of the futures."""
    subscriptions = tuple(Subscription(name, "trade", "X") for name in names)  # type: ignore[arg-type]
    return venue(ConnectionPlan("unit-market-0", venue.venue.word, "", subscriptions, symbols))


def symbols_in(document: object) -> set[str]:
    """Every text under a key ``s``."""
    if isinstance(document, dict):
        own = {document["s"]} if isinstance(document.get("s"), str) else set()
        return own.union(*map(symbols_in, document.values()))
    return set().union(*map(symbols_in, document)) if isinstance(document, list) else set()


def shown(item: Item, word: str = "binance") -> Expected:
    """An event as the oracle writes it; checks what the connection adds."""
    fields = {name: getattr(item, name) for name in item.__struct_fields__}
    assert fields.pop("exchange") == word
    assert fields.pop("receive_time_ns") == RECEIVED
    assert fields.pop("source").name == "WEBSOCKET"
    assert fields.pop("connection") == "unit-market-0"
    assert fields.pop("last_gap_ns") in (None, RECEIVED)
    return {"type": type(item).__name__, **{k: getattr(v, "name", v) for k, v in fields.items()}}


class Oracle:
    """One connection's worth: it remembers the funding it has seen, and how often it has seen each time. ``quoted``:
    turnovers are of the quote asset."""

    def __init__(self, quoted: bool = True) -> None:
        self._quoted = quoted
        self._times: Counter[tuple[str, str, int]] = Counter()
        self._funding: dict[str, tuple[str, int]] = {}

    def events(self, frame: bytes) -> list[Expected]:
        document = json.loads(frame)
        data, stream = (document["data"], document["stream"]) if "data" in document else (document, "")
        events = [event for one in (data if isinstance(data, list) else [data]) for event in self._one(one, stream)]
        return [event | self._without_name(event) for event in events]

    def _without_name(self, event: Expected) -> Expected:
        """Fields that a frame does not say."""
        kind = event["type"]
        if kind in ("Depth", "BookTicker"):
            return {"ordinal": 0}
        if kind not in ("Ticker", "MarkPrice", "FundingRate"):
            return {}
        time = kind, event["symbol"], event["event_time_ns"]
        self._times[time] += 1
        return {"ordinal": self._times[time] - 1} | ({"settled": False} if kind == "FundingRate" else {})

    def _one(self, d: dict[str, Any], stream: str) -> list[Expected]:
        read = {
            "aggTrade": self._trade,
            "trade": self._trade,
            "bookTicker": self._book_ticker,
            "depthUpdate": self._depth,
            "kline": self._kline,
            "24hrTicker": self._ticker,
            "markPriceUpdate": self._mark_price,
            "forceOrder": self._liquidation,
        }.get(d.get("e", ""))
        return read(d, stream) if read else []

    def _trade(self, d: dict[str, Any], stream: str) -> list[Expected]:
        aggregated = d["e"] == "aggTrade"
        number = d["a"] if aggregated else d["t"]
        return [
            {
                "type": "Trade",
                "symbol": d["s"],
                "event_time_ns": d["E"] * MS,
                "transaction_time_ns": d["T"] * MS,
                "trade_id": str(number),
                "trade_number": number,
                "price": d["p"],
                "quantity": d["q"],
                "buyer_is_maker": d["m"],
                "first_trade_id": d["f"] if aggregated else None,
                "last_trade_id": d["l"] if aggregated else None,
                "aggregated": aggregated,
            }
        ]

    def _book_ticker(self, d: dict[str, Any], stream: str) -> list[Expected]:
        return [
            {
                "type": "BookTicker",
                "symbol": d["s"],
                "event_time_ns": d["E"] * MS,
                "transaction_time_ns": d["T"] * MS,
                "update_id": d["u"],
                "bid_price": d["b"] or None,
                "bid_quantity": d["B"] or None,
                "ask_price": d["a"] or None,
                "ask_quantity": d["A"] or None,
            }
        ]

    def _depth(self, d: dict[str, Any], stream: str) -> list[Expected]:
        partial = re.search(r"@depth(\d+)", stream)
        return [
            {
                "type": "Depth",
                "symbol": d["s"],
                "event_time_ns": d["E"] * MS,
                "transaction_time_ns": d["T"] * MS,
                "update_type": "SNAPSHOT" if partial else "DELTA",
                "level_limit": int(partial[1]) if partial else 0,
                "first_update_id": d["U"],
                "last_update_id": d["u"],
                "previous_update_id": d["pu"],
                "bid_price": [level[0] for level in d["b"]],
                "bid_quantity": [level[1] for level in d["b"]],
                "ask_price": [level[0] for level in d["a"]],
                "ask_quantity": [level[1] for level in d["a"]],
            }
        ]

    def _kline(self, d: dict[str, Any], stream: str) -> list[Expected]:
        k = d["k"]
        return [
            {
                "type": "Kline",
                "symbol": d["s"],
                "event_time_ns": d["E"] * MS,
                "transaction_time_ns": None,
                "interval": k["i"],
                "open_time_ns": k["t"] * MS,
                "close_time_ns": k["T"] * MS,
                "open": k["o"],
                "high": k["h"],
                "low": k["l"],
                "close": k["c"],
                "volume": k["v"],
                "quote_volume": k["q"] if self._quoted else None,
                "trade_count": k["n"],
                "taker_buy_volume": k["V"],
                "taker_buy_quote_volume": k["Q"] if self._quoted else None,
                "closed": k["x"],
                "first_trade_id": None if k["f"] == -1 else k["f"],
                "last_trade_id": None if k["L"] == -1 else k["L"],
            }
        ]

    def _ticker(self, d: dict[str, Any], stream: str) -> list[Expected]:
        return [
            {
                "type": "Ticker",
                "symbol": d["s"],
                "event_time_ns": d["E"] * MS,
                "transaction_time_ns": None,
                "price_change": d["p"],
                "price_change_percent": d["P"],
                "weighted_average_price": d["w"],
                "last_price": d["c"],
                "last_quantity": d["Q"],
                "open": d["o"],
                "high": d["h"],
                "low": d["l"],
                "volume": d["v"],
                "quote_volume": d["q"] if self._quoted else None,
                "open_time_ns": d["O"] * MS,
                "close_time_ns": d["C"] * MS,
                "first_trade_id": d["F"],
                "last_trade_id": d["L"],
                "trade_count": d["n"],
            }
        ]

    def _mark_price(self, d: dict[str, Any], stream: str) -> list[Expected]:
        common = {"symbol": d["s"], "event_time_ns": d["E"] * MS, "transaction_time_ns": None}
        funded = bool(d.get("T")) and bool(d.get("r"))
        mark = {
            "type": "MarkPrice",
            **common,
            "mark_price": d["p"],
            "index_price": d.get("i") or None,
            "estimated_settle_price": d.get("P") or None,
            "funding_rate": d["r"] if funded else None,
            "next_funding_time_ns": d["T"] * MS if funded else None,
        }
        if not funded or self._funding.get(d["s"]) == (d["r"], d["T"]):
            return [mark]
        self._funding[d["s"]] = (d["r"], d["T"])
        funding = {
            "type": "FundingRate",
            **common,
            "funding_rate": d["r"],
            "next_funding_time_ns": d["T"] * MS,
            "mark_price": d["p"],
        }
        return [mark, funding]

    def _liquidation(self, d: dict[str, Any], stream: str) -> list[Expected]:
        o = d["o"]
        return [
            {
                "type": "Liquidation",
                "symbol": o["s"],
                "event_time_ns": d["E"] * MS,
                "transaction_time_ns": o["T"] * MS,
                "side": o["S"],
                "order_type": o["o"],
                "price": o["p"],
                "average_price": o["ap"],
                "quantity": o["q"],
                "filled_quantity": o["z"],
                "status": o["X"],
                "ordinal": 0,
            }
        ]
