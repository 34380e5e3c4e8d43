"""What audits need of registries, rules and whoever wants to know: small Protocols."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from replicator.audit.findings import Finding
from replicator.model import (
    Change,
    Descriptor,
    Digest,
    Intent,
    RawManifest,
    Recorded,
    Reference,
    Repository,
)
from replicator.policy import Policy
from replicator.registry.listing import TagList


class BlobChunks(Protocol):
    """An open read of one blob."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes in order."""
        ...


class Holder(Protocol):
    """What a registry is asked about content. Raises RegistryError and ContentError."""

    @property
    def name(self) -> str:
        """Configuration name."""
        ...

    async def stat_manifest(self, repository: Repository, reference: Reference) -> Descriptor | None:
        """Return what `reference` names, None on a positive 404."""
        ...

    async def read_manifest(self, repository: Repository, reference: Reference) -> RawManifest:
        """Return verified raw bytes. Raises NotFound, ContentError."""
        ...

    async def referrers(self, repository: Repository, subject: Digest) -> tuple[Descriptor, ...] | None:
        """Return what refers to `subject`, None where the registry has no API for that."""
        ...

    async def has_blob(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Say whether the repository holds the blob. Raises ContentError for another size."""
        ...

    def open_blob(
        self, repository: Repository, descriptor: Descriptor, offset: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[BlobChunks]:
        """Open a blob. Raises NotFound, ContentError."""
        ...


class Registry(Holder, Protocol):
    """A registry, of which only GET and HEAD are asked."""

    async def named(self, repository: Repository, reference: Reference, known: Digest) -> Digest | None:
        """Return the digest that `reference` names; little is told where it is `known`."""
        ...

    async def all_tags(self, repository: Repository) -> TagList:
        """Return all tags at once, and whether the list is surely whole."""
        ...

    async def ping(self) -> None:
        """Return when the registry answers."""
        ...


class Rules(Protocol):
    """The rules, as far as audits need them."""

    def replicas_for(self, repository: Repository, reference: Reference) -> tuple[str, ...]:
        """Return the replicas that are to hold the reference."""
        ...

    def policy(self, replica: str, repository: Repository, reference: Reference) -> Policy:
        """Return what of the reference a replica is to hold."""
        ...


class Report(Protocol):
    """Who is told how an audit goes."""

    def compared(self, replica: str, finding: Finding | None) -> None:
        """Count one reference of one replica: equal, or what was found."""
        ...

    async def found(self, finding: Finding) -> None:
        """Take a finding, one at a time."""
        ...

    def read(self, count: int) -> None:
        """Count bytes of blobs read back."""
        ...


class Lane(Protocol):
    """A replica's lane."""

    @property
    def state(self) -> str:
        """A LaneState."""
        ...

    @property
    def last_success(self) -> float | None:
        """When something succeeded there last (Unix seconds), None while nothing has under this configuration."""
        ...


class Sink(Protocol):
    """Where findings are kept."""

    async def repair(self, intents: Sequence[Intent], damaged: Collection[Digest] = ()) -> tuple[Recorded, ...]:
        """Keep intents whose content on the replica is not to be believed. Raises StoreError."""
        ...


class Routes(Protocol):
    """The rules, as far as verification needs them."""

    def route(self, change: Change, now: float) -> tuple[Intent, ...]:
        """Return an intent for each replica that the rules send the change to."""
        ...

    def policy(self, replica: str, repository: Repository, reference: Reference) -> Policy:
        """Return what of the reference a replica is to hold."""
        ...


class Counts(Protocol):
    """What verification counts."""

    def verified(self, replica: str, result: str) -> None:
        """Count one reference."""
        ...


class Updates(Protocol):
    """The count of updates that became owed."""

    def update_owed(self, replica: str, kind: str) -> None:
        """Count one."""
        ...
