"""Real time in which a test may leap ahead: for long pauses between work that really takes place."""

import asyncio

from replicator.clock import SystemClock


class LeapingClock(SystemClock):
    """Implements replicator.clock.Clock. A leap is felt by all who sleep, as if the time had passed."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._leapt = asyncio.Event()
        self._due: list[float] = []

    def now(self) -> float:
        """Wall-clock time, Unix epoch."""
        return super().now() + self._ahead

    def monotonic(self) -> float:
        """Seconds since an arbitrary point."""
        return super().monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, of which some may be leapt over."""
        due = self.monotonic() + max(0.0, seconds)
        self._due.append(due)
        try:
            while True:
                try:
                    await asyncio.wait_for(self._leapt.wait(), due - self.monotonic())
                except TimeoutError:
                    return
        finally:
            self._due.remove(due)

    def leap(self, seconds: float) -> None:
        """Let `seconds` pass now."""
        self._ahead += seconds
        self._leapt.set()
        self._leapt = asyncio.Event()

    def waits_for(self, least: float, most: float) -> bool:
        """Say whether somebody has between `least` and `most` seconds left to wait."""
        now = self.monotonic()
        return any(least < due - now <= most for due in self._due)
