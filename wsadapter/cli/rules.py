"""What the rules of feeds stand for, in words: for `validate`, `plan` and `check`."""

import time
from collections.abc import Iterator

from msgspec import Struct

from wsadapter.listings.feeds import ResolvedConfig
from wsadapter.times import SECOND, short


class ResolvedFeed(Struct, frozen=True):
    """``symbols``: each with the rule that brought it in. ``listing``: when it was asked for, UTC; None: none kept.
    ``waits``: why the feed has no symbols. ``left_out``: what the venue does not offer for the feed, and why."""

    feed: str
    exchange: str
    rules: list[str]
    listing: str | None
    listing_age_seconds: int | None
    symbols: dict[str, str]
    waits: str = ""
    left_out: dict[str, str] = {}


def resolved_feeds(resolved: ResolvedConfig) -> list[ResolvedFeed]:
    reasons = {each.feed: each.reason for each in resolved.waiting}
    now_ns = time.time_ns()
    return [
        ResolvedFeed(
            each.feed.name, each.feed.exchange, list(each.feed.symbols),
            short(each.listing.fetched_ns)[:19] if each.listing else None,
            max(0, now_ns - each.listing.fetched_ns) // SECOND if each.listing else None,
            each.selection.symbols if each.selection else {},
            reasons.get(each.feed.name, ""),
            each.selection.unoffered if each.selection else {},
        )
        for each in resolved.ruled
    ]  # fmt: skip


def rules_shown(resolved: ResolvedConfig) -> Iterator[str]:
    """A line a feed."""
    for each in resolved_feeds(resolved):
        rules = " ".join(each.rules)
        if each.waits:
            yield f"feed {each.feed}: {rules}: {each.waits}"
        else:
            out = f", {len(each.left_out)} left out" if each.left_out else ""
            yield f"feed {each.feed}: {rules}: {len(each.symbols)} symbols{out}, listing of {each.listing} UTC"
