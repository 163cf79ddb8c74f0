"""A day of a market as the files that Binance publishes of it, written from their description.

    BTCUSDT-1m-2026-11-26.zip      BTCUSDT-aggTrades-2026-11-26.zip
    BTCUSDT-trades-2026-11-26.zip  BTCUSDT-bookTicker-2026-11-26.zip

Each is a zip of one CSV, with its SHA-256 in a ``.CHECKSUM`` beside it. Those of futures have a header, milliseconds
and true; those of spot none, microseconds and True, a last column, and no best prices. The market is the loopback
venue's, drawn from the seed: the same day is the same files.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from wsadapter.embedded.market.candles import Candle, close_ms
from wsadapter.embedded.market.day_of_files import market_at, play
from wsadapter.embedded.market.market import Market
from wsadapter.embedded.market.streams import AggregateTrade, MarketStream, Offered, Push

SPOT: Final = "binance_spot"
EXCHANGES: Final = ("binance", "binance_coinm", SPOT)
HEADERS: Final = {
    "1m": "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore",
    "aggTrades": "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
    "trades": "id,price,qty,quote_qty,time,is_buyer_maker",
    "bookTicker": "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time",
}
_YEAR_MONTH_DAY: Final = (1980, 1, 1, 0, 0, 0)
"""Of the file in a zip: the same bytes each time."""


class DayOfFiles(MarketStream):
    """The lines of one symbol's files, as its market moves."""

    def __init__(self, market: Market, spot: bool) -> None:
        super().__init__(Offered("archive", "", "", market.symbol, 0), market)
        self._spot, self._best = spot, 0
        self.lines: dict[str, list[str]] = {word: [] for word in HEADERS if not (spot and word == "bookTicker")}

    def traded(self, deal: AggregateTrade, now_ms: int) -> Iterable[Push]:
        i, at, flag = self.market.instrument, self._time(deal.time_ms), self._flag(deal.seller)
        self.lines["aggTrades"].append(
            f"{deal.aggregate_id},{i.price_text(deal.price)},{i.quantity_text(deal.quantity)},{deal.first_id},"
            f"{deal.last_id},{at},{flag}"
        )
        for number, quantity in enumerate(deal.fills, deal.first_id):
            self.lines["trades"].append(
                f"{number},{i.price_text(deal.price)},{i.quantity_text(quantity)},"
                f"{i.quote_text(deal.price * quantity)},{at},{flag}"
            )
        return ()

    def best_changed(self, at_ms: int, now_ms: int) -> Iterable[Push]:
        i, book = self.market.instrument, self.market.book
        if not self._spot and book.update_id > self._best:
            self._best = book.update_id
            bid, bid_quantity, ask, ask_quantity = book.top()
            self.lines["bookTicker"].append(
                f"{book.update_id},{i.price_text(bid)},{i.quantity_text(bid_quantity)},{i.price_text(ask)},"
                f"{i.quantity_text(ask_quantity)},{self._time(at_ms)},{self._time(at_ms)}"
            )
        return ()

    def candle_closed(self, interval: str, candle: Candle, now_ms: int) -> Iterable[Push]:
        self.candle(interval, candle)
        return ()

    def candle(self, interval: str, candle: Candle) -> None:
        if interval == "1m":
            i, closes = self.market.instrument, close_ms(interval, candle.open_ms)
            self.lines["1m"].append(
                f"{self._time(candle.open_ms)},{i.price_text(candle.open)},{i.price_text(candle.high)},"
                f"{i.price_text(candle.low)},{i.price_text(candle.close)},{i.quantity_text(candle.volume)},"
                f"{f'{closes}999' if self._spot else closes},{i.quote_text(candle.quote)},{candle.trades},"
                f"{i.quantity_text(candle.buy_volume)},{i.quote_text(candle.buy_quote)},0"
            )

    def _time(self, ms: int) -> str:
        return f"{ms}000" if self._spot else str(ms)

    def _flag(self, true: bool) -> str:
        return f"{true},True" if self._spot else str(true).lower()


def write_day(directory: Path, exchange: str, symbol: str, date: str, seed: int = 0, steps: float = 4.0) -> list[Path]:
    """The files of a day (2026-11-26), in ``directory``; ``steps``: how busy the market was, in changes
    of its book every half minute."""
    market = market_at(symbol, date, seed, steps)
    files = DayOfFiles(market, exchange == SPOT)
    market.candles.roll(play(market, files), files.candle)
    directory.mkdir(parents=True, exist_ok=True)
    return [
        _write(directory, f"{symbol}-{word}-{date}", lines, "" if exchange == SPOT else HEADERS[word])
        for word, lines in files.lines.items()
    ]


def _write(directory: Path, name: str, lines: list[str], header: str) -> Path:
    path = directory / f"{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        content = "\n".join([header, *lines] if header else lines) + "\n"
        file.writestr(zipfile.ZipInfo(f"{name}.csv", _YEAR_MONTH_DAY), content, zipfile.ZIP_DEFLATED)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")
    return path
