"""The connections that a feed needs: which streams of a venue, under which names, on which socket. Pure."""

from wsadapter.errors import ConfigError
from wsadapter.events import StreamType
from wsadapter.exchanges.venue import ConnectionPlan, FeedSettings, Subscription, Venue


def stream_type(word: str) -> StreamType:
    """Of a word of the configuration."""
    return StreamType.TRADE if word == "raw_trade" else StreamType(word)


def plans(venue: Venue, feed: FeedSettings) -> list[ConnectionPlan]:
    """Connections of one root each, none with more streams than the venue allows; raises `ConfigError`."""
    offered = {word for channel in venue.channels for word in channel.words} | venue.polled
    codes = {code for channel in venue.channels for code in channel.intervals or ()}
    errors = [("streams", f"unknown stream {word!r}") for word in feed.streams if word not in offered]
    errors += [("intervals", f"unknown interval {code!r}") for code in feed.intervals if code not in codes]
    if not feed.symbols or any(not s or not venue.foreign.isdisjoint(s) for s in feed.symbols):
        errors.append(("symbols", "name each symbol: there is no wildcard"))
    if "kline" in feed.streams and not feed.intervals:
        errors.append(("intervals", "none, and kline needs one"))
    if errors := errors + venue.check(feed):
        raise ConfigError(errors)
    hosts, most = venue.hosts, venue.limits.streams
    symbols = tuple(dict.fromkeys(map(venue.spell, feed.symbols)))
    base = (feed.ws_url or (hosts.testnet if feed.testnet else hosts.live)).rstrip("/")
    result = []
    for root, path in hosts.paths.items():
        wanted = [each for symbol in symbols for each in _subscriptions(venue, feed, root, symbol)]
        for index, first in enumerate(range(0, len(wanted), most)):
            name, some = f"{feed.name}-{root}-{index}", tuple(wanted[first : first + most])
            result.append(ConnectionPlan(name, feed.exchange, f"{base}{path}", some, symbols))
    return result


def _subscriptions(venue: Venue, feed: FeedSettings, root: str, symbol: str) -> list[Subscription]:
    names, result = {**venue.names(feed), "symbol": symbol, "lower": symbol.lower()}, []
    for channel in venue.channels:
        wanted = [word for word in channel.words if word in feed.streams]
        if channel.root != root or not wanted or (channel.wanted and not channel.wanted(feed)):
            continue
        feeds = tuple(wanted) if channel.latest else ()
        for code in dict.fromkeys(feed.intervals) if channel.intervals else ("",):
            spelled = channel.intervals[code] if channel.intervals else ""
            name = channel.name.format(**names, interval=spelled)
            result.append(Subscription(name, stream_type(wanted[0]), symbol, code, feeds))
    return result
