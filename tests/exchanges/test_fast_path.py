"""The fast path in C and the decoders in Python say the same of every frame, and leave the same behind."""

import json
import random
from collections import Counter
from typing import Any

import pytest

from wsadapter import native
from wsadapter.events import StreamType
from wsadapter.exchanges import by_tag
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.binance.wire import AggTradeWire, BookTickerWire, DepthWire, Frame
from wsadapter.exchanges.by_tag import TagReceiver
from wsadapter.exchanges.fast_path import receiver_in_python
from wsadapter.exchanges.venue import ConnectionPlan, Item, Subscription

SYMBOLS = ("BTCUSDT", "币安人生USDT")


KINDS = ("aggTrade", "bookTicker", "24hrTicker", "depthUpdate", "kline", "markPriceUpdate", "forceOrder")
NAME = "btcusdt@aggTrade"
STREAM = Subscription(NAME, StreamType.TRADE, "BTCUSDT")


def venue() -> BinanceFutures:
    return BinanceFutures(ConnectionPlan("c-0", "binance", "", (STREAM,), SYMBOLS))


def frame(dice: random.Random, ids: dict[tuple[str, str], int]) -> bytes:
    """Mostly the next one of its series; sometimes a repeat, a hole, another symbol, a price that is none."""
    symbol = dice.choice((*SYMBOLS, *SYMBOLS, "ETHUSDT"))
    kind = dice.choice(KINDS)
    step = dice.choice((1, 1, 1, 1, 1, 0, -3, 5))
    number = ids[kind, symbol] = max(0, ids.get((kind, symbol), 2**60 if dice.random() < 0.1 else 7) + step)
    price = dice.choice(("57000.10", "1", "0.002") * 80 + ("", "1e5", "-1", "nan"))
    common: dict[str, Any] = {"e": kind, "E": 1_790_771_371_858, "s": symbol}
    if dice.random() < 0.2:
        common["st"] = dice.choice((1, 2))
    fields: dict[str, dict[str, Any]] = {
        "aggTrade": {"a": number, "p": price, "q": "0.1", "f": dice.choice((-1, 5)), "l": 5, "T": 1, "m": True},
        "bookTicker": {"u": number, "b": price, "B": "1", "a": "2", "A": dice.choice(("3", "")), "T": 1},
        "24hrTicker": {"c": price, "p": dice.choice(("-1.5", "1", "--1", "")), "n": 3, "C": 9},
    }
    if kind in ("kline", "markPriceUpdate", "forceOrder"):
        data = common | other(dice, kind, symbol, price)
        return json.dumps({"stream": f"{symbol.lower()}@{kind}", "data": data}).encode()
    if kind == "depthUpdate":
        return book(dice, common, price, number, step)
    data = common | fields[kind]
    return json.dumps(data if dice.random() < 0.1 else {"stream": f"{symbol.lower()}@{kind}", "data": data}).encode()


def other(dice: random.Random, kind: str, symbol: str, price: str) -> dict[str, Any]:
    if kind == "markPriceUpdate":
        return {"p": price, "r": dice.choice(("0.1",) * 4 + ("-0.2", "")), "T": dice.choice((5, 5, 5, 9, 0))}
    if kind == "forceOrder":
        side = dice.choice(("BUY", "SELL", "BUY", "SELL", "X"))
        return {"s": dice.choice(("", symbol)), "o": {"s": symbol, "S": side, "q": "1", "p": price, "T": 1}}
    opened = 60_000 * dice.randrange(1000, 1004)
    k = {"t": opened, "T": opened + 59_999, "i": dice.choice(("1m", "1m", "1h")), "x": dice.random() < 0.1, "n": 1}
    return {"k": {**k, "f": 1, "L": 2, "o": price, "c": "1", "h": "1", "l": "1", "v": "1"}}


def book(dice: random.Random, common: dict[str, Any], price: str, number: int, step: int) -> bytes:
    sides = [[price, "1"]] if dice.random() < 0.3 else [["57000.10", "1"], ["57000.00", "20.5"]]
    previous = dice.choice((number - step, number - step, number - step, -1, 3))
    data = common | {"T": 1, "U": number, "u": number, "pu": previous, "b": sides, "a": dice.choice((sides, []))}
    name = dice.choice(("depth@100ms", "depth@100ms", "depth20@100ms", "depth7", "nothing"))
    separators = dice.choice(((",", ":"), (",", ":"), (", ", ": ")))
    return json.dumps(
        {"stream": f"{common['s'].lower()}@{name}", "data": data}, separators=separators, ensure_ascii=False
    ).encode()


def state(made: BinanceFutures) -> list[Any]:
    s = made.sequences
    groups = (s.agg_trades, s.book_tickers, s.tickers, s.books, s.klines, s.mark_prices, s.liquidations)
    every = [one for group in groups for one in group.values()]
    return [
        made.published,
        *((one.next, one.at_ns, one.gap_ns, one.behind, one.grid) for one in every),
    ]


@pytest.mark.skipif(native.extension is None, reason="the C extension is not built")
@pytest.mark.parametrize("seed", range(8))
def test_both_ways_are_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice, ids = random.Random(seed), {}  # type: ignore[var-annotated]
    came: Counter[str] = Counter()
    took_the_rest: Counter[type] = Counter()

    def counted(self: TagReceiver, frame: Frame, at_ns: int) -> list[Item]:
        took_the_rest[type(frame.data)] += 1
        return accept(self, frame, at_ns)

    with monkeypatch.context() as patched:
        patched.setattr(by_tag, "receiver", receiver_in_python)
        slow = venue()
    accept = TagReceiver._accept_frame
    with monkeypatch.context() as patched:
        patched.setattr(TagReceiver, "_accept_frame", counted)
        fast = venue()
    for at_ns in range(1, 3500):
        payload = frame(dice, ids)
        came.update(kind for kind in KINDS if kind.encode() in payload)
        expected = slow.receive(payload, at_ns)
        assert fast.receive(payload, at_ns) == expected, payload
        assert state(fast) == state(slow), payload
        if dice.random() < 0.005:
            for each in (fast, slow):
                each.open()
        if dice.random() < 0.01:
            fast.last_gap_ns = slow.last_gap_ns = at_ns
        if dice.random() < 0.003:
            assert fast.silent(NAME, 1, at_ns) == slow.silent(NAME, 1, at_ns)
        assert fast.last_receive_ns == slow.last_receive_ns
    for kind, wire in (("aggTrade", AggTradeWire), ("bookTicker", BookTickerWire), ("depthUpdate", DepthWire)):
        assert 30 < took_the_rest[wire] < came[kind] - 20, kind
