"""The Kafka messages of wsadapter, for programs that read its topics and want nothing else of it.

    from wsadapter_messages import parse

    trade = parse(message.topic(), message.value())

One message is one event: its value is the protobuf message of the topic, its key ``exchange:symbol``. `MESSAGES` has
the class of each topic, by what its name ends in (``websocket.trade`` -> ``trade``); ``market.proto`` beside this file
is the schema. Nothing is checked here: what came before (`identity`) and where gaps are, the program has to see itself,
or use ``wsadapter.reader``.
"""

import struct
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import Message

from wsadapter_messages import market_pb2
from wsadapter_messages.market_pb2 import (
    BookTicker,
    Coverage,
    Depth,
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

__all__ = [
    "MESSAGES", "BookTicker", "Coverage", "Depth", "FundingRate", "Gap", "Kline", "Liquidation", "MarkPrice",
    "OpenInterest", "Side", "Source", "Ticker", "Trade", "UpdateType", "identity", "market_pb2", "parse",
]  # fmt: skip

MESSAGES: Final[Mapping[str, type[Message]]] = {
    "kline": Kline,
    "ticker": Ticker,
    "depth": Depth,
    "trade": Trade,
    "funding_rate": FundingRate,
    "mark_price": MarkPrice,
    "liquidation": Liquidation,
    "book_ticker": BookTicker,
    "open_interest": OpenInterest,
    "gap": Gap,
    "coverage": Coverage,
}

_head = struct.Struct("<BQBQ").unpack_from  # fixed64 epoch = 1, fixed64 position = 2: tag byte and value, twice


def parse(topic: str, value: bytes) -> Any:
    """The message of a topic (`KeyError`: no topic of ours; `google.protobuf.message.DecodeError`: no such message)."""
    return MESSAGES[topic.rpartition(".")[2]].FromString(value)


def identity(value: bytes) -> tuple[int, int] | None:
    """Epoch and position without decoding; None where a message does not begin with them. A record that is sent again
    has the same ones: drop what is not above the last position of its epoch in its partition."""
    if len(value) < 18:
        return None
    first, epoch, second, position = _head(value)
    return (epoch, position) if (first, second) == (0x09, 0x11) else None
