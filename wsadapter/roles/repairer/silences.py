"""Silences of what is polled, as `Gap` events: open while they last, and their end under the same name. Pure.

Nobody keeps what open interest was: a silence that is over is ``unrepairable``. Which ones last is in the repairer's
page and moves with its ring's tail (`CELLS`): whoever follows a killed process ends the same gaps.
"""

from typing import Final

from wsadapter.events import Gap, Source
from wsadapter.exchanges.rest_api import CONNECTION
from wsadapter.kafka.gap_messages import next_state
from wsadapter.metrics import GAP_CAUSES, SILENCES, polled
from wsadapter.shm.stats_page import StatsPage

STREAM: Final = "open_interest"
POSITION, STARTED, CAUSE = SILENCES


def begun(exchange: str, symbol: str, cause: str, started_ns: int, now_ns: int) -> Gap:
    """A silence that lasts. The record names it: its ``gap_id`` is filled in when it is in the ring."""
    return Gap(
        exchange, symbol, None, None, now_ns, Source.REST, CONNECTION, None, "", 1, STREAM, "", cause, started_ns,
        None, None, None, None, "open",
    )  # fmt: skip


def over(gap: Gap, at_ns: int) -> Gap:
    """Its end."""
    end = next_state(gap, "unrepairable")
    if not gap.gap_id:
        end.version = 1  # it was never said
    end.ended_ns = end.receive_time_ns = at_ns
    return end


def cells(gap: Gap, position: int) -> dict[str, int]:
    """What the page says once ``gap`` is in the ring at ``position``."""
    about = gap.exchange, gap.symbol
    if gap.ended_ns is not None:
        return {polled(POSITION, *about): 0}
    return {
        polled(POSITION, *about): position + 1,
        polled(STARTED, *about): gap.started_ns,
        polled(CAUSE, *about): GAP_CAUSES.index(gap.cause),
    }


def lasting(page: StatsPage, exchange: str, symbol: str, epoch: int) -> Gap | None:
    """The silence of a symbol that an earlier process said, if it lasts."""
    position, started_ns, cause = (page[polled(name, exchange, symbol)] for name in SILENCES)
    if not position:
        return None
    gap = begun(exchange, symbol, GAP_CAUSES[cause], started_ns, started_ns)
    gap.gap_id = f"{epoch}:{position - 1}"
    return gap
