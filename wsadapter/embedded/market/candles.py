"""Candles of all fifteen intervals from one stream of trades.

A trade touches the current minute only; longer candles hold their finished minutes and get the current one added
when somebody looks. `roll` closes what has ended, each candle exactly once and in order. A market that starts in the
middle of an interval begins that candle with its first trade, like a newly listed symbol.
"""

from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

MINUTE: Final = 60_000
_HOUR: Final = 60 * MINUTE
_DAY: Final = 24 * _HOUR
_FIXED: Final[Mapping[str, int]] = {
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": _HOUR,
    "2h": 2 * _HOUR,
    "4h": 4 * _HOUR,
    "6h": 6 * _HOUR,
    "8h": 8 * _HOUR,
    "12h": 12 * _HOUR,
    "1d": _DAY,
    "3d": 3 * _DAY,
}
INTERVALS: Final = (*_FIXED, "1w", "1M")
KEPT: Final = 1500
"""Closed candles kept per interval, the most that REST hands out at once."""


def open_ms(interval: str, ms: int) -> int:
    """When the candle that holds ``ms`` opens."""
    if interval == "1w":
        # the epoch was a Thursday, weeks open on Monday
        return (ms + 3 * _DAY) // (7 * _DAY) * 7 * _DAY - 3 * _DAY
    if interval == "1M":
        return _ms(datetime.fromtimestamp(ms / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0))
    return ms // _FIXED[interval] * _FIXED[interval]


def close_ms(interval: str, opened: int) -> int:
    """The last millisecond of the candle that opened at ``opened``."""
    if interval == "1w":
        return opened + 7 * _DAY - 1
    if interval == "1M":
        first = datetime.fromtimestamp(opened / 1000, UTC)
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        return _ms(following) - 1
    return opened + _FIXED[interval] - 1


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


class Candle:
    """Integers in the instrument's units. Without trades all four prices are the last price and the ids are -1."""

    __slots__ = (
        "buy_quote",
        "buy_volume",
        "close",
        "first_id",
        "high",
        "last_id",
        "low",
        "open",
        "open_ms",
        "quote",
        "trades",
        "volume",
    )

    def __init__(self, opened_ms: int, price: int) -> None:
        self.open_ms = opened_ms
        self.open = self.high = self.low = self.close = price
        self.volume = self.quote = self.buy_volume = self.buy_quote = self.trades = 0
        self.first_id = self.last_id = -1

    def add(self, price: int, quantity: int, first_id: int, last_id: int, taker_buys: bool) -> None:
        """The raw trades ``first_id..last_id``, all at one price, ``quantity`` together."""
        if not self.trades:
            self.open = self.high = self.low = price
            self.first_id = first_id
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        self.last_id = last_id
        self.trades += last_id - first_id + 1
        self.volume += quantity
        self.quote += price * quantity
        if taker_buys:
            self.buy_volume += quantity
            self.buy_quote += price * quantity

    def append(self, later: "Candle") -> None:
        """Add what happened in ``later``."""
        if not later.trades:
            return
        if not self.trades:
            self.open, self.high, self.low, self.first_id = later.open, later.high, later.low, later.first_id
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close, self.last_id = later.close, later.last_id
        self.volume += later.volume
        self.quote += later.quote
        self.buy_volume += later.buy_volume
        self.buy_quote += later.buy_quote
        self.trades += later.trades

    def copy(self) -> "Candle":
        same = Candle(self.open_ms, self.close)
        same.append(self)
        return same


class Candles:
    """The open and the closed candles of one symbol."""

    def __init__(self, now_ms: int, price: int) -> None:
        self.minute = Candle(open_ms("1m", now_ms), price)
        self.minute_end_ms = self.minute.open_ms + MINUTE - 1
        self.closed: dict[str, deque[Candle]] = {interval: deque(maxlen=KEPT) for interval in INTERVALS}
        self._longer = {
            interval: Candle(open_ms(interval, now_ms), price) for interval in INTERVALS if interval != "1m"
        }

    def current(self, interval: str) -> Candle:
        """The open candle as of now."""
        if interval == "1m":
            return self.minute
        candle = self._longer[interval].copy()
        candle.append(self.minute)
        return candle

    def roll(self, now_ms: int, on_close: Callable[[str, Candle], None]) -> None:
        """Close everything that ended before ``now_ms``; minutes without trades are candles too."""
        while now_ms > self.minute_end_ms:
            minute, ended = self.minute, self.minute_end_ms
            self.minute = Candle(ended + 1, minute.close)
            self.minute_end_ms = ended + MINUTE
            self._close("1m", minute, on_close)
            for interval, candle in self._longer.items():
                candle.append(minute)
                if close_ms(interval, candle.open_ms) == ended:
                    self._longer[interval] = Candle(ended + 1, minute.close)
                    self._close(interval, candle, on_close)

    def _close(self, interval: str, candle: Candle, on_close: Callable[[str, Candle], None]) -> None:
        self.closed[interval].append(candle)
        on_close(interval, candle)

    def day(self) -> Candle:
        """The last 24 hours."""
        minutes = [*self.closed["1m"]][-1440:]
        first = minutes[0] if minutes else self.minute
        day = Candle(first.open_ms, first.open)
        for minute in (*minutes, self.minute):
            day.append(minute)
        return day
