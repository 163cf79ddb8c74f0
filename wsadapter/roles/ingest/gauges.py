"""What a connection counts, shown in the ingest's stats page.

The page's writer is the ingest process; `Gauges` copies into it at the pace of the role's tick.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from wsadapter.client.connect_limit import SharedLimiter
from wsadapter.client.connection import Connection
from wsadapter.client.subscriptions import SubscriptionState
from wsadapter.metrics import DRIFT_KINDS, NUMBERED_WORDS, RECONNECT_REASONS, STREAM_WORDS
from wsadapter.roles.ingest.recording_files import RecordedCount
from wsadapter.shm.stats_page import StatsPage

QUIET: Final = 4


class Gauges:
    """Copies what the connection counts into the page. Its counters begin at zero with each process, the page's count
    on; a kill forgets at most one tick of them. (What must balance is not here: `wsadapter.shm.ring_counters`.)"""

    def __init__(
        self,
        page: StatsPage,
        connection: Connection,
        limits: Sequence[SharedLimiter],
        recorded: RecordedCount,
        drift: Mapping[str, int],
    ) -> None:
        self._connection, self._limits, self._recorded, self._drift = connection, limits, recorded, drift
        self.move(page)
        counted = ("bytes_total", "error_count", "reconnect_count", "connection_attempts_total",
                   "connection_attempts_delayed_total", "state_write_failures_total",
                   "state_files_damaged_total", "recorded_frames_total", "recorded_bytes_total",
                   "recording_missing_total", "recording_failures_total")  # fmt: skip
        self._shown: dict[str, int] = {}
        self._same = 0
        self._before = {name: page[name] for name in counted}
        self._behind_before = {word: self._cells[index] for word, index in self._behind.items()}
        self._copies_before = {word: self._cells[index] for word, index in self._copies.items()}
        self._drift_before = {kind: self._cells[index] for kind, index in self._drifted.items()}
        self._reasons_before = {reason: self._cells[index] for reason, index in self._reasons.items()}

    def move(self, page: StatsPage) -> None:
        """Show it in this page from now on."""
        self._page, self._cells = page, page.cells
        self._streams = [
            (name, page.index(f'stream_state{{stream="{name}"}}'), page.index(f'stream_last_ns{{stream="{name}"}}'))
            for name in self._connection.exchange.last_receive_ns
        ]
        self._reasons = {r: page.index(f'reconnects_total{{reason="{r}"}}') for r in RECONNECT_REASONS}
        self._drifted = {kind: page.index(f'drift_total{{kind="{kind}"}}') for kind in DRIFT_KINDS}
        self._behind = {w: page.index(f'out_of_order_total{{stream="{w}"}}') for w in NUMBERED_WORDS}
        self._copies = {word: page.index(f'copies_total{{stream="{word}"}}') for word in STREAM_WORDS}

    @property
    def quiet(self) -> bool:
        """Nothing came, and nothing happened to the connection, for some ticks."""
        return self._same >= QUIET

    def refresh(self) -> None:
        page, connection, cells = self._page, self._connection, self._cells
        now = {
            "bytes_total": connection.tally.bytes,
            "error_count": connection.error_count,
            "reconnect_count": connection.losses,
            "connection_attempts_total": connection.dialer.dials,
            "connection_attempts_delayed_total": connection.dialer.delayed,
            "state_write_failures_total": sum(limit.file.failures for limit in self._limits),
            "state_files_damaged_total": sum(limit.file.damaged for limit in self._limits),
            "recorded_frames_total": self._recorded.frames,
            "recorded_bytes_total": self._recorded.octets,
            "recording_missing_total": self._recorded.missing,
            "recording_failures_total": self._recorded.failures,
        }
        self._same = self._same + 1 if now == self._shown else 0
        self._shown = now
        for name, count in now.items():
            page[name] = self._before[name] + count
        for reason, index in self._reasons.items():
            if count := connection.reconnects[reason]:
                cells[index] = self._reasons_before[reason] + count
        for kind, count in self._drift.items():
            cells[self._drifted[kind]] = self._drift_before[kind] + count
        for word, count in connection.copies.items():
            cells[self._copies[word]] = self._copies_before[word] + count
        for word, index in self._behind.items():
            cells[index] = self._behind_before[word] + connection.exchange.out_of_order[word]
        page['certificate_expiry_ns{of="venue"}'] = connection.dialer.certificate_expiry_ns
        page["connection_up"] = int(connection.connected_ns != 0)
        page["connected_since_ns"] = connection.connected_ns
        states = connection.subscriptions()
        up = connection.connected_ns != 0
        for name, state_index, last_index in self._streams:
            if name in states:  # else it has gone, and the page's next one is without it
                state, last_ns = states[name]
                cells[state_index] = state if up else SubscriptionState.REQUESTED
                cells[last_index] = last_ns
