"""Which deliveries were taken, by their sender's own ids: each counts once, however often it comes."""

from collections import OrderedDict
from typing import Final

from replicator.clock import Clock

MOST_REMEMBERED: Final = 100_000
"""Most ids that are remembered; the oldest are forgotten first. About 10 MB."""


class TakenIds:
    """Remembers each id for `seconds`: as long as a repetition would pass for genuine."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        # Ordered: to find the first entry of a plain dictionary takes longer the more were dropped before it.
        self._taken: OrderedDict[str, float] = OrderedDict()

    def add(self, identifier: str) -> None:
        """Remember an id."""
        self._taken[identifier] = self._clock.monotonic()
        if len(self._taken) > MOST_REMEMBERED:
            self._taken.popitem(last=False)

    def __contains__(self, identifier: object) -> bool:
        before = self._clock.monotonic() - self._seconds
        while self._taken and self._taken[first := next(iter(self._taken))] < before:
            del self._taken[first]
        return identifier in self._taken
