"""A child for the tests of the supervisor: a real one, whose behaviour is in its options.

It appends lines "name event pid" to the file options["events"], so that a test can see what happened in which order.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import msgspec

from wsadapter.errors import ConfigError
from wsadapter.supervision import live_order
from wsadapter.supervision.child import Child, ChildState, run_child


def note(child: Child, event: str) -> None:
    line = f"{child.args.name} {event} {os.getpid()}\n"
    fd = os.open(child.order(dict[str, Any])["events"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, line.encode())
    os.close(fd)


def take_order(child: Child, orders: socket.socket) -> None:
    """And count how many were done; one that is ``never`` done is waited for."""
    args = live_order.receive(orders)
    assert args is not None
    order = msgspec.json.decode(args.order, type=dict[str, Any])
    note(child, f"ordered-{order['number']}")
    if order.get("never"):
        return
    child.page["done"] += 1
    page = child.take(args)
    page[f"done_{order['number']}"] += 1
    child.free()


def main(child: Child) -> int:
    options: dict[str, Any] = child.order(dict[str, Any])
    if (seconds := options.get("crash_until")) is not None and time.monotonic() < seconds:
        return 1
    note(child, "started")
    if (code := options.get("exit_at_once")) is not None:
        return int(code)
    if reason := options.get("refuse"):
        raise ConfigError([("kafka.topic_prefix", reason)])
    if options.get("grandchild"):
        note(child, f"grandchild-{subprocess.Popen(['sleep', '600']).pid}")
    if seconds := options.get("slow_start"):
        time.sleep(seconds)
    seconds_asleep = 0.2
    if options.get("signals_elsewhere"):
        # as with the threads of a client library: the signal does not interrupt the main thread's poll
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        seconds_asleep = 600.0
    if options.get("ignore_stop"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.get("wait_for_service"):
        child.set_state(ChildState.WAITING)
    elif not options.get("never_ready"):
        child.ready()
        note(child, "running")
    if options.get("hang"):
        while True:
            pass
    if (code := options.get("exit_when_running")) is not None:
        return int(code)
    orders = socket.socket(fileno=child.args.orders_fd) if child.args.orders_fd >= 0 else None
    while not child.stopping or options.get("ignore_stop"):
        child.beat()
        if child.stopping:
            time.sleep(0.05)  # ignores the stop and goes on as if nothing had happened
        if child.wait([orders.fileno()] if orders else [], seconds_asleep) and orders:
            take_order(child, orders)
    note(child, "orphaned" if child.orphaned else "stopping")
    end = min(time.monotonic() + options.get("drain", 0.0), child.deadline)
    while (left := end - time.monotonic()) > 0:
        child.beat()
        child.wait([], min(left, 0.2))
    if options.get("stuck_drain"):
        while True:
            time.sleep(1)
    note(child, "ended")
    return int(options.get("exit_code", 0))


if __name__ == "__main__":
    assert sys.flags.safe_path
    run_child(main)
