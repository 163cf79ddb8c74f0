"""Nothing but kill -9, of every role, the next one as soon as the last one has a successor that runs."""

import time

from chaos.nemesis import CHILDREN, Nemesis

SUPERVISOR = "the supervisor"
ROUNDS = 4
"""The supervisor's share: once in so many rounds of its children, since its death takes all of them with it."""


class Killer(Nemesis):
    def strike(self) -> str:
        """One kill, under load and with no pause for the road to become ready in."""
        name = self.rng.choice((*CHILDREN * ROUNDS, SUPERVISOR))
        began = time.monotonic()
        if name == SUPERVISOR:
            self._kill_supervisor()
            self._site.ready()
        else:
            self._killing(name)()
        deed = f"kill {name}"
        self.done[deed] += 1
        self.recovery.setdefault(deed, []).append(time.monotonic() - began)
        return deed
