"""How urgent the work is that a request belongs to: said once around the work, seen wherever it has to queue.

A lane says it of each job; a shared read, which belongs to no lane, has one of its own that its subscribers raise.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from replicator.model import Priority


class Urgency:
    """How urgent some work is now. It may be raised while the work goes on; whoever queues for it is told."""

    def __init__(self, priority: Priority = Priority.NORMAL) -> None:
        self.priority = priority
        self._watchers: dict[object, Callable[[], None]] = {}

    def raise_to(self, priority: Priority) -> None:
        """Make the work at least as urgent as `priority`."""
        if priority < self.priority:
            self.priority = priority
            for told in tuple(self._watchers.values()):
                told()

    def watch(self, key: object, told: Callable[[], None]) -> None:
        """Call `told` whenever the work becomes more urgent, until `unwatch`."""
        self._watchers[key] = told

    def unwatch(self, key: object) -> None:
        """Tell no more."""
        self._watchers.pop(key, None)


_current: ContextVar[Urgency | None] = ContextVar("urgency", default=None)


def current() -> Urgency:
    """Return the urgency of the work that the calling task does; what nobody said anything of is normal."""
    return _current.get() or Urgency()


@contextmanager
def urgent(urgency: Urgency) -> Iterator[None]:
    """Give all that is done in this block, and in tasks that it starts, this urgency."""
    token = _current.set(urgency)
    try:
        yield
    finally:
        _current.reset(token)
