"""The listings that the rules of feeds go by: what a poll brought is kept in the state directory, or refused.

A file is replaced whole and read back before it counts: the supervisor reads it when ``listings_total`` moves. Owns the
files ``listing-*.json`` of its sources.
"""

import contextlib
import os
import re
from collections.abc import Collection, Mapping

from wsadapter.exchanges import load_rest
from wsadapter.exchanges.rest_api import Instrument, Turnover
from wsadapter.files import StateDirectory
from wsadapter.listings import kept
from wsadapter.listings.feeds import ListingSource
from wsadapter.listings.kept import KeptListing
from wsadapter.log import Repeated, get_logger
from wsadapter.shm.stats_page import StatsPage

log = get_logger()


class ListingFiles:
    def __init__(self, state: StateDirectory, page: StatsPage, sources: Collection[ListingSource]) -> None:
        self._state, self._page, self._repeated = state, page, Repeated()
        self._files = {
            (each.exchange, each.host): state.file(kept.file_name(each.exchange, each.host), KeptListing, KeptListing())
            for each in sources
        }
        self._kept = {source: file.read() for source, file in self._files.items()}
        self._ranked = {(each.exchange, each.host): each.ranked for each in sources}
        self._forget_others()

    def put(
        self, exchange: str, host: str, instruments: list[Instrument], turnovers: Mapping[str, Turnover], now_ns: int
    ) -> list[Instrument]:
        """Keep it, where it is one of ours; the rows that it adds to the instruments: what is listed no more."""
        if (exchange, host) not in self._files:
            return []
        before, rest = self._kept[exchange, host], load_rest(exchange)
        before = before if before.host == host else KeptListing()
        after = kept.following(before, host, instruments, turnovers, now_ns)
        trading = rest.trading if rest is not None else ()
        if reason := kept.refused(before, after, trading, self._ranked[exchange, host]):
            self._page["listings_refused_total"] += 1
            if (kept_back := self._repeated(exchange)) is not None:
                log.error(
                    "listing refused, the old one stays", exchange=exchange, host=host, reason=reason,
                    remedy=f"if it is true remove {kept.file_name(exchange, host)} and restart", repeated=kept_back,
                )  # fmt: skip
            return []
        self._keep(exchange, host, before, after)
        return list(self._kept[exchange, host].gone)

    def _keep(self, exchange: str, host: str, before: KeptListing, after: KeptListing) -> None:
        if not self._files[exchange, host].write(after):
            return  # said; the next poll tries again
        if kept.read(self._state.path, exchange, host) != after:
            log.error("listing is not in its file as it was written", exchange=exchange, host=host)
            return
        self._kept[exchange, host] = after
        self._page["listings_total"] += 1
        was, now = ({each.symbol for each in listing.instruments} for listing in (before, after))
        if was != now:
            log.info(
                "listing changed", exchange=exchange, symbols=len(now), come=len(now - was), missing=len(was - now)
            )  # fmt: skip

    def _forget_others(self) -> None:
        """Files of addresses that no feed has any more."""
        ours = {kept.file_name(*source) for source in self._files}
        with contextlib.suppress(OSError):
            for name in os.listdir(self._state.path):
                if re.fullmatch(r"listing-[a-z0-9_]+-[0-9a-f]{8}\.json", name) and name not in ours:
                    os.unlink(os.path.join(self._state.path, name))
