"""What became of each subscription of one socket. Pure; a socket begins with all of them requested."""

from collections.abc import Iterable, Mapping
from enum import IntEnum


class SubscriptionState(IntEnum):
    """As on the stats page. STALE: spoke or was acknowledged, and is silent for longer than such a stream is."""

    REQUESTED = 0
    ACKED = 1
    LIVE = 2
    STALE = 3
    REFUSED = 4


class SubscriptionStates:
    """``received``: name -> receive time of its last frame when the socket came up: what differs was received since,
    whatever the wall clock did."""

    def __init__(self, received: Mapping[str, int]) -> None:
        self.answers = dict.fromkeys(received, SubscriptionState.REQUESTED)
        self.unanswered = set(self.answers)
        self.at_open = dict(received)
        self._acknowledged: set[str] = set()
        """At least once."""
        self.given_up: set[str] = set()
        """Refused, and not to be asked for again."""

    def answered(self, names: Iterable[str], state: SubscriptionState) -> bool:
        """Whether every request has its answer now."""
        self.answers.update(dict.fromkeys(names, state))
        if state is SubscriptionState.ACKED:
            self._acknowledged.update(names)
        self.unanswered.difference_update(names)
        return not self.unanswered

    def expected(self) -> set[str]:
        """Those that are not being asked for anew, and are acknowledged or were: what the venue took once and refuses
        now, it may take again."""
        return self._acknowledged - self.unanswered

    def refused(self) -> set[str]:
        """Those that are not being asked for anew."""
        return self._answered_with(SubscriptionState.REFUSED)

    def acknowledged(self) -> set[str]:
        """Those that are not being asked for anew."""
        return self._answered_with(SubscriptionState.ACKED)

    def _answered_with(self, state: SubscriptionState) -> set[str]:
        return {name for name, answer in self.answers.items() if answer is state} - self.unanswered

    def state(self, name: str, received_ns: int, is_stale: bool) -> SubscriptionState:
        answer = self.answers[name]
        if answer is SubscriptionState.REFUSED:
            return answer
        if is_stale:
            return SubscriptionState.STALE
        return SubscriptionState.LIVE if received_ns != self.at_open[name] else answer
