"""The part of the store that operators write: which lanes rest, what is ignored, what is tried again at once."""

from collections.abc import Mapping, Sequence
from functools import partial

from replicator.model import Digest, IntentKey, Recorded
from replicator.store import ignoring, lanes, retries
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

    async def ignore(self, keys: Sequence[IntentKey], digest: Digest | None) -> tuple[IntentKey, ...]:
        """Take those rows out of lag that are owed, and return their keys; whoever works on one loses its lease.

        Until a change comes to another digest than `digest`, which is what the primary names (None: not known, then
        what the row's last change named), or until `heed`.
        """
        return await self._writer.submit(partial(ignoring.ignore, keys=keys, digest=digest))

    async def heed(self, keys: Sequence[IntentKey]) -> Mapping[IntentKey, Recorded]:
        """Make those rows owed again that are ignored, since when they were; return what came of each of them."""
        return await self._writer.submit(partial(ignoring.heed, keys=keys))
