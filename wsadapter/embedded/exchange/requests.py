"""One connection's subscriptions: what every dialect's requests and answers have in common."""

from typing import Protocol

from msgspec import Struct


class Target(Struct, frozen=True):
    """What the URL of a connection says."""

    route: str
    combined: bool
    names: tuple[str, ...]


class SubscriptionReply(Struct, frozen=True):
    """The reply, whether it is an ack, and which names came and went. ``data_first``: the data of the new names goes
    out before the reply."""

    reply: bytes
    acked: bool = False
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    data_first: bool = False


class Subscriptions(Protocol):
    """``names``: what the connection has requested. ``combined``: whether an envelope is around the data."""

    names: dict[str, None]
    combined: bool

    def answer(self, request: bytes) -> SubscriptionReply:
        """Never raises, whatever the client sent."""
