"""Room kept free for what is urgent: how many places each priority and those below it may take. Pure."""

from collections.abc import Mapping

from replicator.model import Priority


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
    for priority in Priority:
        taken = sum(count for one, count in held.items() if one >= priority)
        left = free[priority] = max(0, min(left, most(total, priority) - taken))
    return free
