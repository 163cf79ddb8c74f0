"""Which streams connections do not carry any more: reloads took them, or the next start placed them elsewhere. Their
gaps from before are about them, too. Pure.

Of what an earlier run took nothing is known, and of what went between two runs only what another connection has now:
of the rest the log says what the connection carried (`wsadapter.roles.repairer.gap_repair`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from wsadapter.exchanges.venue import ConnectionPlan, Subscription
from wsadapter.roles.orders import LeftStream

MOST: Final = 1000
"""Of a connection: the newest. Symbols by rule come and go for months."""

Plans = Mapping[str, ConnectionPlan]
Left = Mapping[str, tuple[LeftStream, ...]]
"""Connection -> what it carried."""


def after(known: Left, before: Plans, now: Plans, at_ns: int) -> Left:
    """What a reload adds to it, which is done at ``at_ns``; what a connection carries again is not left. One to another
    exchange has its name alone from the one before."""
    same = {name for name, plan in before.items() if name in now and now[name].exchange == plan.exchange}
    carried = {name: {each.name: each for each in before[name].subscriptions} for name in same}
    return _left({name: known[name] for name in same & known.keys()}, carried, now, at_ns)


def between_runs(carried: Mapping[str, Sequence[str]], now: Plans, at_ns: int) -> Left:
    """``carried``: what connections had at the end of the last run, by exchange and name."""
    there = {f"{plan.exchange}:{each.name}": each for plan in now.values() for each in plan.subscriptions}
    of_exchange = {name: f"{plan.exchange}:" for name, plan in now.items()}
    known = {
        name: {there[each].name: there[each] for each in some if each in there and each.startswith(of_exchange[name])}
        for name, some in carried.items()
        if name in now
    }
    return _left({}, known, now, at_ns)


def _left(known: Left, carried: Mapping[str, Mapping[str, Subscription]], now: Plans, at_ns: int) -> Left:
    found: dict[str, tuple[LeftStream, ...]] = {}
    for name, plan in now.items():
        carries = {each.name for each in plan.subscriptions}
        left = {each.subscription.name: each for each in known.get(name, ()) if each.subscription.name not in carries}
        taken = (each for each in carried.get(name, {}).values() if each.name not in carries)
        left |= {each.name: LeftStream(each, at_ns) for each in taken}
        if left:
            found[name] = tuple(left.values())[-MOST:]
    return found
