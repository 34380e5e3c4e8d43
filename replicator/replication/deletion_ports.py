"""What deletes on replicas need of the store."""

from typing import Protocol

from replicator.deletion import Pace
from replicator.model import Digest, IntentKey
from replicator.store.deletions import Pending


class DeletionStore(Protocol):
    """What is kept of tags that are to be deleted. All calls raise StoreError."""

    async def deletion(self, key: IntentKey) -> Pending | None:
        """Return how it stands with a tag that is to be deleted, None for any other."""
        ...

    async def deletion_pace(self, replica: str) -> Pace:
        """Return how many tags the replica loses within an hour."""
        ...

    async def cancel_deletion(self, key: IntentKey) -> None:
        """Have a tag not deleted."""
        ...

    async def leave_deletion(self, key: IntentKey, why: str) -> None:
        """Keep why a tag stays all the same."""
        ...

    async def begin_deletion(self, key: IntentKey, digest: Digest, *, approved: bool) -> None:
        """Keep what a tag names that is about to be deleted."""
        ...

    async def stop_deletes(self, replica: str) -> None:
        """Delete nothing more on a replica until an operator lets it go on."""
        ...
