"""What the rules of feeds stand for, in words: for `validate`, `plan` and `check`."""

import time
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from wsadapter.config.model import Config
from wsadapter.errors import ServiceUnavailable
from wsadapter.listings.feeds import ListingSource, ResolvedConfig
from wsadapter.listings.kept import KeptListing, following, read, refused
from wsadapter.times import SECOND, short

ASK_SECONDS: Final = 30.0


class ResolvedFeed(Struct, frozen=True):
    """``symbols``: each with the rule that brought it in. ``listing``: when it was asked for, UTC; None: none kept.
    ``waits``: why the feed has no symbols, or those that it had before. ``left_out``: what cannot be recorded for the
    feed, and why."""

    feed: str
    exchange: str
    rules: list[str]
    listing: str | None
    listing_age_seconds: int | None
    symbols: dict[str, str]
    waits: str = ""
    left_out: dict[str, str] = {}


def listed_now(config: Config, sources: Iterable[ListingSource]) -> dict[tuple[str, str], KeptListing]:
    """What the venues list, asked of them within the budget of this address. `ServiceUnavailable` where one does not
    answer. Keeps nothing."""
    from wsadapter.exchanges import load_rest
    from wsadapter.files import StateDirectory
    from wsadapter.host_files import host_directory
    from wsadapter.rest.ask import ask
    from wsadapter.rest.host import RestHost

    found = {}
    state = StateDirectory(config.service.state_dir)
    for source in sources:
        rest = load_rest(source.exchange)
        assert rest is not None, "a source has one"
        host = RestHost(rest, source.host, state, host_directory(config.service.state_dir), lambda: None)
        traded = ask(host, rest.instruments(), ASK_SECONDS)
        turnovers = ask(host, rest.turnovers(), ASK_SECONDS) if source.ranked else {}
        before = read(config.service.state_dir, source.exchange, source.host) or KeptListing()
        listing = following(before, source.host, traded.instruments, turnovers, time.time_ns())
        if reason := refused(before, listing, rest.trading, source.ranked):
            raise ServiceUnavailable(f"{source.host}: its listing would be refused: {reason}")
        found[source.exchange, source.host] = listing
    return found


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
            listing = f"listing of {each.listing} UTC" if each.listing else "no listing kept: as before"
            yield f"feed {each.feed}: {rules}: {len(each.symbols)} symbols{out}, {listing}"
