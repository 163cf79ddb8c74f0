"""The repairer asks for open interest every two seconds and not every ten: a silence is one after six."""

import sys

if {"wsadapter.roles.repairer", "wsadapter.supervision.fork_server"} & set(sys.orig_argv):
    from wsadapter.roles.repairer import open_interest

    open_interest.EVERY_SECONDS, open_interest.LEAST_SILENCE = 2.0, 6.0  # type: ignore[misc]
