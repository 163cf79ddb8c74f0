"""What a dialect of the stand-in is, and how one is declared: tables in, `Dialect` out."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from wsadapter.embedded.exchange import recording
from wsadapter.embedded.exchange.connection import Manners, VenueLimits
from wsadapter.embedded.exchange.listeners import PushSource
from wsadapter.embedded.exchange.recorded_events import Reading, Readings
from wsadapter.embedded.exchange.recording import StreamOf
from wsadapter.embedded.exchange.replay import Recogniser
from wsadapter.embedded.exchange.requests import DeclaredSubscriptions, Requests, Subscriptions, Target, paths
from wsadapter.embedded.market.channels import Channel, offering
from wsadapter.embedded.market.clock import MarketState
from wsadapter.embedded.market.markets import Markets
from wsadapter.embedded.market.rest import RestAnswers
from wsadapter.embedded.market.rest_tables import DeclaredRest, RestPaths
from wsadapter.embedded.market.streams import Offered

NowMs = Callable[[], int]


class Dialect(Struct, frozen=True, kw_only=True):
    """``target``: what a path asks for (None: no such path). ``subscriptions``: of a connection, for its target and the
    most streams. ``offered``: the stream of a name. ``rest``: the answers over the markets. ``limits``: the venue's
    rules of a connection. ``symbols``: those that exist before anybody asks; none: those of the demo's feed.
    ``load_feed``: where there is a blast. Of a recorded file: ``recognised``, the frame in a line, else ``stream_of``,
    the stream of a message, and ``recorded``, which events it is; ``symbols_in``: those that a line names.
    ``spelled``: how the venue writes a symbol of a stream's name, or of a configuration."""

    target: Callable[[str], Target | None]
    subscriptions: Callable[[Target, int], Subscriptions]
    offered: Callable[[str], Offered | None]
    rest: Callable[[Markets, NowMs], RestAnswers]
    limits: VenueLimits = VenueLimits()
    symbols: tuple[str, ...] = ()
    manners: Manners = Manners()
    load_feed: Callable[[Markets, float, int, MarketState, NowMs], PushSource] | None = None
    recognised: Recogniser | None = None
    stream_of: StreamOf | None = None
    recorded: tuple[Reading, ...] = ()
    spelled: Callable[[str], str] = str
    symbols_in: Callable[[bytes], Sequence[bytes]] = recording.symbols_in

    @property
    def recogniser(self) -> Recogniser:
        return self.recognised or recording.recogniser(
            self.stream_of, self.offered, Readings(self.recorded, self.spelled)
        )


def declared(
    *,
    routes: Mapping[str, str],
    symbol: str,
    channels: Sequence[Channel],
    requests: Requests | Mapping[str, Requests],
    rest: RestPaths,
    limits: VenueLimits,
    manners: Manners | None = None,
    stream_of: StreamOf | None = None,
    recorded: tuple[Reading, ...] = (),
) -> Dialect:
    """``routes``: path -> class of connection; ``requests``: of all, or of each class. ``symbol``: pattern of the
    venue's symbols. See `Dialect`."""
    offered = offering(channels, symbol)
    by_route = requests if isinstance(requests, Mapping) else dict.fromkeys(routes.values(), requests)
    return Dialect(
        target=paths(routes),
        subscriptions=lambda goal, most: DeclaredSubscriptions(by_route[goal.route], offered, goal.route, most),
        offered=offered,
        rest=lambda floor, now_ms: DeclaredRest(rest, floor, now_ms),
        limits=limits,
        manners=manners or Manners(),
        stream_of=stream_of,
        recorded=recorded,
    )
