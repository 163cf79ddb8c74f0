"""Mutation: every insert has the same deduplication token, so all but the first are silently dropped."""

import sys

if {"wsadapter.roles.consumer", "wsadapter.supervision.fork_server"} & set(sys.orig_argv):
    from wsadapter.clickhouse import inserts

    inserts.token = lambda *_, **__: "the same"
