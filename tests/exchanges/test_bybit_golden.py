"""Bybit, every recorded and documented frame: its events as another reading of the raw JSON has them, or why there are
none."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from exchanges.readings import Expected, assert_read, ms, sides, texts
from frames_path import FRAMES

from wsadapter.config.model import Feed
from wsadapter.events import (
    BookTicker,
    Depth,
    FundingRate,
    Kline,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Side,
    Ticker,
    Trade,
    UpdateType,
)
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import Bad, Exchange, Refused, Reply

AT = 1_790_000_000_000_000_000
WORDS = {
    "bybit": ("trade", "depth", "kline", "ticker", "mark_price", "funding_rate", "open_interest", "book_ticker",
              "liquidation"),
    "bybit_spot": ("trade", "depth", "kline", "ticker", "book_ticker"),
}  # fmt: skip
WORDS["bybit_inverse"] = WORDS["bybit"]
CODES = {"1": "1m", "5": "5m"}


def lines() -> list[tuple[str, str, bytes]]:
    """Market of the directory, file, line."""
    if FRAMES is None:
        return []
    return [
        (directory, path.name, line)
        for directory in ("linear", "inverse", "spot")
        for path in sorted((FRAMES / f"bybit_{directory}").glob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


LINES = lines()


def market_of(directory: str, document: dict[str, Any]) -> str:
    """The documentation shows tickers of spot among those of contracts."""
    data = document.get("data")
    if directory == "spot" or (isinstance(data, dict) and "usdIndexPrice" in data):
        return "bybit_spot"
    return "bybit_inverse" if directory == "inverse" else "bybit"


def reason_for_none(document: dict[str, Any]) -> str:
    """Why a frame gives no event: it is none of a stream that is asked for."""
    topic = document.get("topic", "")
    if "retCode" in document:
        return "REST"
    if not topic:
        return "answer" if {"success", "op"} & set(document) and "args" not in document else "request or pong"
    if topic.startswith(("adlAlert.", "insurance.", "priceLimit.", "orderbook.rpi.", "orderbook.full.")):
        return "another stream"
    if topic.startswith("trade.linear."):
        return "no such topic"
    return "an option" if topic.endswith("-C") else ""


def session(market: str, symbol: str, levels: int = 50) -> Exchange:
    feed = Feed("b", market, (symbol,), WORDS[market], tuple(CODES.values()), depth_levels=levels)
    venue = load(market)
    (plan,) = venue.plan(feed)
    made = venue(plan)
    requests = made.open()
    while requests:
        identity = json.loads(requests.pop(0))["req_id"]
        answer = json.dumps({"success": True, "ret_msg": "", "req_id": identity, "op": "subscribe"}).encode()
        requests += [item.payload for item in made.receive(answer, AT) if isinstance(item, Reply)]
    return made


def expected(document: dict[str, Any], market: str, state: dict[str, str]) -> Iterator[Expected]:
    """``state``: of the ticker, before this frame; it is brought up to date."""
    topic, data, sent = document["topic"].split("."), document["data"], ms(document["ts"])
    is_inverse = market == "bybit_inverse"
    match topic[0]:
        case "publicTrade":
            for row in data:
                yield Trade, {
                    "event_time_ns": sent, "transaction_time_ns": ms(row["T"]), "trade_id": row["i"], "price": row["p"],
                    "quantity": row["v"], "buyer_is_maker": row["S"] == "Sell", "aggregated": False,
                }  # fmt: skip
        case "allLiquidation":
            for row in data:
                yield Liquidation, {
                    "event_time_ns": sent, "transaction_time_ns": ms(row["T"]), "price": row["p"], "quantity": row["v"],
                    "side": {"Buy": Side.SELL, "Sell": Side.BUY}[row["S"]],
                }  # fmt: skip
        case "kline":
            for row in data:
                yield Kline, {
                    "event_time_ns": sent, "interval": CODES[row["interval"]], "open_time_ns": ms(row["start"]),
                    "close_time_ns": ms(row["end"]), "volume": row["volume"], "closed": row["confirm"],
                    "quote_volume": row["turnover"], **{name: row[name] for name in ("open", "high", "low", "close")},
                }  # fmt: skip
        case "orderbook" if topic[1] == "1" and market == "bybit_spot":
            (bid,), (ask,) = data["b"], data["a"]
            yield BookTicker, {
                "event_time_ns": sent, "transaction_time_ns": ms(document.get("cts")), "update_id": int(data["u"]),
                "bid_price": bid[0], "bid_quantity": bid[1], "ask_price": ask[0], "ask_quantity": ask[1],
            }  # fmt: skip
        case "orderbook":
            is_snapshot, number = document["type"] == "snapshot", int(data["u"])
            yield Depth, {
                "event_time_ns": sent, "transaction_time_ns": ms(document.get("cts")), "last_update_id": number,
                "first_update_id": number, "previous_update_id": None if is_snapshot else number - 1,
                "update_type": UpdateType.SNAPSHOT if is_snapshot else UpdateType.DELTA,
                "level_limit": int(topic[1]) if is_snapshot else 0, **sides(data["b"], data["a"]),
            }  # fmt: skip
        case "tickers":
            if document["type"] == "snapshot":
                state.clear()
            state.update(data)
            now = {name: text or None for name, text in state.items()}
            next_funding = ms(now.get("nextFundingTime"))
            if {"lastPrice", "volume24h", "turnover24h"} & set(data):
                yield Ticker, {
                    "event_time_ns": sent, "last_price": now["lastPrice"], "open": now["prevPrice24h"],
                    "high": now["highPrice24h"], "low": now["lowPrice24h"], "volume": now["volume24h"],
                    "quote_volume": None if is_inverse else now["turnover24h"],
                }  # fmt: skip
            if market == "bybit_spot":
                return
            if {"markPrice", "indexPrice"} & set(data):
                yield MarkPrice, {
                    "event_time_ns": sent, "mark_price": now["markPrice"], "index_price": now["indexPrice"],
                    "funding_rate": now["fundingRate"], "next_funding_time_ns": next_funding,
                }  # fmt: skip
            if {"fundingRate", "nextFundingTime"} & set(data) and now["fundingRate"]:
                yield FundingRate, {
                    "event_time_ns": sent, "funding_rate": now["fundingRate"], "next_funding_time_ns": next_funding,
                    "mark_price": now["markPrice"],
                }  # fmt: skip
            if "openInterest" in data:
                yield OpenInterest, {
                    "event_time_ns": sent, "open_interest": now["openInterest"],
                    "open_interest_value": None if is_inverse else now["openInterestValue"],
                }  # fmt: skip
            if {"bid1Price", "bid1Size", "ask1Price", "ask1Size"} & set(data):
                yield BookTicker, {
                    "event_time_ns": sent, "bid_price": now["bid1Price"], "bid_quantity": now["bid1Size"],
                    "ask_price": now["ask1Price"], "ask_quantity": now["ask1Size"],
                }  # fmt: skip


def begin_book(made: Exchange, document: dict[str, Any]) -> None:
    """A snapshot that the recorded change continues."""
    before = {**document, "type": "snapshot", "ts": int(document["ts"]), "cts": None}
    before["data"] = {**document["data"], "u": int(document["data"]["u"]) - 1}
    made.receive(json.dumps(before).encode(), AT)


@pytest.mark.parametrize("index", range(len(LINES)), ids=lambda i: f"{LINES[i][0]}-{LINES[i][1]}-{i}")
def test_every_frame(index: int) -> None:
    directory, _, line = LINES[index]
    document = texts(line)
    market = market_of(directory, document)
    if reason_for_none(document):
        return
    symbol = document["topic"].rpartition(".")[2]
    topic = document["topic"].split(".")
    made = session(market, symbol, int(topic[1]) if topic[0] == "orderbook" and topic[1] != "1" else 50)
    state: dict[str, str] = {}
    if document["type"] == "delta" and topic[0] == "tickers":  # its snapshot is the line before
        before = LINES[index - 1][2]
        made.receive(before, AT)
        list(expected(texts(before), market, state))
    elif document["type"] == "delta":
        begin_book(made, document)

    assert_read(made.receive(line, AT + 1), list(expected(document, market, state)), market, symbol)


def test_frames_that_are_no_events_are_told_by_their_reasons() -> None:
    if not LINES:
        pytest.skip("the recorded frames (../shared/frames) are not here")
    reasons: Counter[str] = Counter()
    for directory, _, line in LINES:
        document = json.loads(line)
        market = market_of(directory, document)
        reason = reason_for_none(document)
        reasons[reason] += 1
        if not reason or reason == "REST":
            continue
        items = session(market, "BTCUSDT").receive(line, AT)
        said = [item.kind for item in items if isinstance(item, Bad)]
        if reason == "answer":
            assert said == [] or document.get("op") == "auth" or "type" in document, line
            assert any(isinstance(item, Refused) for item in items) == (document.get("success") is False)
        elif reason == "request or pong":
            assert said == ([] if document.get("op") == "pong" else ["unknown_event"]), line
        else:
            assert said == ["foreign_symbol"], line
    assert reasons[""] >= 43, "frames with events are none of these"
