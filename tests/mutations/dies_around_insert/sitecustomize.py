"""The consumer kills itself at its first inserts: before one, in the middle, or when it is done and not yet finished.

``WSADAPTER_DIE`` = before, amid or after; ``WSADAPTER_DIE_FILE`` counts the deaths, at most three.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

if {"wsadapter.roles.consumer", "wsadapter.supervision.fork_server"} & set(sys.orig_argv):
    from wsadapter.clickhouse.inserts import Inserter

    moment, counter = os.environ["WSADAPTER_DIE"], Path(os.environ["WSADAPTER_DIE_FILE"])
    insert: Any = Inserter.insert

    dying_once = threading.Lock()

    def die() -> None:
        dying_once.acquire()  # for good: the timer and the end of the insert may come together
        with counter.open("ab") as file:
            file.write(b"x")
        os.kill(os.getpid(), signal.SIGKILL)

    def dying(self: Inserter, *arguments: Any) -> Any:
        if counter.exists() and counter.stat().st_size >= 3:
            return insert(self, *arguments)
        if moment == "before":
            die()
        if moment == "amid":
            threading.Timer(0.001, die).start()
        written = insert(self, *arguments)
        die()
        return written

    Inserter.insert = dying  # type: ignore[method-assign,assignment]
