"""Closed candles whose trade ids do not chain, compared with the venue's REST answer: what differs is replaced.

Each candle begins with the trade after the last one of the candle before. `CandleChain` reads the closed candles of the
stream and answers with neighbours that do not fit; either may be wrong, so `CandleCheck` fetches both. Insurance fund
trades can break a chain that is right: the comparison finds no difference then. Candles without ids (no trades, or from
REST) prove nothing and break no chain. `CandleChain` and `differing` are pure.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from msgspec import Struct

from wsadapter.events import Kline
from wsadapter.events.streams import STEP_NS
from wsadapter.exchanges.rest_api import Hole, RestExchange
from wsadapter.roles.repairer.host_queue import RepairJob, Steps

MOST_SERIES: Final = 20_000
COMPARED: Final = (
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume",
)  # fmt: skip


class Suspects(Struct, frozen=True):
    """Two neighbours, as the stream told them."""

    exchange: str
    symbol: str
    interval: str
    candles: tuple[Any, Any]
    """Messages `wsadapter.v1.Kline`."""


class CandleChain:
    """The last closed candle of every series."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str], Any] = {}

    def add(self, candle: Any) -> Suspects | None:
        """A closed candle (message `wsadapter.v1.Kline`) of the stream."""
        if not candle.HasField("first_trade_id") or not candle.HasField("last_trade_id"):
            return None
        key = candle.exchange, candle.symbol, candle.interval
        before = self._last.get(key)
        if before is not None and candle.open_time_ns <= before.open_time_ns:
            return None  # another connection's copy, or an old one
        if before is None and len(self._last) >= MOST_SERIES:
            return None
        self._last[key] = candle
        if before is None or before.close_time_ns + STEP_NS != candle.open_time_ns:
            return None
        return Suspects(*key, (before, candle)) if candle.first_trade_id != before.last_trade_id + 1 else None


class CandleCheck(RepairJob):
    """A job. ``differing``: how many the stream had told otherwise."""

    urgent = False

    def __init__(self, suspects: Suspects, rest: RestExchange) -> None:
        super().__init__()
        self.lane = f"{suspects.exchange}:{suspects.symbol}:{suspects.interval}"
        self.differing = 0
        self._suspects, self._rest = suspects, rest

    def run(self) -> Steps:
        first, last = self._suspects.candles
        hole = Hole(
            "kline", self._suspects.symbol, first.open_time_ns, last.close_time_ns, first.open_time_ns,
            last.open_time_ns, self._suspects.interval,
        )  # fmt: skip
        self.differing = 0
        if (filling := self._rest.repair(hole)) is not None:
            yield from self.fill(hole, filling, self._replaced)

    def _replaced(self, candles: list[Kline]) -> list[Kline]:
        replaced = differing(self._suspects.candles, candles)
        self.differing += len(replaced)
        return replaced


def differing(streamed: Sequence[Any], true: Sequence[Kline]) -> list[Kline]:
    """Those of ``true`` (from REST) that say something else than the stream did."""
    by_open = {candle.open_time_ns: candle for candle in streamed}
    return [candle for candle in true if (own := by_open.get(candle.open_time_ns)) and not _same(own, candle)]


def _same(streamed: Any, true: Kline) -> bool:
    if streamed.trade_count != true.trade_count:
        return False
    return all(_number(getattr(streamed, name)) == _number(getattr(true, name)) for name in COMPARED)


def _number(text: str | None) -> Decimal | None:
    try:
        return Decimal(text or "0")
    except InvalidOperation:
        return None
