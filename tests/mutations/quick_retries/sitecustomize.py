"""The consumer repeats a refused insert at once and not after up to ten seconds: as often, in a tenth of the time."""

import sys

if {"wsadapter.roles.consumer", "wsadapter.supervision.fork_server"} & set(sys.orig_argv):
    from wsadapter.backoff import Backoff
    from wsadapter.roles.consumer import insert_pool

    insert_pool.RETRY = Backoff(0.05, 0.5)  # type: ignore[misc]
