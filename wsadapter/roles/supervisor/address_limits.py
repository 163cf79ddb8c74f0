"""What a venue allows one address in all, and what the feeds of a configuration ask of it together."""

from collections import Counter
from collections.abc import Iterable

from wsadapter.config.model import Feed
from wsadapter.exchanges import load
from wsadapter.exchanges.planning import beyond_address
from wsadapter.exchanges.venue import ConnectionPlan


def exceeded(connections: Iterable[tuple[Feed, ConnectionPlan]]) -> list[tuple[str, str]]:
    """By key: which feeds ask for more, with all their redundant connections. What has a `ws_url` of its own goes to
    another place, whose limits nobody knows."""
    hosts: dict[tuple[str, bool], Counter[str]] = {}
    for feed, plan in connections:
        if not feed.ws_url:
            hosts.setdefault((feed.exchange, feed.testnet), Counter())[feed.name] += len(plan.subscriptions)
    return [
        ("feed", f"{', '.join(feeds)}: {error}")
        for (exchange, _), feeds in hosts.items()
        if (error := beyond_address(feeds.total(), load(exchange).address_streams, exchange))
    ]
