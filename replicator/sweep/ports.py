"""What sweeps need of the primary, of the store and of metrics: small Protocols."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from replicator.deletion import Deletion
from replicator.heard import Heard
from replicator.model import Digest, Intent, Recorded, Reference, Repository, Tag
from replicator.registry.listing import TagList
from replicator.store.sweep_rows import KnownTag


class Primary(Protocol):
    """The registry that is compared."""

    @property
    def name(self) -> str:
        """Configuration name."""
        ...

    def repositories(self) -> AsyncIterator[Repository]:
        """Yield all repositories. Raises RegistryError, also where there is no catalog."""
        ...

    async def all_tags(self, repository: Repository, *, digests: bool = False) -> TagList:
        """Return all tags at once, and whether the list is surely whole. Raises RegistryError.

        With `digests` their digests too, as far as a list tells them.
        """
        ...

    async def named(self, repository: Repository, reference: Reference, known: Digest) -> Digest | None:
        """Return the digest that `reference` names, None for nothing. Raises RegistryError."""
        ...


class KnownTags(Protocol):
    """What is known of the tags on replicas."""

    async def tags(
        self, replicas: Sequence[str], name: Repository, *, after: Tag | None = None, upto: Tag | None = None
    ) -> tuple[KnownTag, ...]:
        """Return what is known of the tags behind `after` up to and with `upto`, on these replicas."""
        ...


class Sink(Protocol):
    """Where intents are kept."""

    async def record(self, intents: Sequence[Intent]) -> tuple[Recorded, ...]:
        """Keep intents, durably. Raises StoreError."""
        ...


class DeletionSink(Protocol):
    """Where it is kept what is to be deleted on replicas."""

    async def add_deletions(self, found: Sequence[Deletion]) -> tuple[int, ...]:
        """Return for each how many tags were not known to be deleted, after all are on disk. Raises StoreError."""
        ...


class Deliveries(Protocol):
    """Where webhooks go."""

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        """Keep intents and what told of them, durably. Raises StoreError."""
        ...

    def overhear(self, heard: Sequence[Heard]) -> None:
        """Remember events of which nothing came."""
        ...

    async def keep_unreadable(self, endpoint: str, reason: str, body: bytes) -> None:
        """Keep a body nobody understood. Raises StoreError."""
        ...


class Counts(Protocol):
    """What sweeps count."""

    def difference_found(self, replica: str, kind: str, count: int = 1) -> None:
        """Count differences."""
        ...

    def sweep_requested(self, operation: str) -> None:
        """Count a request to the primary."""
        ...

    def comparison_failed(self, reason: str) -> None:
        """Count a comparison that could not be done."""
        ...

    def compared(self, repositories: int, tags_at: float | None, digests_at: float | None) -> None:
        """Say how many repositories there are, and until when all of them were compared."""
        ...

    def sweep_took(self, seconds: float) -> None:
        """Say how long it took until nothing was due any more."""
        ...


class Updates(Protocol):
    """The count of updates that became owed."""

    def update_owed(self, replica: str, kind: str) -> None:
        """Count one."""
        ...
