"""How long a service stays when it is told to stop.

In an ordinary stop the supervisor sees to the order. When the supervisor is gone all its children drain at the same
moment: a service then stays for those who drain into it, until there is just the time left that its own end takes.
"""

import time

from wsadapter.supervision.child import Child


def stays(child: Child, stop_seconds: float) -> bool:
    """Whether to go on serving; ``stop_seconds``: what the service's own end may take."""
    if not child.stopping:
        return True
    return child.orphaned and time.monotonic() < child.deadline - stop_seconds
