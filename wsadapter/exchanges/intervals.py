"""The intervals of candles: how long each is, and when a candle that opens then closes. Pure."""

from datetime import UTC, datetime
from typing import Final

MS: Final = 1_000_000
MINUTES: Final = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720,
    "1d": 1440, "3d": 4320, "1w": 10_080, "1M": 44_640,
}  # fmt: skip
"""The longest month."""


def length_ms(interval: str) -> int:
    """At most; raises LookupError for what is none."""
    return 1000 if interval == "1s" else MINUTES[interval] * 60_000


def close_time_ns(open_ms: int, interval: str) -> int:
    """The last millisecond of a candle; a month's is that of the calendar. Raises ValueError or LookupError for what is
    no candle."""
    if interval != "1M":
        return (open_ms + length_ms(interval) - 1) * MS
    begin = datetime.fromtimestamp(open_ms / 1000, UTC)
    following = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return (int(following.timestamp()) * 1000 - 1) * MS
