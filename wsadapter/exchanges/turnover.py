"""What each symbol of a venue turned over within 24 hours, as tables: one `Tickers` a list of tickers. Pure.

    TICKERS = Tickers(Request("/v1/tickers"), rows_of, symbol="symbol", volume="quoteVolume", price="lastPrice")

For ranking alone (``top:N``), never recorded. Guarantees: `BadAnswer` is all that reading raises. A row that cannot be
read is left out; an answer of which none can be read is bad as a whole.
"""

from collections.abc import Generator, Iterable
from decimal import Decimal
from typing import Final

from msgspec import Raw, Struct, defstruct
from msgspec.json import Decoder

from wsadapter.exchanges.rest_api import BadAnswer, Fetch, Listed, Request, Turnover, elements
from wsadapter.exchanges.second_look import FAILURES

_string: Final = Decoder(str).decode


class Tickers:
    """``listed``: see `wsadapter.exchanges.rest_api.Listed`. Of a row: the fields that say its symbol, its last price
    and its volume, texts or numbers; ``in_base``: the volume counts the base currency, not the quote currency."""

    def __init__(
        self, request: Request, listed: Listed, *, symbol: str, volume: str, price: str,
        in_base: bool = False,
    ) -> None:  # fmt: skip
        self.request = request
        self._listed, self._in_base = listed, in_base
        row = defstruct("TickerRow", [(name, Raw) for name in ("symbol", "volume", "price")],
                        rename={"symbol": symbol, "volume": volume, "price": price})  # fmt: skip
        self._decode = Decoder(row).decode

    def parse(self, body: bytes, received_ns: int) -> dict[str, Turnover]:
        """Raises `BadAnswer` and nothing else."""
        rows = elements(self._listed, body)
        found = {}
        for row in rows:
            try:
                symbol, turnover = self._read(self._decode(row))
            except FAILURES:
                continue
            found[symbol] = turnover
        if rows and not found:
            raise BadAnswer("no ticker that can be read")
        return found

    def _read(self, row: Struct) -> tuple[str, Turnover]:
        symbol, volume, price = (_text(getattr(row, name)) for name in row.__struct_fields__)
        last, traded = Decimal(price), Decimal(volume)
        if not (last.is_finite() and traded.is_finite()) or last < 0 or traded < 0 or not symbol:
            raise ValueError("no turnover")
        return symbol, Turnover(traded * last if self._in_base else traded, last)


def _text(said: Raw) -> str:
    octets = bytes(said)
    return _string(octets) if octets[:1] == b'"' else octets.decode()


def turnovers(tickers: Iterable[Tickers]) -> Generator[Fetch, dict[str, Turnover], dict[str, Turnover]]:
    """All lists."""
    found: dict[str, Turnover] = {}
    for each in tickers:
        found |= yield Fetch(each.request, each.parse)
    return found
