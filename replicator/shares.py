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
    """Return how many more may be taken, for each priority and what is less urgent, where `held` are taken."""
    free: dict[Priority, int] = {}
    left = total
    taken = sum(held.values())
    for priority in _ALL:
        left = free[priority] = max(0, min(left, most(total, priority) - taken))
        taken -= held.get(priority, 0)
    return free


def has_room(total: int, held: Mapping[Priority, int], priority: Priority) -> bool:
    """Say whether one more of that priority may be taken: `room` of one, asked several times for each request."""
    taken = 0
    for one in _LEAST_URGENT_FIRST:
        taken += held.get(one, 0)
        if one <= priority and taken >= most(total, one):
            return False
    return True
