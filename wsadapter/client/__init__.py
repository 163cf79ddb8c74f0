"""A feed's live events for a program of its own; the public face."""

from wsadapter.client.client import (
    Client,
    ClientStats,
    ConnectionConfig,
    EventHandler,
    GivenUp,
    StreamConfig,
    SubscriptionState,
)

__all__ = ["Client", "ClientStats", "ConnectionConfig", "EventHandler", "GivenUp", "StreamConfig", "SubscriptionState"]
