"""The part of the store that keeps what is to be deleted on replicas."""

from collections.abc import Sequence
from functools import partial

from replicator.deletion import Deletion, Pace
from replicator.heard import Heard
from replicator.model import Digest, IntentKey, Repository
from replicator.store import delete_pace, deletions
from replicator.store.digest_rows import digest_rows
from replicator.store.handle import Handle
from replicator.store.rows import Pending


class DeletionRows(Handle):
    """Keeps deletes until they are done, left or cancelled. All methods raise StoreError."""

    async def add_deletions(self, found: Sequence[Deletion], heard: Sequence[Heard] = ()) -> tuple[int, ...]:
        """Have deleted what replicas were given; return for each how much of it was not known to be.

        A digest stands for all tags that name it, and for the manifest itself where it is put for its own sake.
        `heard` is what told of them, in the same order, and kept with them.
        """
        return await self._writer.submit(partial(deletions.add, deletions=found, heard=heard))

    async def deletion(self, key: IntentKey) -> Pending | None:
        """Return how it stands with a reference that is to be deleted, None for any other."""
        return await self._read(partial(deletions.pending, key=key))

    async def deletion_pace(self, replica: str) -> Pace:
        """Return how much the replica loses within an hour."""
        return await self._read(partial(delete_pace.pace, replica=replica, now=self._clock.now()))

    async def digest_rows(self, replica: str, repository: Repository, limit: int) -> tuple[Digest, ...]:
        """Return the digests of a repository that have a row of their own, at most `limit`."""
        return await self._read(partial(digest_rows, replica=replica, name=repository, limit=limit))

    async def cancel_deletion(self, key: IntentKey) -> None:
        """Have a reference not deleted."""
        await self._writer.submit(partial(deletions.cancel_one, key=key))

    async def leave_deletion(self, key: IntentKey, why: str | None) -> None:
        """Keep why a reference stays all the same; None: it does not stay, and is due as the others are."""
        await self._writer.submit(partial(deletions.leave, key=key, why=why))

    async def begin_deletion(self, key: IntentKey, digest: Digest, *, approved: bool) -> None:
        """Keep what a reference names that is about to be deleted; on return that is on the disk."""
        await self._writer.submit(partial(deletions.begin, key=key, digest=digest, approved=approved))

    async def stop_deletes(self, replica: str) -> None:
        """Delete nothing more on a replica, over restarts too, until an operator lets it go on."""
        await self._writer.submit(partial(delete_pace.stop, replica=replica))

    async def resume_deletes(self, replica: str) -> bool:
        """Let the deletes go on that are due by now, however many; return whether they were stopped."""
        now = self._clock.now()
        # All are approved before any is looked at: one that was not would stop them again.
        while await self._writer.submit(partial(delete_pace.approve, replica=replica, now=now)):
            pass
        stopped = await self._writer.submit(partial(delete_pace.go_on, replica=replica))
        after: delete_pace.Place | None = delete_pace.FIRST
        while after is not None:
            after = await self._writer.submit(partial(delete_pace.begin, replica=replica, now=now, after=after))
        return stopped
