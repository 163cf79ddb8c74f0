"""The consumer calls a batch that may be in too large after ten refusals, and not after sixty, which take minutes."""

import sys

if {"wsadapter.roles.consumer", "wsadapter.supervision.fork_server"} & set(sys.orig_argv):
    from wsadapter.roles.consumer import insert_pool

    insert_pool.PATIENT_ATTEMPTS = 10  # type: ignore[misc]
