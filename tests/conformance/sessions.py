"""A recorded file as one session reads it, without a socket; one of each protocol, where the venue has several."""

from pathlib import Path

from msgspec import structs

from wsadapter.config.model import Feed
from wsadapter.embedded.exchange.replay import lines_of
from wsadapter.events import Gap, MarketEvent
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import Acked, Bad, ClosesSoon, ConnectionPlan, Refused, Reply


def in_one_session(feed: Feed, path: Path) -> list[MarketEvent]:
    """What a session with all subscriptions of a feed makes of the file."""
    venue, plans = load(feed.exchange), dict[type, list[ConnectionPlan]]()
    for plan in venue.plan(feed):
        plans.setdefault(type(venue(plan)), []).append(plan)
    events = list[MarketEvent]()
    for some in plans.values():
        session = venue(structs.replace(some[0], subscriptions=tuple(s for one in some for s in one.subscriptions)))
        session.open()
        with lines_of(path) as lines:
            for number, line in enumerate(filter(None, map(bytes.strip, lines)), 1):
                items = session.receive(line, number)
                events += (i for i in items if not isinstance(i, (Acked, Refused, Bad, ClosesSoon, Reply, Gap)))
    return events
