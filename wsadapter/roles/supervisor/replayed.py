"""What records a replayed file where the configuration names no feed: all that the venue offers of its symbols."""

from pathlib import Path
from typing import Final

from msgspec import structs

from wsadapter.config.model import Config, Feed
from wsadapter.config.types import INTERVALS
from wsadapter.embedded.demo import StandIns
from wsadapter.errors import ConfigError
from wsadapter.exchanges import load
from wsadapter.recordings import Header, Recording, is_recording

MOST_SYMBOLS: Final = 500
MOST_WITH_ALL_INTERVALS: Final = 20


def with_feeds(config: Config, stand_ins: StandIns) -> Config:
    """The same where nothing is replayed, or feeds are configured."""
    if not stand_ins.replay or config.feed:
        return config
    return structs.replace(config, feed=feeds(stand_ins.exchange, Path(stand_ins.replay)))


def feeds(exchange: str, file: Path) -> tuple[Feed, ...]:
    """One for all symbols of which the venue offers the same words."""
    from wsadapter.embedded.exchange import STAND_INS
    from wsadapter.embedded.exchange.dialects import dialect  # only a replay pays for what it imports
    from wsadapter.embedded.exchange.replay import symbols

    if is_recording(file) and (recorded := _recorded(Recording(file).header)) is not None:
        return (recorded,)
    spoken, base = dialect(exchange), STAND_INS[exchange].feed
    by_words: dict[tuple[str, ...], list[str]] = {}
    for symbol in symbols(file, spoken.symbols_in)[:MOST_SYMBOLS]:
        words = tuple(word for word in base.streams if any(map(spoken.offered, _names(base, symbol, word) or ())))
        if words:
            by_words.setdefault(words, []).append(symbol)
    if not by_words:
        raise ConfigError([("replay", f"{file} names no symbol: not a frame file of {exchange}")])
    made = []
    for number, (words, some) in enumerate(by_words.items()):
        polled = [word for word in base.streams if _names(base, some[0], word) == []]
        feed = structs.replace(
            base, name=exchange if not number else f"{exchange}-{number}", symbols=tuple(dict.fromkeys(some)),
            streams=(*words, *polled),
        )  # fmt: skip
        made.append(_with_intervals(feed))
    return tuple(made)


def _recorded(header: Header) -> Feed | None:
    """What the file says that was asked for; None where it does not say it."""
    if not (header.symbols and header.streams):
        return None
    return Feed(
        name=header.exchange, exchange=header.exchange, symbols=header.symbols, streams=header.streams,
        intervals=header.intervals or ("1m",), depth_levels=header.depth_levels, depth_speed=header.depth_speed,
    )  # fmt: skip


def _names(base: Feed, symbol: str, word: str) -> list[str] | None:
    """Of the streams; None for what the venue does not offer."""
    return _planned(structs.replace(base, symbols=(symbol,), streams=(word,)))


def _planned(feed: Feed) -> list[str] | None:
    try:
        plans = load(feed.exchange).plan(feed)
    except ConfigError:
        return None
    return [each.name for plan in plans for each in plan.subscriptions]


def _with_intervals(feed: Feed) -> Feed:
    """All that the venue has, where that is not too much: a file may hold any."""
    if "kline" not in feed.streams or len(feed.symbols) > MOST_WITH_ALL_INTERVALS:
        return feed
    one = structs.replace(feed, symbols=feed.symbols[:1], streams=("kline",))
    return structs.replace(
        feed, intervals=tuple(c for c in INTERVALS if _planned(structs.replace(one, intervals=(c,))))
    )
