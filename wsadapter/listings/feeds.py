"""The one place that says which symbols a configuration stands for: rules in, symbols out, by the kept listings.

A feed whose venue has no listing kept yet waits: only the symbols that it names run until there is one, and the other
feeds. What a feed stood for before (``symbols.json``, the supervisor's) goes in too, so that ranks may flap; with the
same rules it does without a listing. Reads files, changes none.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct, structs

from wsadapter.config.model import Config, Feed
from wsadapter.config.symbol_rules import Rules, is_rule, parsed
from wsadapter.config.types import checked_symbol
from wsadapter.errors import ConfigError
from wsadapter.exchanges import load, load_rest
from wsadapter.files import MAX_BYTES
from wsadapter.listings import kept
from wsadapter.listings.kept import KeptListing
from wsadapter.listings.selection import STAYS, Before, Market, Selection, select
from wsadapter.text import shown

SYMBOLS_FILE: Final = "symbols.json"


class FeedSymbols(Struct, frozen=True):
    """What the rules of a feed stood for. ``waits``: they came while it ran, no listing has said yet what they stand
    for, and the symbols are those that it had."""

    rules: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    ranked: dict[str, tuple[str, ...]] = {}
    waits: bool = False


Symbols = dict[str, FeedSymbols]
"""By the feed's name."""
_MARKET: Final = ("exchange", "testnet", "ws_url")
"""What a feed has in common with one whose symbols it may go on with."""
_symbols: Final = msgspec.json.Decoder(Symbols).decode


class ListingSource(Struct, frozen=True):
    """Whose listing is needed, and how often (seconds). ``ranked``: with turnovers."""

    exchange: str
    host: str
    seconds: float
    ranked: bool


class WaitingFeed(Struct, frozen=True):
    feed: str
    exchange: str
    reason: str


class RuledFeed(Struct, frozen=True):
    """A feed with rules. ``listing``: None where none is kept yet; ``selection``: None where the feed waits, and has
    nothing to go on with."""

    feed: Feed
    listing: KeptListing | None
    selection: Selection | None


class ResolvedConfig(Struct, frozen=True):
    """``config``: every feed with the symbols that it stands for; of those that wait the ones that have symbols."""

    config: Config
    ruled: tuple[RuledFeed, ...] = ()
    waiting: tuple[WaitingFeed, ...] = ()
    sources: tuple[ListingSource, ...] = ()

    @property
    def symbols(self) -> Symbols:
        waits = {each.feed for each in self.waiting}
        return {
            each.feed.name: FeedSymbols(
                each.feed.symbols, tuple(each.selection.symbols), each.selection.ranked, each.feed.name in waits
            )
            for each in self.ruled
            if each.selection is not None
        }

    @property
    def awaited(self) -> frozenset[str]:
        """Exchanges whose listing a feed waits for. One whose listing fits nothing waits for symbols that come."""
        waits = {each.feed for each in self.waiting}
        return frozenset(
            each.feed.exchange
            for each in self.ruled
            if each.feed.name in waits and not _says(each.listing, parsed(each.feed.symbols))
        )


def rest_host(feed: Feed) -> str:
    """Where what a feed needs over REST is asked for; empty where its venue has no REST side, or where the streams come
    from an address of the operator's own and its REST is not known: the live venue has another history."""
    rest = load_rest(feed.exchange)
    if rest is None or (feed.ws_url and not feed.rest_url):
        return ""
    return feed.rest_url or rest.base(feed.testnet)


Listings = Mapping[tuple[str, str], KeptListing]
"""By exchange and host."""


def resolved(
    config: Config, before: Symbols | None = None, listings: Listings = MappingProxyType({})
) -> ResolvedConfig:
    """``before``: what the rules stood for; None: as the supervisor has kept it. ``listings``: in place of kept ones.
    `ConfigError` for rules that cannot be resolved at all."""
    if not any(parsed(feed.symbols).any for feed in config.feed):
        return ResolvedConfig(config)
    before = kept_symbols(config.service.state_dir) if before is None else before
    feeds: list[Feed] = []
    ruled: list[RuledFeed] = []
    waiting: list[WaitingFeed] = []
    sources: dict[tuple[str, str], ListingSource] = {}
    errors: list[tuple[str, str]] = []
    for index, feed in enumerate(config.feed):
        rules = parsed(feed.symbols)
        if not rules.any:
            feeds.append(feed)
            continue
        if refused := _refused(config, feed, rules):
            errors += [(f"feed[{index}].{path}", message) for path, message in refused]
            continue
        host = rest_host(feed)
        _need(sources, ListingSource(feed.exchange, host, feed.listing_refresh, bool(rules.tops)))
        listing = listings.get((feed.exchange, host)) or kept.read(config.service.state_dir, feed.exchange, host)
        one, reason = _resolved(feed, rules, listing, host, before.get(feed.name, FeedSymbols()))
        ruled.append(one)
        waiting += [WaitingFeed(feed.name, feed.exchange, reason)] if reason else []
        symbols = rules.named if one.selection is None else tuple(one.selection.symbols)
        feeds += [structs.replace(feed, symbols=symbols)] if symbols else []
    if errors:
        raise ConfigError(errors)
    return ResolvedConfig(
        structs.replace(config, feed=tuple(feeds)), tuple(ruled), tuple(waiting), tuple(sources.values())
    )  # fmt: skip


def at_reload(config: Config, running: Config, symbols: Symbols) -> Symbols:
    """What goes into `resolved` where ``config`` takes the place of ``running``, whose rules stood for ``symbols``: a
    feed that gets other rules goes on with the symbols that it has until a listing says what they stand for."""
    before = dict(symbols)
    runs = {feed.name: feed for feed in running.feed}
    for feed in config.feed:
        then, stood_for = runs.get(feed.name), symbols.get(feed.name, FeedSymbols())
        if then is None:
            continue
        if any(getattr(then, key) != getattr(feed, key) for key in _MARKET):
            before.pop(feed.name, None)
        elif stood_for.rules != feed.symbols:
            has = tuple(dict.fromkeys((*parsed(feed.symbols).named, *then.symbols)))
            before[feed.name] = FeedSymbols(feed.symbols, has, stood_for.ranked, waits=True)
    return before


def kept_symbols(state_dir: str) -> Symbols:
    """Empty where nothing is kept, or it cannot be read."""
    try:
        fd = os.open(os.path.join(state_dir, SYMBOLS_FILE), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(fd, "rb") as file:
            return _symbols(file.read(MAX_BYTES))
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return {}


def _refused(config: Config, feed: Feed, rules: Rules) -> list[tuple[str, str]]:
    """What no listing would mend."""
    errors = []
    try:
        load(feed.exchange).plan(structs.replace(feed, symbols=rules.named))
    except ConfigError as error:
        errors += [(path, message) for path, message in error.errors if rules.named or path != "symbols"]
    rest = load_rest(feed.exchange)
    if rest is None:
        errors.append(("symbols", f"{feed.exchange} has no listing: name each symbol"))
    elif not rest_host(feed):
        errors.append(("symbols", "rules need a listing, which comes by REST: set rest_url beside ws_url"))
    elif rules.tops and not rest.ranks:
        errors.append(("symbols", f"top: goes by turnover, and no list of {feed.exchange} says that of all symbols"))
    if not config.process_of("repairer").count:
        errors.append(("symbols", "rules need a listing, which the repairer asks for: process.repairer.count is 0"))
    return errors


def _need(sources: dict[tuple[str, str], ListingSource], one: ListingSource) -> None:
    """As often as any feed wants it."""
    if (other := sources.get((one.exchange, one.host))) is not None:
        seconds, ranked = min(one.seconds, other.seconds), one.ranked or other.ranked
        one = structs.replace(one, seconds=seconds, ranked=ranked)
    sources[one.exchange, one.host] = one


def _resolved(
    feed: Feed, rules: Rules, listing: KeptListing | None, host: str, before: FeedSymbols
) -> tuple[RuledFeed, str]:
    """And why it waits, where it does."""
    if listing is None or not _says(listing, rules):
        missing = "listing" if listing is None else "turnovers"
        return _as_before(feed, listing, before, f"no {missing} of {feed.exchange} yet, asked for at {host}")
    market = market_of(feed.exchange, listing)
    fitting = tuple(symbol for symbol in (*market.trading, *market.halted) if not _unfit(symbol))
    offers_all = not _refusal(feed, fitting)  # a thousand times faster than one by one
    refusal = _unfit if offers_all else lambda symbol: _unfit(symbol) or _refusal(feed, (symbol,))
    selection = select(rules, market, Before(before.symbols, before.ranked), refusal)
    told = {shown(symbol) if _unfit(symbol) else symbol: reason for symbol, reason in selection.unoffered.items()}
    selection = structs.replace(selection, unoffered=told)
    if selection.symbols and (reason := _refusal(feed, (*selection.symbols,))):
        return _as_before(feed, listing, before, reason)  # all of them together are too many
    if selection.symbols:
        return RuledFeed(feed, listing, selection), ""
    if selection.unoffered:
        symbol, reason = next(iter(selection.unoffered.items()))
        return _as_before(feed, listing, before, f"no symbol of {feed.exchange} fits; {symbol}: {reason}")
    return _as_before(feed, listing, before, f"its rules fit no symbol that {feed.exchange} trades")


def _says(listing: KeptListing | None, rules: Rules) -> bool:
    """Whether it is there, with what the rules go by."""
    return listing is not None and bool(listing.volumes or not rules.tops)


def _as_before(feed: Feed, listing: KeptListing | None, before: FeedSymbols, reason: str) -> tuple[RuledFeed, str]:
    """Where nothing says what its rules stand for: a feed that runs is never left without a symbol."""
    symbols = before.symbols if before.rules == feed.symbols else ()
    if symbols and _refusal(feed, symbols):
        symbols = tuple(symbol for symbol in symbols if not _refusal(feed, (symbol,)))
    if not symbols:
        return RuledFeed(feed, listing, None), reason
    stays = RuledFeed(feed, listing, Selection(dict.fromkeys(symbols, STAYS), {}, before.ranked))
    return stays, f"{reason}; it goes on with what it has, symbols: {len(symbols)}" if before.waits else ""


def market_of(exchange: str, listing: KeptListing) -> Market:
    rest = load_rest(exchange)
    trading, halted = (rest.trading, rest.halted) if rest is not None else (frozenset[str](), frozenset[str]())
    return Market(
        [each.symbol for each in listing.instruments if kept.is_trading(each, trading)],
        [each.symbol for each in listing.instruments if each.status in halted]
        + [each.symbol for each in listing.missing],
        listing.volumes,
    )


def _unfit(symbol: str) -> str:
    """Why nobody could name this symbol of a listing in a configuration, in a line; empty where one could. It would
    travel into logs, URLs, keys and labels like any other."""
    try:
        return f"{shown(symbol)} would be a rule" if is_rule(checked_symbol(symbol)) else ""
    except ValueError as error:
        return str(error)


def _refusal(feed: Feed, symbols: tuple[str, ...]) -> str:
    """Why the venue does not offer the feed's streams for them; empty where it does."""
    try:
        load(feed.exchange).plan(structs.replace(feed, symbols=symbols))
    except ConfigError as error:
        return error.errors[0][1]
    return ""
