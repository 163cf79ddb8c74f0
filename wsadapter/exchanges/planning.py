"""The connections that a feed needs: which streams of a venue, under which names, on which socket. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from wsadapter.config.symbol_rules import is_rule
from wsadapter.errors import ConfigError
from wsadapter.events import StreamType
from wsadapter.exchanges.placing import Placement, place
from wsadapter.exchanges.venue import Candles, Channel, ConnectionPlan, FeedSettings, Subscription, Venue

Carried = tuple[str, str, str]
"""Symbol, word of the configuration and interval."""


def carried(subscription: Subscription, plan: ConnectionPlan) -> tuple[Carried, ...]:
    """The series that a subscription brings; one without a symbol brings those of the plan."""
    symbols = (subscription.symbol,) if subscription.symbol else plan.symbols
    words = dict.fromkeys(subscription.feeds or (subscription.stream.value,))
    return tuple((symbol, word, subscription.interval) for symbol in symbols for word in words)


def stream_type(word: str) -> StreamType:
    """Of a word of the configuration."""
    return StreamType.TRADE if word == "raw_trade" else StreamType(word)


def plans(
    venues: Sequence[Venue], feed: FeedSettings, before: Placement = MappingProxyType({})
) -> list[ConnectionPlan]:
    """Connections of one root each, none with more streams than the venue allows; raises `ConfigError`. ``venues``: of
    one exchange, where its connections speak several protocols; the first says how symbols are written. ``before``:
    where streams are: those that stay stay there."""
    first, channels = venues[0], [channel for venue in venues for channel in venue.channels]
    polled = frozenset[str]().union(*(venue.polled for venue in venues))
    offered = {word for channel in channels for word in channel.words} | polled
    codes = dict.fromkeys(code for channel in channels for code in channel.intervals or ())
    errors = [("streams", f"unknown stream {word!r}") for word in feed.streams if word not in offered]
    if "kline" in feed.streams:
        known = " ".join(codes)
        errors += [("intervals", f"unknown interval {c!r}, only: {known}") for c in feed.intervals if c not in codes]
    if not feed.symbols or any(not s or is_rule(s) or not first.foreign.isdisjoint(s) for s in feed.symbols):
        errors.append(("symbols", "name each symbol: there is no wildcard"))
    if "kline" in feed.streams and not feed.intervals:
        errors.append(("intervals", "none, and kline needs one"))
    symbols = tuple(dict.fromkeys(map(first.spell, feed.symbols)))
    errors += [
        ("streams", f"{word} is not offered for {symbol}")
        for word in dict.fromkeys(feed.streams)
        for symbol in symbols
        if word in offered and not (word in polled or any(_channels(venue, feed, symbol, word) for venue in venues))
    ]
    if errors := errors + [error for venue in venues for error in venue.check(feed)]:
        raise ConfigError(errors)
    result = [plan for venue in venues for plan in _plans(venue, feed, symbols, before)]
    asked = 0 if feed.ws_url else sum(len(plan.subscriptions) for plan in result)
    if error := beyond_address(asked, first.limits.on_address, feed.exchange):
        raise ConfigError([("symbols", error)])
    return result


def beyond_address(asked: int, most: int, exchange: str) -> str:
    """Why so many subscriptions are refused, where the venue allows one address no more than ``most`` (0: it does not
    say); empty: they are not."""
    what = "name fewer symbols, streams or intervals, or record the rest from another address"
    return f"{asked} subscriptions, and {exchange} allows {most} an address: {what}" if 0 < most < asked else ""


def _plans(venue: Venue, feed: FeedSettings, symbols: tuple[str, ...], before: Placement) -> list[ConnectionPlan]:
    hosts, limits = venue.hosts, venue.limits
    base = (feed.ws_url or (hosts.testnet if feed.testnet else hosts.live)).rstrip("/")
    result = []
    for root, path in hosts.paths.items():
        where = hosts.shared.get(root, path) if feed.ws_url else path
        # a stream of the whole market is one, whatever symbols want it
        by_name = {each.name: each for symbol in symbols for each in _subscriptions(venue, feed, root, symbol)}
        was = _numbered(before, f"{feed.name}-{root}-")
        about_each = {name: each.symbol or symbols[0] for name, each in by_name.items()}
        for index, names in place(about_each, was, limits.streams, limits.octets).items():
            name, some = f"{feed.name}-{root}-{index}", tuple(by_name[each] for each in names)
            # in the order of its streams: another one in the file is no change
            about = dict.fromkeys(each.symbol for each in some if each.symbol)
            # of a stream of the whole market all that the feed has, else those that come over this connection
            of_all = any(not each.symbol for each in some)
            own = tuple(dict.fromkeys((*about, *(symbols if of_all else ()))))
            result.append(ConnectionPlan(name, feed.exchange, f"{base}{where}", some, own, root, hosts.headers))
    return result


def _numbered(before: Placement, prefix: str) -> dict[int, Sequence[str]]:
    """Of one class of connections."""
    numbers = {name: name.removeprefix(prefix) for name in before if name.startswith(prefix)}
    return {int(number): before[name] for name, number in numbers.items() if number.isdecimal()}


def _subscriptions(venue: Venue, feed: FeedSettings, root: str, symbol: str) -> list[Subscription]:
    names, result = {**venue.names(feed), "symbol": symbol, "lower": symbol.lower()}, []
    for channel in _channels(venue, feed, symbol):
        wanted = [word for word in channel.words if word in feed.streams]
        if channel.root != root or not wanted:
            continue
        stream = stream_type(wanted[0])
        feeds = tuple(wanted) if channel.words != (stream.value,) else ()
        by_successor = isinstance(channel.numbering, Candles) and channel.numbering.by_successor
        codes = channel.intervals
        for code in dict.fromkeys(c for c in feed.intervals if c in codes) if codes is not None else ("",):
            spelled = codes[code] if codes else ""
            name = _name(venue, channel, {**names, "interval": spelled})
            about = "" if channel.symbol else symbol
            result.append(Subscription(name, stream, about, code, feeds, by_successor))
    return result


def _name(venue: Venue, channel: Channel, said: Mapping[str, str]) -> str:
    try:
        return channel.name.format(**said)
    except LookupError as error:
        why = f"`names` does not say what {error} is"
        raise ConfigError([("exchange", f"{venue.word}: channel {channel.name!r}: {why}")]) from error


def _channels(venue: Venue, feed: FeedSettings, symbol: str, word: str = "") -> list[Channel]:
    """Those that there are for a symbol of the feed, of this word if one is named."""
    return [
        channel
        for channel in venue.channels
        if (not word or word in channel.words)
        and (channel.wanted is None or channel.wanted(feed))
        and (channel.offered is None or channel.offered(symbol))
    ]
