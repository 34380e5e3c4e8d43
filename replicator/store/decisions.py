"""The part of the store that operators write: which lanes rest, what is tried again at once."""

from collections.abc import Sequence
from functools import partial

from replicator.model import IntentKey
from replicator.store import lanes, retries
from replicator.store.handle import Handle


class Decisions(Handle):
    """What operators decided, kept until they decide otherwise."""

    async def pause(self, replica: str) -> bool:
        """Give the replica's lane no more leases, over restarts too; return whether it was at work before."""
        return await self._writer.submit(partial(lanes.pause, replica=replica))

    async def resume(self, replica: str) -> bool:
        """Give the replica's lane leases again; return whether it was paused."""
        return await self._writer.submit(partial(lanes.resume, replica=replica))

    async def paused_since(self, replica: str) -> float | None:
        """Return since when the replica's lane is paused (Unix seconds), None when it is not."""
        return await self._read(partial(lanes.paused_since, replica=replica))

    async def retry(self, keys: Sequence[IntentKey]) -> tuple[IntentKey, ...]:
        """Make those rows due now that are failing, parked or not, and not due yet; return their keys."""
        return await self._writer.submit(partial(retries.retry, keys=keys))
