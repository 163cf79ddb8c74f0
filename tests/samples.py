"""One event of every stream type, with every optional field present or absent; `random_event` makes more."""

import random
from enum import IntEnum
from typing import Any

from wsadapter.events import (
    BookTicker,
    Depth,
    Event,
    FundingRate,
    Gap,
    Kline,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Side,
    Source,
    Ticker,
    Trade,
    UpdateType,
)
from wsadapter.events.streams import SPECS, Column, columns

NS = 1_790_771_371_858_000_000


def trade(number: int, symbol: str = "BTCUSDT", receive_time_ns: int = NS) -> Trade:
    """A trade whose natural key is its number."""
    return Trade(
        "binance", symbol, NS + number, NS + number, receive_time_ns, Source.WEBSOCKET, "binance-market-0", None,
        str(number), number, "57000.10", "0.001", number % 2 == 0, number, number, True,
    )  # fmt: skip


def full() -> list[Event]:
    """Every field present."""
    head = ("binance", "BTCUSDT", NS, NS - 2_000_000, NS + 5, Source.WEBSOCKET, "binance-market-0", NS - 9)
    return [
        Kline(*head, "1m", NS, NS + 59_999_000_000, "1.10", "2.20", "0.90", "1.50", "1000.5", "1500.75", 42, "500",
              "750.125", True, 100, 141),
        Ticker(*head, "-131.40", "-0.786", "16628.97377498", "16584.6", "0.002", "16716.0", "16764.89", "16456.51",
               "122474.816", "2036102085.697464", NS - 86_400_000_000_000, NS, 2289691, 2432543, 142853, 1),
        Depth(*head, UpdateType.SNAPSHOT, 20, 157, 160, 149, ["0.0024", "0.0023"], ["10", "11.5"], ["0.0026"], ["100"],
              2),
        Trade(*head, "5933014", 5933014, "0.001", "100", True, 100, 105, True),
        FundingRate(*head, "-0.000100000000000001", NS + 28_800_000_000_000, "11794.15", True, 3),
        MarkPrice(*head, "11794.15000000", "11784.62659091", "11784.25641265", "0.00038167", NS + 1_000_000_000, 4),
        Liquidation(*head, Side.SELL, "LIMIT", "9910", "9910.12345678", "0.014", "0.014", "FILLED", 1),
        BookTicker(*head, 400900217, "25.35190000", "31.21", "25.3652", "40.66", 5),
        OpenInterest(*head, "84617.188", "4823179716.000000000000000001", 6),
        Gap(*head, "77:4096", 2, "trade", "1m", "ring_full", NS, NS + 7, 3, 9, 7, "open"),
    ]  # fmt: skip


def sparse() -> list[Event]:
    """Every field absent that may be."""
    head = ("binance", "币安人生USDT", None, None, NS + 5, Source.REST, "repair", None)
    return [
        Kline(*head, "1M", NS, NS + 1_000_000, "1", "1", "1", "1", "0", None, None, None, None, False, None, None),
        Ticker(*head, None, None, None, "1", None, None, None, None, None, None, None, None, None, None, None),
        Depth(*head, UpdateType.DELTA, 0, None, None, None, [], [], [], []),
        Trade(*head, "a-uuid", None, "1", "2", False, None, None, False),
        FundingRate(*head, "0", None, None),
        MarkPrice(*head, "1", None, None, None, None),
        Liquidation(*head, Side.BUY, None, "1", None, "2", None, None, 0),
        BookTicker(*head, None, None, None, None, None),
        OpenInterest(*head, "1", None),
        Gap(*head, "", 1, "", "", "connect", NS, None, None, None, None, "open"),
    ]


def random_trades(seed: int, count: int, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")) -> list[Trade]:
    rng = random.Random(seed)
    return [trade(number, rng.choice(symbols)) for number in range(1, count + 1)]


ENUM_MEMBERS: dict[str, list[IntEnum]] = {"source": [*Source], "update_type": [*UpdateType], "side": [*Side]}


def random_event(dice: random.Random) -> Event:
    """Any stream type, any optional field present or not, texts of any language, numbers of any size."""
    event: Any = dice.choice(SPECS).event
    made: Event = event(**{column.field: _random_value(column, dice) for column in columns(event)})
    return made


def _random_value(column: Column, dice: random.Random) -> object:
    if column.nullable and dice.random() < 0.4:
        return None
    if column.repeated:
        return [_random_text(dice) for _ in range(dice.randrange(4))]
    if column.enum:
        return dice.choice(ENUM_MEMBERS[column.field])
    if column.type == "Bool":
        return dice.random() < 0.5
    if column.implied:
        return dice.choice((0, 1, 127, 128, 2**31 - 1))
    if column.time or column.type == "Int64":
        return dice.choice((0, 1, -1, 127, 128, 2**63 - 1, -(2**63), dice.randrange(2**62)))
    return _random_text(dice)


def _random_text(dice: random.Random) -> str:
    return dice.choice(("", "0", "57000.10", "币安人生USDT", "é", "\x00", "x" * dice.randrange(100)))
