"""A day of a market's trades as the file that Bybit publishes of derivatives, written from its description.

    BTCUSDT2026-08-22.csv.gz

A gzip of one CSV with a header. Each fill is a trade with an id of its own; times are seconds with four decimals; what
a trade is worth comes in scientific notation.
"""

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from wsadapter.embedded.market.channels import prints_of
from wsadapter.embedded.market.day_of_files import market_at, play
from wsadapter.embedded.market.market import Market
from wsadapter.embedded.market.streams import AggregateTrade, MarketStream, Offered, Push

EXCHANGES: Final = ("bybit", "bybit_inverse")
HEADER: Final = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional,RPI"


class TradeFile(MarketStream):
    """The lines of one symbol's file, as its market moves."""

    def __init__(self, market: Market) -> None:
        super().__init__(Offered("archive", "", "", market.symbol, 0), market)
        self.lines = [HEADER]

    def traded(self, deal: AggregateTrade, now_ms: int) -> Iterable[Push]:
        i = self.market.instrument
        for one in prints_of(deal):
            seconds = f"{one.time_ms // 1000}.{one.time_ms % 1000:03}{one.number % 10}"
            size, worth = i.quantity_text(one.quantity), i.quote_text(one.price * one.quantity)
            self.lines.append(
                f"{seconds},{i.symbol},{'Sell' if one.seller else 'Buy'},{size},{i.price_text(one.price)},PlusTick,"
                f"{one.uuid(i.symbol)},{float(worth) * 1e8:e},{size},{worth},0"
            )
        return ()


def write_day(directory: Path, exchange: str, symbol: str, date: str, seed: int = 0, steps: float = 4.0) -> list[Path]:
    """The file of a day (2026-11-26), in ``directory``."""
    market = market_at(symbol, date, seed, steps)
    files = TradeFile(market)
    play(market, files)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{symbol}{date}.csv.gz"
    # without a time of its own: the same bytes each time
    path.write_bytes(gzip.compress(("\n".join(files.lines) + "\n").encode(), mtime=0))
    return [path]
