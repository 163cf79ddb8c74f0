"""The consumer's counts: what came of every message, on its stats page. Main thread only.

Rows accepted and rejected are told apart by the server alone: a row's `batch` in table ``rejected`` is the token of its
insert. So tokens are kept until `settle` has the answer for them; until then their rows are in neither count.
"""

from collections.abc import Mapping, Set
from typing import Final

from wsadapter.batches import Batch
from wsadapter.histogram import Histogram
from wsadapter.landing import Landed
from wsadapter.stats import StatsPage
from wsadapter.streams import SPECS, StreamSpec

TOKENS: Final = 5_000
"""Inserts whose rejects are not known yet; with more (the question fails for long), their rows count as accepted."""


class Ledger:
    def __init__(self, page: StatsPage) -> None:
        self._page = page
        self._insert = Histogram(page, "insert_seconds")
        self._open: dict[str, tuple[str, int]] = {}
        """Token -> stream, rows that went into its table or into ``rejected``."""

    @property
    def tokens(self) -> list[str]:
        return list(self._open)

    def taken(self, spec: StreamSpec, batch: Batch) -> None:
        """A batch was cut."""
        self._add("consumed_total", spec.name, batch.rows + batch.redelivered + len(batch.letters))
        self._add("redelivered_total", spec.name, batch.redelivered)

    def landed(self, task: Landed, filtering: bool) -> None:
        """A batch is finished. ``filtering``: its view may pass over rows (open candles)."""
        page, name = self._page, task.partition.spec.name
        page["inserts_total"] += len(task.elapsed_ns)
        for elapsed in task.elapsed_ns:
            self._insert.observe(elapsed)
        for reason in task.dead:
            cell = f'dead_letters_total{{reason="{reason}"}}'
            page[cell if cell in page else 'dead_letters_total{reason="other"}'] += 1
        kept = task.sent_rows
        # the server counts the rows of the Null table and of each view
        if filtering and kept <= task.written_rows <= 2 * kept:
            kept = task.written_rows - kept
        for token in task.tokens[:1]:
            self._open[token] = name, kept
        for token in task.tokens[1:]:
            self._open[token] = name, 0
        if len(self._open) > TOKENS:
            self.settle(self.tokens, {})

    def retried(self) -> None:
        self._page["insert_retries_total"] += 1

    def settle(self, tokens: list[str], rejected: Mapping[str, int]) -> None:
        """These inserts had so many rejected rows, by stream."""
        kept = dict.fromkeys((spec.name for spec in SPECS), 0)
        for token in tokens:
            if entry := self._open.pop(token, None):
                kept[entry[0]] += entry[1]
        for name, rows in kept.items():
            self._add("accepted_rows_total", name, max(0, rows - rejected.get(name, 0)))
            self._add("rejected_rows_total", name, rejected.get(name, 0))

    def show(self, lag: Mapping[str, int], paused: Set[str]) -> None:
        for spec in SPECS:
            self._page[f'consumer_lag{{stream="{spec.name}"}}'] = lag.get(spec.name, 0)
            self._page[f'paused{{stream="{spec.name}"}}'] = int(spec.name in paused)

    def _add(self, name: str, stream: str, count: int) -> None:
        if count:
            self._page[f'{name}{{stream="{stream}"}}'] += count
