"""Mutation: one quote of a replayed file is withheld from its client, and none of the product's numbers tells."""

import sys

if {"wsadapter.embedded.exchange", "wsadapter.supervision.fork_server"} & set(sys.orig_argv):
    from wsadapter.embedded.exchange.connection import VenueConnection

    _write, _quotes = VenueConnection._write, 0

    def _withholding(self: VenueConnection, frame: bytes) -> None:
        global _quotes
        _quotes += b'"futures.book_ticker","event":"update"' in frame
        if _quotes == 7:
            _quotes += 1
            return
        _write(self, frame)

    VenueConnection._write = _withholding  # type: ignore[method-assign]
