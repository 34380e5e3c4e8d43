"""The part of the store that keeps which tags are to be deleted on replicas."""

from collections.abc import Sequence
from functools import partial

from replicator.deletion import Deletion, Pace
from replicator.heard import Heard
from replicator.model import Digest, IntentKey
from replicator.store import deletions
from replicator.store.deletions import Pending
from replicator.store.handle import Handle


class DeletionRows(Handle):
    """Keeps deletes until they are done, left or cancelled. All methods raise StoreError."""

    async def add_deletions(self, found: Sequence[Deletion], heard: Sequence[Heard] = ()) -> tuple[int, ...]:
        """Have tags deleted that replicas were given; return for each how many of them were not known to be.

        `heard` is what told of them, in the same order, and kept with them.
        """
        return await self._writer.submit(partial(deletions.add, deletions=found, heard=heard))

    async def deletion(self, key: IntentKey) -> Pending | None:
        """Return how it stands with a tag that is to be deleted, None for any other."""
        return await self._read(partial(deletions.pending, key=key))

    async def deletion_pace(self, replica: str) -> Pace:
        """Return how many tags the replica loses within an hour."""
        return await self._read(partial(deletions.pace, replica=replica, now=self._clock.now()))

    async def cancel_deletion(self, key: IntentKey) -> None:
        """Have a tag not deleted."""
        await self._writer.submit(partial(deletions.cancel_one, key=key))

    async def leave_deletion(self, key: IntentKey, why: str) -> None:
        """Keep why a tag stays all the same."""
        await self._writer.submit(partial(deletions.leave, key=key, why=why))

    async def begin_deletion(self, key: IntentKey, digest: Digest, *, approved: bool) -> None:
        """Keep what a tag names that is about to be deleted; on return that is on the disk."""
        await self._writer.submit(partial(deletions.begin, key=key, digest=digest, approved=approved))

    async def stop_deletes(self, replica: str) -> None:
        """Delete nothing more on a replica, over restarts too, until an operator lets it go on."""
        await self._writer.submit(partial(deletions.stop, replica=replica))

    async def resume_deletes(self, replica: str) -> bool:
        """Let the deletes go on that are due by now, however many; return whether they were stopped."""
        return await self._writer.submit(partial(deletions.go_on, replica=replica))
