"""Which streams connections do not carry any more: reloads took them. Their gaps from before are about them, too. Pure.

Of one run: what an earlier one took is in no gap that waits by now.
"""

from collections.abc import Mapping

from wsadapter.exchanges.planning import stream_type
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.roles.orders import LeftStream

Left = Mapping[str, tuple[LeftStream, ...]]
"""Connection -> what it carried."""


def after(known: Left, before: Mapping[str, ConnectionPlan], now: Mapping[str, ConnectionPlan], at_ns: int) -> Left:
    """What a reload adds to it, which is done at ``at_ns``; what a connection carries again is not left."""
    found: dict[str, tuple[LeftStream, ...]] = {}
    for name, plan in now.items():
        carries = _words(plan)
        taken = _words(before[name]) - carries if name in before else frozenset()
        left = {each.stream: each for each in known.get(name, ()) if each.stream not in carries}
        left |= {word: LeftStream(word, at_ns) for word in sorted(taken)}
        if left:
            found[name] = tuple(left.values())
    return found


def _words(plan: ConnectionPlan) -> frozenset[str]:
    return frozenset(
        stream_type(word).value for each in plan.subscriptions for word in each.feeds or (each.stream.value,)
    )
