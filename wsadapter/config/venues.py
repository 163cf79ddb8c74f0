"""The venues as the configuration knows them: data only. Which of them are implemented says `wsadapter.exchanges`."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class VenueWord(Struct, frozen=True):
    """``upper_case``: the venue's own text of a symbol is upper case, and its API takes either: both are understood."""

    upper_case: bool = False


VENUES: Final[Mapping[str, VenueWord]] = {
    "binance": VenueWord(upper_case=True),
    "binance_spot": VenueWord(upper_case=True),
    "binance_coinm": VenueWord(upper_case=True),
    "bybit": VenueWord(upper_case=True),
    "bybit_spot": VenueWord(upper_case=True),
    "bybit_inverse": VenueWord(upper_case=True),
    "okx": VenueWord(),
    "kraken": VenueWord(),
    "kraken_futures": VenueWord(),
    "coinbase": VenueWord(),
    "deribit": VenueWord(),
    "gate": VenueWord(),
    "bitget": VenueWord(upper_case=True),
    "bitget_spot": VenueWord(upper_case=True),
    "hyperliquid": VenueWord(),
}
"""Exchange word -> what the configuration must know of it."""
EXCHANGES: Final = tuple(VENUES)
DEFAULT: Final = EXCHANGES[0]
"""The exchange of an environment, or a program, that names symbols only."""


def in_upper_case(exchange: object) -> bool:
    """Whether symbols of this exchange are converted to upper case; of an unknown one they are not."""
    return isinstance(exchange, str) and exchange in VENUES and VENUES[exchange].upper_case
