"""The store of a simulated run works on the event loop: no thread decides who is first, so that a seed says all."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from replicator.errors import StoreError
from replicator.store.session import Session
from replicator.store.writer import StoreObserver, Writer, _Job

T = TypeVar("T")


class LoopWriter(Writer):
    """Commits together what was queued in one turn of the loop; its thread only closes the connection."""

    def __init__(self, session: Session, observer: StoreObserver | None) -> None:
        super().__init__(session, observer)
        self._waiting: list[_Job] = []

    async def submit(self, operation: Callable[[Session], T]) -> T:
        """Run the operation in the next turn of the loop and return its answer."""
        if self._closed:
            raise StoreError(self._closed)
        job = _Job(operation, self._loop.create_future())
        self._waiting.append(job)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._turn)
        answer: T = await job.future
        return answer

    async def close(self) -> None:
        """Finish what is queued, then close."""
        self._turn()
        await super().close()

    def _turn(self) -> None:
        batch, self._waiting = self._waiting, []
        if batch:
            self._deliver(self._commit(batch))


async def at_once(call: Callable[..., T], *arguments: Any, **_: Any) -> T:
    """Stand for anyio.to_thread.run_sync."""
    await asyncio.sleep(0)
    return call(*arguments)
