"""Of frames made at random the scanner in C and the session say the same, and leave the same behind."""

import json
import random
from collections import Counter
from typing import Any

import pytest
from exchanges.scanning import built, state, twins

from wsadapter.events import StreamType
from wsadapter.exchanges.venue import ConnectionPlan, Subscription

SYMBOLS = ("BTCUSDT", "币安人生USDT")

STREAMS = {
    "aggTrade": StreamType.TRADE, "bookTicker": StreamType.BOOK_TICKER, "ticker": StreamType.TICKER,
    "depth@100ms": StreamType.DEPTH, "depth20@100ms": StreamType.DEPTH, "kline_1m": StreamType.KLINE,
    "markPrice@1s": StreamType.MARK_PRICE, "forceOrder": StreamType.LIQUIDATION,
}  # fmt: skip
NAMES = {
    "aggTrade": "aggTrade", "bookTicker": "bookTicker", "24hrTicker": "ticker", "kline": "kline_1m",
    "markPriceUpdate": "markPrice@1s", "forceOrder": "forceOrder",
}  # fmt: skip
KINDS = (*NAMES, "depthUpdate")
PLAN = ConnectionPlan(
    "c-0", "binance", "",
    tuple(Subscription(f"{symbol.lower()}@{name}", word, symbol, "1m" if word is StreamType.KLINE else "")
          for symbol in SYMBOLS for name, word in STREAMS.items()),
    SYMBOLS,
)  # fmt: skip


def frame(dice: random.Random, ids: dict[tuple[str, str], int]) -> bytes:
    """Mostly the next one of its series; sometimes a repeat, a hole, another symbol, a price that is none."""
    symbol = dice.choice((*SYMBOLS, *SYMBOLS, "ETHUSDT"))
    kind = dice.choice(KINDS)
    step = dice.choice((1, 1, 1, 1, 1, 0, -3, 5))
    number = ids[kind, symbol] = max(0, ids.get((kind, symbol), 10**17 if dice.random() < 0.1 else 7) + step)
    price = dice.choice(("57000.10", "1", "0.002") * 600 + ("", "1e5", "-1", "nan"))
    common: dict[str, Any] = {"e": kind, "E": 1_790_771_371_858, "s": symbol}
    if dice.random() < 0.2:
        common["st"] = dice.choice((1, 2))
    fields: dict[str, dict[str, Any]] = {
        "aggTrade": {"a": number, "p": price, "q": "0.1", "f": dice.choice((-1, 5)), "l": 5, "T": 1, "m": True},
        "bookTicker": {"u": number, "b": price, "B": "1", "a": "2", "A": dice.choice(("3", "")), "T": 1},
        "24hrTicker": {"c": price, "p": dice.choice(("-1.5", "1", "") * 50 + ("--1",)), "n": 3, "C": 9},
    }
    if kind in ("kline", "markPriceUpdate", "forceOrder"):
        data = common | other(dice, kind, symbol, price)
        return enveloped(dice, symbol, NAMES[kind], data)
    if kind == "depthUpdate":
        return book(dice, common, price, number, step)
    data = common | fields[kind]
    return enveloped(dice, symbol, NAMES[kind], data)


def enveloped(dice: random.Random, symbol: str, name: str, data: dict[str, Any]) -> bytes:
    document = data if dice.random() < 0.1 else {"stream": f"{symbol.lower()}@{name}", "data": data}
    return json.dumps(document, ensure_ascii=dice.random() < 0.1).encode()


def other(dice: random.Random, kind: str, symbol: str, price: str) -> dict[str, Any]:
    if kind == "markPriceUpdate":
        return {"p": price, "r": dice.choice(("0.1",) * 4 + ("-0.2", "")), "T": dice.choice((5, 5, 5, 9, 0))}
    if kind == "forceOrder":
        side = dice.choice(("BUY", "SELL") * 50 + ("X",))
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


@built
@pytest.mark.parametrize("seed", range(8))
def test_both_ways_are_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice, ids = random.Random(seed), {}  # type: ignore[var-annotated]
    came: Counter[str] = Counter()
    slowly: list[bytes] = []
    fast, slow = twins(PLAN, monkeypatch, slowly)
    for at_ns in range(1, 3500):
        payload = frame(dice, ids)
        came.update(kind_of(payload))
        expected = slow.receive(payload, at_ns)
        assert fast.receive(payload, at_ns) == expected, payload
        assert state(fast) == state(slow), payload
        if dice.random() < 0.005:
            assert fast.open() == slow.open()
        if dice.random() < 0.01:
            fast.last_gap_ns = slow.last_gap_ns = at_ns
        if dice.random() < 0.003:
            name = dice.choice(list(fast.subscriptions))
            assert fast.silent(name, 1, at_ns) == slow.silent(name, 1, at_ns)
        assert fast.last_receive_ns == slow.last_receive_ns
    passed_on = Counter(kind for payload in slowly for kind in kind_of(payload))
    for kind in KINDS:
        assert 30 < passed_on[kind] < came[kind] - 20, kind


@built
def test_a_symbol_that_is_not_ascii_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    slowly: list[bytes] = []
    fast, _ = twins(PLAN, monkeypatch, slowly)
    data = {"e": "aggTrade", "E": 1, "s": SYMBOLS[1], "p": "1", "q": "2", "f": 5, "l": 5, "T": 1, "m": True}
    whole = [json.dumps({"stream": f"{SYMBOLS[1].lower()}@aggTrade", "data": {**data, "a": number, "x": "币"}},
                        ensure_ascii=False).encode() for number in range(3)]  # fmt: skip
    broken = whole[2].replace('币"'.encode(), b'\xe5\xb8"')

    for payload in whole[:2]:
        (trade,) = fast.receive(payload, 1)
        assert trade.symbol == SYMBOLS[1]
    assert slowly == whole[:1], "the first one begins the series"
    fast.receive(broken, 1)
    assert slowly[1:] == [broken]


def kind_of(payload: bytes) -> list[str]:
    return [kind for kind in KINDS if f'"{kind}"'.encode() in payload]
