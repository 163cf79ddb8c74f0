"""What the supervisor tells a role to do."""

from msgspec import Struct


class Poll(Struct, frozen=True):
    """What a host is asked for, as the repairer is told of it. ``received``: when each was answered last in an earlier
    run, 0 = never."""

    exchange: str
    host: str
    symbols: tuple[str, ...]
    received: tuple[int, ...]
