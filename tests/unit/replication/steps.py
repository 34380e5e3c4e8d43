"""What a test lets happen at the moments of the registry in memory."""

import asyncio
from collections.abc import Awaitable, Callable

from replicator.model import Reference
from tests.unit.replication.support import Call, Hook, Op


def faults(*steps: Callable[[Call], Awaitable[None] | None]) -> Hook:
    """Return a hook that lets each of `steps` see each call, in order."""

    async def hook(call: Call) -> None:
        await asyncio.sleep(0)
        for step in steps:
            waiting = step(call)
            if waiting is not None:
                await waiting

    return hook


class Gate:
    """Holds back the calls it is told to, until it is opened."""

    def __init__(self, op: Op, reference: Reference | None = None) -> None:
        self.op = op
        self.reference = reference
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        """Wait when the call is one of them."""
        if call.op is self.op and self.reference in {None, call.reference}:
            self.reached.set()
            await self.opened.wait()
