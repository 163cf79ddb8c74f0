"""A few daemon threads that take calls and answer with futures.

`concurrent.futures` joins its threads when the interpreter ends: one call that hangs in a socket would keep a process
that has reached its deadline. These are left behind.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class DaemonExecutor:
    def __init__(self, count: int, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    def call(self, work: Callable[[], T]) -> Future[T]:
        """Have ``work`` done when a thread is free."""
        future: Future[T] = Future()
        self._calls.put((future, work))
        return future

    def _run(self) -> None:
        while True:
            future, work = self._calls.get()
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            # a thread that waits must not hold on to the last batch
            del future, work
