"""Room kept free for what is urgent: how many places each priority and those below it may take. Pure."""

from collections.abc import Mapping
from functools import cache

from replicator.model import Priority

_ALL = tuple(Priority)
_LEAST_URGENT_FIRST = tuple(reversed(_ALL))


@cache
def most(total: int, priority: Priority) -> int:
    """Return how many of `total` places may be taken by `priority` and what is less urgent, at least one.

    All for what is high, all but one for the rest, and of these three quarters for what is low.
    """
    kept = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: max(1, total // 4)}[priority]
    return max(1, total - kept)


def room(total: int, held: Mapping[Priority, int]) -> dict[Priority, int]:
    """Return how many more may be taken, for each priority and what is less urgent, where `held` are taken.

    Where the total shrank and what is less urgent holds more than it may now, that takes nothing from the urgent.
    """
    free: dict[Priority, int] = {}
    taken = 0
    for one in _LEAST_URGENT_FIRST:
        taken += held.get(one, 0)
        free[one] = max(0, most(total, one) - taken)
        taken = min(taken, most(total, one))
    left = total
    for one in _ALL:
        left = free[one] = min(left, free[one])
    return free


def has_room(total: int, held: Mapping[Priority, int], priority: Priority) -> bool:
    """Say whether one more of that priority may be taken: `room` of one, asked several times for each request."""
    taken = 0
    for one in _LEAST_URGENT_FIRST:
        taken += held.get(one, 0)
        if one <= priority and taken >= most(total, one):
            return False
        taken = min(taken, most(total, one))
    return True
