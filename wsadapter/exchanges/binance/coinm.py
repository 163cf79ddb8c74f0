"""Binance COIN-M futures: contracts of a fixed number of dollars, settled in the coin.

Quantities are contracts, in every stream; how many dollars one is says table ``instrument``. What other markets call
quote volume is an amount of the coin here (``q`` and ``Q``), and is not published as one. One socket carries all
classes. Contracts with a delivery date have no funding. The bare names of the index (``btcusd``) and its streams are
none of ours.

Not verified: how long a request may be (4096 bytes, as of USD-M), whether ``@trade``, which is not documented, stays;
whether ``@forceOrder`` sends the latest or the largest order of a second.
"""

from wsadapter.exchanges.binance import wire
from wsadapter.exchanges.binance.futures import FUTURES_CADENCES, LIMITS, channels, check, framing, names
from wsadapter.exchanges.binance.tables import REQUESTS, control
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import Hosts, Venue


class BinanceCoinM(VenueSession):
    """Binance COIN-M futures."""

    rest = "wsadapter.exchanges.binance.coinm_rest:BinanceCoinMRest"
    archives = "wsadapter.exchanges.binance.archives:COIN_M"
    venue = Venue(
        word="binance_coinm",
        hosts=Hosts("wss://dstream.binance.com", "wss://dstream.binancefuture.com", {"all": "/stream"}),
        limits=LIMITS,
        requests=REQUESTS,
        framing=framing(other_family=wire.USD_M),
        channels=channels("all", "all", quoted=False),
        control=control,
        cadences=FUTURES_CADENCES,
        check=check,
        names=names,
        spell=str.upper,
        polled=frozenset({"open_interest"}),
        unread="ps",
        books_a_second=4.0,
    )
