"""What deletes on replicas need of the store."""

from collections.abc import Sequence
from typing import Protocol

from replicator.deletion import Deletion, Pace
from replicator.model import Digest, IntentKey, Repository
from replicator.store.rows import Pending


class DigestRows(Protocol):
    """What the store knows of manifests that replicas were given for their own sake."""

    async def digest_rows(self, replica: str, repository: Repository, limit: int) -> tuple[Digest, ...]:
        """Return the digests that have a row of their own, at most `limit`. Raises StoreError."""
        ...


class DeletionStore(DigestRows, Protocol):
    """What is kept of what is to be deleted. All calls raise StoreError."""

    async def add_deletions(self, found: Sequence[Deletion]) -> tuple[int, ...]:
        """Have deleted what the replica was given; return for each how much of it was not known to be."""
        ...

    async def deletion(self, key: IntentKey) -> Pending | None:
        """Return how it stands with a reference that is to be deleted, None for any other."""
        ...

    async def deletion_pace(self, replica: str) -> Pace:
        """Return how much the replica loses within an hour."""
        ...

    async def cancel_deletion(self, key: IntentKey) -> None:
        """Have a reference not deleted."""
        ...

    async def leave_deletion(self, key: IntentKey, why: str | None) -> None:
        """Keep why a reference stays all the same; None: it does not stay, and is due as the others are."""
        ...

    async def begin_deletion(self, key: IntentKey, digest: Digest, *, approved: bool) -> None:
        """Keep what a reference names that is about to be deleted."""
        ...

    async def stop_deletes(self, replica: str) -> None:
        """Delete nothing more on a replica until an operator lets it go on."""
        ...
