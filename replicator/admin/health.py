"""Liveness and readiness: does the daemon itself work; never whether replicas do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from replicator.admin.ports import StoreHealth
from replicator.clock import Clock
from replicator.errors import StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a probe found; `problem` is empty when all is well. `seconds` is how long the store took."""

    problem: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Answers the probes. `within` seconds is how long the store may take: less than who asks waits (5 s).

    A disk that takes two seconds to sync is slow, not dead: webhooks are still taken.
    """

    store: StoreHealth
    intake_open: Callable[[], bool]
    clock: Clock
    within: float = 3.0

    async def live(self) -> Report:
        """Report on the event loop, which answering proves, and on the store's turn of work."""
        return await self._timed(self._ticks)

    async def ready(self) -> Report:
        """Report on whether the store can commit and webhooks are taken."""
        if not self.intake_open():
            return Report(problem="the webhook listener is not open", seconds=0.0)
        return await self._timed(self._writes)

    async def _ticks(self) -> str:
        try:
            await self.store.tick()
        except StoreError as error:
            return f"the store: {error}"
        return ""

    async def _writes(self) -> str:
        return "" if await self.store.writable() else "the store cannot write"

    async def _timed(self, ask: Callable[[], Awaitable[str]]) -> Report:
        started = self.clock.monotonic()
        problem = f"the store did not answer within {self.within:g} s"
        with anyio.move_on_after(self.within):
            problem = await ask()
        return Report(problem=problem, seconds=self.clock.monotonic() - started)
