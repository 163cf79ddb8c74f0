"""Redundant connections by name: which belong together, and which of them is which.

The first connection of a group has the group's name, the others that name and a number from 2 on. Owns nothing.
"""

import re
from typing import Final, NamedTuple

_NAMED: Final = re.compile(r"(.+)-r([2-9])")
MOST: Final = 9


class RedundantMember(NamedTuple):
    """``number``: 0 for the first connection of the group."""

    group: str
    number: int


def name_of(group: str, number: int) -> str:
    return group if number == 0 else f"{group}-r{number + 1}"


def member(connection: str) -> RedundantMember:
    found = _NAMED.fullmatch(connection)
    return RedundantMember(connection, 0) if found is None else RedundantMember(found[1], int(found[2]) - 1)
