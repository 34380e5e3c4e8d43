"""Holds back log lines that anybody on the network could make us write without end."""

from replicator.clock import Clock


class Throttle:
    """Lets one line of each kind through per `seconds`, and says how many were held back before it.

    Kinds are few and fixed (endpoint names and log events).
    """

    def __init__(self, clock: Clock, *, seconds: float = 10.0) -> None:
        self._clock = clock
        self._seconds = seconds
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def passes(self, kind: str) -> int | None:
        """Return None when the line is to be held back, else how many of its kind were since the last one."""
        now = self._clock.monotonic()
        last = self._last.get(kind)
        if last is not None and now - last < self._seconds:
            self._held[kind] = self._held.get(kind, 0) + 1
            return None
        self._last[kind] = now
        return self._held.pop(kind, 0)
