"""Gaps that last, as the cells of a stats page hold them: under their full gap_id, for whoever has to end them.

Who publishes a gap without an end keeps it in its page until the end is in a ring: the ingest that of its connection
and those of its streams, the repairer those of the symbols that it polls. Its successor finds them there, whatever ring
it has, and so does the supervisor.

Cells: ``*_epoch`` and ``*_position`` are those of the gap's first ring record, the position + 1 (0 = no gap is open);
``*_started_ns``; of a connection's gap also its version and cause. A gap is given as it began, with its gap_id.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from wsadapter.events import Gap, Source
from wsadapter.events.gaps import GapCause, begin
from wsadapter.exchanges.rest_api import CONNECTION
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.metrics import GAP_CAUSES, SILENCES, polled
from wsadapter.roles.orders import Poll

STREAM_CELLS: Final = ("gap_epoch", "gap_position", "gap_started_ns")


def stream_cell(name: str, subscription: str) -> str:
    """A cell about the gap of one stream."""
    return f'{name}{{stream="{subscription}"}}'


def connection_gap(cells: Mapping[str, int], plan: ConnectionPlan) -> Gap | None:
    """The gap of a whole connection, of its ingest's page."""
    if not cells["gap_position"]:
        return None
    gap = begin(
        GapCause(GAP_CAUSES[cells["gap_cause"]]), cells["gap_started_ns"], cells["gap_started_ns"],
        exchange=plan.exchange, connection=plan.connection, gap_id=_gap_id(cells["gap_epoch"], cells["gap_position"]),
    )  # fmt: skip
    gap.version = cells["gap_version"]
    return gap


def stream_gaps(cells: Mapping[str, int], plan: ConnectionPlan) -> list[Gap]:
    """The silences of single streams, of an ingest's page."""
    found = []
    for subscription in plan.subscriptions:
        epoch, position, started_ns = (cells[stream_cell(name, subscription.name)] for name in STREAM_CELLS)
        if position:
            found.append(begin(
                GapCause.STALE, started_ns, started_ns, exchange=plan.exchange, connection=plan.connection,
                stream=subscription.stream.value, symbol=subscription.symbol, interval=subscription.interval,
                gap_id=_gap_id(epoch, position),
            ))  # fmt: skip
    return found


def polled_gaps(cells: Mapping[str, int], polls: Iterable[Poll]) -> list[Gap]:
    """The silences of polled symbols, of a repairer's page."""
    found = [polled_gap(cells, poll.exchange, symbol) for poll in polls for symbol in poll.symbols]
    return [gap for gap in found if gap is not None]


def polled_gap(cells: Mapping[str, int], exchange: str, symbol: str) -> Gap | None:
    """That of one symbol."""
    epoch, position, started_ns, cause = (cells[polled(name, exchange, symbol)] for name in SILENCES)
    if not position:
        return None
    return begin(
        GapCause(GAP_CAUSES[cause]), started_ns, started_ns, exchange=exchange, connection=CONNECTION,
        stream="open_interest", symbol=symbol, source=Source.REST, gap_id=_gap_id(epoch, position),
    )  # fmt: skip


def _gap_id(epoch: int, position: int) -> str:
    return f"{epoch}:{position - 1}"
