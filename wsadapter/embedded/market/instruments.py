"""What the loopback venue trades: ticks, steps and start prices, and the decimal text of integers.

Prices and quantities are integers everywhere in the venue (units of the last digit shown); they become text here and
nowhere else, never through a float. `instrument` knows the demo symbols, gives other venues' names of the same coins
the same digits and prices, and makes up any other one from its name, the same way in every run.
"""

import random
import re
from typing import Final

from msgspec import Struct, structs

USD_MARGINED: Final = 1
COIN_MARGINED: Final = 2


class MarketInstrument(Struct, frozen=True):
    """``tick`` is the price step in units of the last price digit; ``lot`` a usual quantity of one book level."""

    symbol: str
    price_digits: int
    tick: int
    quantity_digits: int
    price: int
    lot: int
    margin: int = USD_MARGINED

    @property
    def pair(self) -> str:
        return self.symbol.partition("_")[0]

    @property
    def quote_digits(self) -> int:
        """Digits of price times quantity."""
        return self.price_digits + self.quantity_digits

    def price_text(self, price: int) -> str:
        return text(price, self.price_digits)

    def quantity_text(self, quantity: int) -> str:
        return text(quantity, self.quantity_digits)

    def quote_text(self, quote: int) -> str:
        return text(quote, self.price_digits + self.quantity_digits)


def text(number: int, digits: int) -> str:
    """``number`` in units of the last of ``digits`` decimal places."""
    if number < 0:
        return "-" + text(-number, digits)
    if digits == 0:
        return str(number)
    whole = str(number).zfill(digits + 1)
    return f"{whole[:-digits]}.{whole[-digits:]}"


DEMO: Final = (
    MarketInstrument("BTCUSDT", 2, 10, 3, 8_386_020, 4_000),
    MarketInstrument("ETHUSDT", 2, 1, 3, 314_159, 20_000),
    MarketInstrument("SOLUSDT", 4, 100, 2, 1_451_600, 20_000),
    MarketInstrument("BNBUSDT", 3, 10, 2, 862_410, 900),
    MarketInstrument("XRPUSDT", 4, 1, 1, 21_843, 30_000),
    MarketInstrument("DOGEUSDT", 5, 1, 0, 18_231, 40_000),
)
COIN_M: Final = (
    MarketInstrument("BTCUSD_PERP", 1, 1, 0, 838_590, 9_000, COIN_MARGINED),
    MarketInstrument("ETHUSD_PERP", 2, 1, 0, 314_150, 6_000, COIN_MARGINED),
)
_KNOWN: Final = {known.symbol: known for known in DEMO + COIN_M}
_COINS: Final = {known.symbol.removesuffix("USDT"): known for known in DEMO} | {"XBT": DEMO[0], "XDG": DEMO[-1]}
_OF_COIN: Final = re.compile(rf"(?:P[FI]_)?({'|'.join(_COINS)})(?:$|[-_/:]|USD(?!T$))")


def instrument(symbol: str) -> MarketInstrument:
    """The demo's, or one made up from the name: five or six significant digits, far enough from zero to walk."""
    if symbol in _KNOWN:
        return _KNOWN[symbol]
    if found := _OF_COIN.match(symbol):
        return structs.replace(_COINS[found[1]], symbol=symbol)
    rng = random.Random(symbol)
    price_digits = rng.randrange(2, 6)
    quantity_digits = rng.randrange(0, 4)
    return MarketInstrument(
        symbol, price_digits, 1, quantity_digits, rng.randrange(20_000, 900_000), rng.randrange(900, 9_000)
    )
