"""The listing of a venue as the state directory keeps it: ``listing-<exchange>.json``, what the venue trades and turned
over when it was asked last.

The repairer writes it, whole or not at all; the supervisor and the commands read it. Guarantee: a listing that is empty
or has shrunk by more than half never takes the place of one (`refused`), and a symbol is gone when two listings in a
row do not have it: a venue's error must not end streams.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct, structs

from wsadapter.exchanges import load_rest
from wsadapter.exchanges.rest_api import Instrument, Turnover
from wsadapter.files import MAX_BYTES

GONE: Final = "delisted"
"""`Instrument.status` of what a venue lists no more."""
MOST_GONE: Final = 1_000
DOLLARS: Final = ("USDT", "USDC", "USD", "FDUSD", "BUSD", "TUSD", "USD1", "USDE", "DAI")
"""Currencies that count as one dollar each, in the order in which a price of another one in them is looked for."""


class KeptListing(Struct, frozen=True):
    """``volumes``: symbol -> turnover of 24 hours in dollars; none where it was not asked for.
    ``missing``: what the listing before had. ``gone``: what was listed once, with the row that says so, the newest
    last."""

    host: str = ""
    fetched_ns: int = 0
    instruments: tuple[Instrument, ...] = ()
    volumes: dict[str, Decimal] = {}
    missing: tuple[Instrument, ...] = ()
    gone: tuple[Instrument, ...] = ()


_decode: Final = msgspec.json.Decoder(KeptListing).decode


def file_name(exchange: str, host: str) -> str:
    """That of the live venue has its name alone."""
    rest = load_rest(exchange)
    live = rest is not None and host == rest.base(False)
    return f"listing-{exchange}{'' if live else '-' + hashlib.sha1(host.encode()).hexdigest()[:8]}.json"


def read(state_dir: str, exchange: str, host: str) -> KeptListing | None:
    """None where none is kept, or it cannot be read. Changes nothing."""
    try:
        fd = os.open(os.path.join(state_dir, file_name(exchange, host)), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(fd, "rb") as file:
            listing = _decode(file.read(MAX_BYTES))
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return listing if listing.host == host and listing.instruments else None


def following(
    before: KeptListing, host: str, instruments: Iterable[Instrument], turnovers: Mapping[str, Turnover], now_ns: int
) -> KeptListing:
    """The listing after ``before``."""
    listed = tuple({each.symbol: each for each in instruments}.values())
    symbols = {each.symbol for each in listed}
    missing = tuple(each for each in before.instruments if each.symbol not in symbols)
    left = [
        structs.replace(each, status=GONE, receive_time_ns=now_ns)
        for each in before.missing
        if each.symbol not in symbols
    ]
    gone = [each for each in before.gone if each.symbol not in symbols] + left
    return KeptListing(host, now_ns, listed, in_dollars(listed, turnovers), missing, tuple(gone[-MOST_GONE:]))


def refused(before: KeptListing, after: KeptListing, trading: Collection[str], ranked: bool) -> str:
    """Why ``after`` must not take the place of ``before``; empty where it may. ``trading``: words of a status.
    ``ranked``: whether the venue was asked for turnovers."""
    old, new = (sum(is_trading(each, trading) for each in listing.instruments) for listing in (before, after))
    if not new:
        return "nothing in it is traded"
    if 2 * new < old:
        return f"only {new} of {old} symbols are left"
    if ranked and 2 * len(after.volumes) < len(before.volumes):
        return f"only {len(after.volumes)} of {len(before.volumes)} turnovers are left"
    return ""


def is_trading(one: Instrument, trading: Collection[str]) -> bool:
    """``trading``: the venue's words for it; empty: it has none."""
    return not trading or one.status in trading


def in_dollars(instruments: Iterable[Instrument], turnovers: Mapping[str, Turnover]) -> dict[str, Decimal]:
    """Turnovers by one measure, with the venue's own last prices. A quote currency that no dollar has a price in, or
    that has none in dollars, makes 0."""
    by_pair = {(each.base_asset, each.quote_asset): turnovers.get(each.symbol) for each in instruments}
    rates = {dollar: Decimal(1) for dollar in DOLLARS}

    def rate(currency: str) -> Decimal:
        if currency not in rates:
            rates[currency] = next(_prices(by_pair, currency), Decimal(0))
        return rates[currency]

    return {
        each.symbol: turnovers[each.symbol].quote_volume * rate(each.quote_asset)
        for each in instruments
        if each.symbol in turnovers
    }


def _prices(by_pair: Mapping[tuple[str, str], Turnover | None], currency: str) -> Iterator[Decimal]:
    for dollar in DOLLARS:
        if (direct := by_pair.get((currency, dollar))) is not None and direct.last:
            yield direct.last
        if (inverse := by_pair.get((dollar, currency))) is not None and inverse.last:
            yield 1 / inverse.last
