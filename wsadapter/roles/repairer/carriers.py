"""Which REST host is asked for what a gap lacks, and for which series. Pure.

An exchange may have several hosts here: its test network has other prices under the same names. A symbol's stream is of
one of them (`wsadapter.config.overlaps`), and no other one is asked for it. Owns neither queues nor hosts.
"""

from collections.abc import Sequence

from msgspec import Struct

from wsadapter.events import Gap
from wsadapter.exchanges.rest_api import RestExchange, Series
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.roles.repairer.gap_repair import LOOKED_UP
from wsadapter.roles.repairer.host_queue import HostQueue


class Carrier(Struct, frozen=True):
    """``series``: what is carried whose history ``rest`` has, at the host of the queue."""

    queue: HostQueue
    rest: RestExchange
    series: list[Series]


class Carriers:
    def __init__(self) -> None:
        self._connections: dict[tuple[str, str], Carrier] = {}
        """By venue and connection: a feed may go to another venue, and its connections keep their names."""
        self._symbols: dict[tuple[str, str], dict[HostQueue, Carrier]] = {}
        """By venue and symbol, of each host: what all connections carry. Without a symbol: all of the venue."""

    def add(self, plan: ConnectionPlan, queue: HostQueue, rest: RestExchange) -> list[Series]:
        """What the connection carries."""
        carrier = self._connections[plan.exchange, plan.connection] = Carrier(queue, rest, rest.series(plan))
        for series in carrier.series:
            for symbol in {series.symbol, ""}:
                hosts = self._symbols.setdefault((plan.exchange, symbol), {})
                hosts.setdefault(queue, Carrier(queue, rest, [])).series.append(series)
        return carrier.series

    def of(self, gap: Gap) -> Carrier | None:
        """Who is asked, and for what: as its connection has it."""
        carrier = self._connections.get((gap.exchange, gap.connection))
        return None if carrier is None else Carrier(carrier.queue, carrier.rest, series_of(gap, carrier.series))

    def of_moved(self, gap: Gap) -> Carrier | None:
        """The same of a symbol that another instance had then: as whoever has it now. Of one that nobody has any more
        the venue's host, where there is one alone."""
        hosts = self._symbols.get((gap.exchange, gap.symbol)) or self._symbols.get((gap.exchange, ""), {})
        for queue, carrier in hosts.items():
            if len(hosts) == 1 or carried_of(gap, carrier.series):
                return Carrier(queue, carrier.rest, series_of(gap, carrier.series))
        return None

    def with_stream(self, stream: str) -> dict[tuple[str, HostQueue], tuple[RestExchange, list[str]]]:
        """By venue and host the symbols whose stream it has, each once, however many connections carry it."""
        found: dict[tuple[str, HostQueue], tuple[RestExchange, list[str]]] = {}
        for (exchange, symbol), hosts in self._symbols.items():
            for queue, carrier in hosts.items():
                if symbol and any(series.stream == stream for series in carrier.series):
                    found.setdefault((exchange, queue), (carrier.rest, []))[1].append(symbol)
                    break
        return found


def series_of(gap: Gap, carried: Sequence[Series]) -> list[Series]:
    """Those of a connection's series that the gap is about; a gap of trades is about both kinds. A gap that names a
    series is about it, though a reload has taken it out of the plan."""
    found = carried_of(gap, carried)
    if not found and gap.symbol and gap.stream in LOOKED_UP:
        # raw trades were there if those of the symbols that stay are: nobody fetches them, so they are not repaired
        kinds = {each.stream for each in carried if each.stream in _words(gap)} or {gap.stream}
        found = [Series(kind, gap.symbol, gap.interval) for kind in sorted(kinds)]
    return found


def carried_of(gap: Gap, carried: Sequence[Series]) -> list[Series]:
    """Those of them that the gap is about."""
    return [
        series
        for series in carried
        if (not gap.stream or series.stream in _words(gap))
        and gap.symbol in ("", series.symbol)
        and gap.interval in ("", series.interval)
    ]


def _words(gap: Gap) -> tuple[str, ...]:
    return ("trade", "raw_trade") if gap.stream == "trade" else (gap.stream,)
