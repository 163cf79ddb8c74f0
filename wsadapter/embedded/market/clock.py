"""The venue's own time, and the ids it has given out: both only ever grow, whatever is killed.

`MarketClock` runs at real pace from the later of the wall clock and what an earlier run may have reached, and jumps
forward on request (the demo ends a minute early). `MarketState` is the write-ahead file behind it: it names an upper
bound of the time and of each symbol's ids *before* anything below that bound is sent, so that after a kill -9 the
next run starts above all of it (and skips at most one reserve). A clean stop writes the exact values.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from wsadapter import files
from wsadapter.errors import WsadapterError

RESERVE_MS: Final = 20_000
RESERVE_IDS: Final = 2_000
FIRST_AGGREGATE_ID: Final = 2_900_000_000
FIRST_TRADE_ID: Final = 7_000_000_000


class Numbered(Protocol):
    """What gives out the ids of one symbol."""

    symbol: str
    next_aggregate_id: int
    next_trade_id: int


class _Kept(Struct, forbid_unknown_fields=True):
    market_ms: int = 0
    ids: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)


class MarketState:
    """The kept bounds; without a path they last as long as the object. One writer: the venue's process."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept = _Kept()
        if path is not None and path.exists():
            try:
                self._kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
            except msgspec.MsgspecError as error:
                message = f"{path} is not the venue's ledger ({error}); remove it to let market time start anew"
                raise WsadapterError(message) from error

    @property
    def market_ms(self) -> int:
        return self._kept.market_ms

    def first_ids(self, symbol: str) -> tuple[int, int]:
        """Aggregate and raw trade id for the symbol to begin with."""
        return self._kept.ids.get(symbol, (FIRST_AGGREGATE_ID, FIRST_TRADE_ID))

    def cover(self, now_ms: int, numbered: Iterable[Numbered]) -> None:
        """Before anything is sent: make sure that time and ids are below the kept bounds, with some to spare."""
        kept, stale = self._kept, False
        if now_ms + RESERVE_MS // 4 > kept.market_ms:
            kept.market_ms, stale = now_ms + RESERVE_MS, True
        for one in numbered:
            aggregate, trade = kept.ids.get(one.symbol, (0, 0))
            if one.next_aggregate_id > aggregate or one.next_trade_id > trade:
                kept.ids[one.symbol] = (one.next_aggregate_id + RESERVE_IDS, one.next_trade_id + 2 * RESERVE_IDS)
                stale = True
        if stale:
            self._write()

    def settle(self, now_ms: int, numbered: Iterable[Numbered]) -> None:
        """At a clean stop: the exact values, so that the next run continues without a hole in the ids."""
        self._kept.market_ms = now_ms + 1
        exact: dict[str, tuple[int, int]] = {}
        for one in numbered:
            aggregate, trade = exact.get(one.symbol, (0, 0))
            exact[one.symbol] = max(aggregate, one.next_aggregate_id), max(trade, one.next_trade_id)
        self._kept.ids |= exact
        self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        # not durable: the file guards against a killed process, whose writes the kernel keeps
        files.replace(self._path, msgspec.json.encode(self._kept))


class MarketClock:
    """Milliseconds since the epoch in market time."""

    def __init__(
        self,
        not_before_ms: int = 0,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._base_ms = max(wall_ms(), not_before_ms)
        self._started = monotonic()

    def now_ms(self) -> int:
        return self._base_ms + int((self._monotonic() - self._started) * 1000)

    def jump(self, milliseconds: int) -> None:
        """Forward only."""
        if milliseconds < 0:
            raise ValueError(f"market time never runs backwards ({milliseconds} ms)")
        self._base_ms += milliseconds

    def end_minute_in(self, seconds: float) -> None:
        """Jump, by less than a minute, to where the current minute has ``seconds`` left."""
        self.jump((60_000 - round(seconds * 1000) - self.now_ms()) % 60_000)
