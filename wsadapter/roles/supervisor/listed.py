"""What the log says about the symbols that rules stand for: each that came or went, and why, and which feed waits."""

from collections.abc import Mapping
from typing import Final

from wsadapter.listings.feeds import FeedSymbols, ResolvedConfig, RuledFeed, market_of
from wsadapter.listings.kept import GONE, KeptListing
from wsadapter.log import get_logger
from wsadapter.times import SECOND

MOST_NAMED: Final = 10
"""Symbols that are left out, in one line."""


def say(resolved: ResolvedConfig, before: Mapping[str, FeedSymbols], now_ns: int) -> None:
    """``before``: what each feed stood for."""
    log = get_logger()
    for waiting in resolved.waiting:
        log.warning("feed waits for its listing", feed=waiting.feed, reason=waiting.reason)
    waits = {each.feed for each in resolved.waiting}
    for each in resolved.ruled:
        if each.feed.name in waits:
            continue
        if each.selection is not None and each.listing is None:
            log.warning("no listing is kept, the symbols are those of before", feed=each.feed.name)
        if each.selection is None or each.listing is None:
            continue
        feed, symbols, was = each.feed, each.selection.symbols, before.get(each.feed.name, FeedSymbols()).symbols
        age = max(0, now_ns - each.listing.fetched_ns) // SECOND
        log.info("symbols resolved", feed=feed.name, symbols=len(symbols), listing_age_seconds=age)
        for symbol in [symbol for symbol in symbols if symbol not in was] if was else ():
            log.info(
                "symbol picked up", feed=feed.name, exchange=feed.exchange, symbol=symbol, rule=symbols[symbol]
            )  # fmt: skip
        for symbol in [symbol for symbol in was if symbol not in symbols]:
            reason = _why_gone(each, each.listing, symbol)
            log.info("symbol drained", feed=feed.name, exchange=feed.exchange, symbol=symbol, reason=reason)
        if left_out := each.selection.unoffered:
            symbol, reason = next(iter(left_out.items()))
            log.info(
                "symbols left out", feed=feed.name, symbols=len(left_out), some=list(left_out)[:MOST_NAMED],
                reason=f"{symbol}: {reason}",
            )  # fmt: skip


def _why_gone(each: RuledFeed, listing: KeptListing, symbol: str) -> str:
    if symbol in market_of(each.feed.exchange, listing).trading:
        return "not of the rules any more"
    statuses = {one.symbol: one.status for one in (*listing.gone, *listing.instruments)}
    return f"status {statuses.get(symbol, GONE)}"
