"""Which candles are suspected, and what is found to differ."""

from typing import Any

import pytest

from wsadapter.events import Kline, Source
from wsadapter.pb import market_pb2
from wsadapter.roles.repairer.candle_check import CandleChain, differing

MINUTE = 60_000_000_000
MS = 1_000_000


def candle(minute: int, first: int | None, last: int | None, interval: str = "1m", volume: str = "1") -> Any:
    said = market_pb2.Kline(
        exchange="binance", symbol="BTCUSDT", interval=interval, open_time_ns=minute * MINUTE,
        close_time_ns=(minute + 1) * MINUTE - MS, open="1", high="1", low="1", close="1", volume=volume,
        quote_volume="1", trade_count=1, taker_buy_volume="1", taker_buy_quote_volume="1", closed=True,
    )  # fmt: skip
    if first is not None and last is not None:
        said.first_trade_id, said.last_trade_id = first, last
    return said


def rest(minute: int, volume: str = "1.0", trades: int = 1) -> Kline:
    return Kline(
        "binance", "BTCUSDT", None, None, 1, Source.REST, "repair", None, "1m", minute * MINUTE,
        (minute + 1) * MINUTE - MS, "1.00", "1", "1", "1", volume, "1", trades, "1", "1", True, None, None,
    )  # fmt: skip


def test_a_chain_is_not_suspected() -> None:
    chain = CandleChain()
    assert [chain.add(candle(n, n * 10, n * 10 + 9)) for n in range(5)] == [None] * 5


@pytest.mark.parametrize("first", [19, 22, 1])
def test_a_break_suspects_both_neighbours(first: int) -> None:
    chain = CandleChain()
    before, after = candle(1, 10, 20), candle(2, first, 30)
    assert chain.add(before) is None
    suspects = chain.add(after)
    assert suspects is not None
    assert suspects.candles == (before, after)
    assert chain.add(candle(3, 31, 40)) is None


def test_what_proves_nothing() -> None:
    chain = CandleChain()
    chain.add(candle(1, 10, 20))
    assert chain.add(candle(2, None, None)) is None  # nobody traded, or from REST
    assert chain.add(candle(3, 50, 60)) is None  # no neighbour
    assert chain.add(candle(3, 10, 20)) is None  # another connection's copy
    assert chain.add(candle(4, 90, 99, interval="3m")) is None  # another series


def test_only_what_differs_is_replaced() -> None:
    said = [candle(1, 1, 2), candle(2, 4, 5, volume="7")]
    true = [rest(1), rest(2), rest(3)]
    assert differing(said, true) == [true[1]]
    assert differing(said[:1], [rest(1, trades=2)]) != []
    assert differing(said[:1], [rest(1, volume="1.01")]) != []
