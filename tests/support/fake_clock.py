"""A clock that moves only when a test says so."""

import asyncio
import heapq
import itertools

from tests.support.eventually import eventually


class FakeClock:
    """Implements replicator.clock.Clock. Sleepers wake when `advance` passes their time; nobody really waits."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._monotonic = 1_000.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._order = itertools.count()
        self._came = asyncio.Event()

    def now(self) -> float:
        """Wall-clock time, Unix epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; not moved by `set_wall`."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Return once the clock has been advanced by `seconds`; zero or less yields once."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        entry = (self._monotonic + seconds, next(self._order), asyncio.Event())
        heapq.heappush(self._sleepers, entry)
        self._came.set()
        try:
            await entry[2].wait()
        finally:
            if entry in self._sleepers:
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Move both clocks forward and wake, in order, every sleeper whose time has come."""
        if seconds < 0:
            raise ValueError("time goes forward only; use set_wall for a wall clock that jumps back")
        self._now += seconds
        self._monotonic += seconds
        while self._sleepers and self._sleepers[0][0] <= self._monotonic:
            heapq.heappop(self._sleepers)[2].set()

    def set_wall(self, now: float) -> None:
        """Let the wall clock jump, also back, as NTP or an operator does. Sleepers are not touched."""
        self._now = now

    @property
    def sleepers(self) -> tuple[float, ...]:
        """Seconds that each sleeper still has to wait, soonest first."""
        return tuple(sorted(due - self._monotonic for due, _, _ in self._sleepers))

    async def a_sleeper(self) -> None:
        """Return when a task sleeps on this clock, however long that takes."""
        while not self._sleepers:
            self._came.clear()
            await self._came.wait()

    async def someone_sleeps(self, count: int = 1, *, within: float = 30.0) -> None:
        """Return when at least `count` tasks sleep on this clock: then it is safe to advance it."""
        await eventually(
            lambda: len(self._sleepers) >= count, within=within, what=f"{count} tasks sleep on the clock"
        )
