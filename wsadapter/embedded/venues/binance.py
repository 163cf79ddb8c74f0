"""Binance USD-M futures."""

from typing import Final

from wsadapter.embedded.exchange import binance_recording, binance_requests
from wsadapter.embedded.exchange.dialect import Dialect
from wsadapter.embedded.market import binance_load_feed, binance_rest, binance_streams
from wsadapter.embedded.market.instruments import DEMO

USDM: Final = Dialect(
    target=binance_requests.target,
    subscriptions=lambda goal, most: binance_requests.SocketSubscriptions(goal.names, goal.combined, most),
    offered=binance_streams.offered,
    rest=binance_rest.Rest,
    symbols=tuple(known.symbol for known in DEMO),
    load_feed=binance_load_feed.LoadFeed,
    recognised=binance_recording.recognised,
    symbols_in=binance_recording.symbols_in,
    spelled=str.upper,
)
