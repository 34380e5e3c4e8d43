"""Time as a port: everything that needs the time or a pause takes a Clock, so that tests can move it."""

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """What the daemon needs of time. All values are seconds."""

    def now(self) -> float:
        """Wall-clock time, Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Time that never goes back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; zero or less yields once."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Wall-clock time, Unix epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Time since an arbitrary point."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Pause the calling task."""
        await anyio.sleep(max(0.0, seconds))
