"""A recorded file as one session reads it, without a socket."""

from pathlib import Path

from msgspec import structs

from wsadapter.config.load import Feed
from wsadapter.embedded.exchange.replay import open_lines
from wsadapter.events import Gap, MarketEvent
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import Acked, Bad, ClosesSoon, Refused, Reply


def in_one_session(feed: Feed, path: Path) -> list[MarketEvent]:
    """What a session with all subscriptions of a feed makes of the file."""
    plans = load(feed.exchange).plan(feed)
    plan = structs.replace(plans[0], subscriptions=tuple(each for one in plans for each in one.subscriptions))
    session, events = load(feed.exchange)(plan), list[MarketEvent]()
    session.open()
    with open_lines(path) as lines:
        for number, line in enumerate(filter(None, map(bytes.strip, lines)), 1):
            items = session.receive(line, number)
            events += (item for item in items if not isinstance(item, (Acked, Refused, Bad, ClosesSoon, Reply, Gap)))
    return events
