"""Two candles that do not chain, compared with what the venue says over REST: it replaces what differs."""

from collections.abc import Sequence

from wsadapter.events import Event, Kline
from wsadapter.exchanges.rest_api import Hole, RestExchange
from wsadapter.roles.repairer.candle_chain import Suspects, differing
from wsadapter.roles.repairer.job import RepairJob


class CandleCheck(RepairJob):
    """A job. ``differing``: how many the stream had told otherwise."""

    def __init__(self, suspects: Suspects, rest: RestExchange) -> None:
        super().__init__()
        self.urgent = False
        self.lane = f"{suspects.exchange}:{suspects.symbol}:{suspects.interval}"
        self.differing = 0
        self._suspects = suspects
        first, last = suspects.candles
        series = "kline", suspects.symbol
        hole = Hole(
            *series, first.open_time_ns, last.close_time_ns, first.open_time_ns, last.open_time_ns, suspects.interval
        )
        if (repair := rest.repair(hole)) is not None:
            self._repairs.append((repair, lambda _: False))

    def prepare(self, now: float) -> bool:
        return True

    def take(self, body: bytes, received_ns: int) -> Sequence[Event]:
        true = [event for event in self._taken(body, received_ns) if isinstance(event, Kline)]
        found = differing(self._suspects.candles, true)
        self.differing += len(found)
        return found

    def closing(self) -> Sequence[Event]:
        return ()

    def close(self) -> None:
        """Nothing is under way."""
