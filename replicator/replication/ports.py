"""What replication needs of registries, of the store and of metrics: small Protocols, owned by their consumer."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from replicator.model import (
    Descriptor,
    Digest,
    Intent,
    IntentKey,
    Lease,
    Priority,
    RawManifest,
    Recorded,
    Reference,
    Repository,
    Tag,
)
from replicator.policy import Policy
from replicator.registry.capabilities import Capabilities
from replicator.registry.listing import TagList
from replicator.registry.resumption import Resumption
from replicator.registry.upload_requests import UploadSession
from replicator.store.outcome import Outcome
from replicator.store.rows import Entry, KeptUpload, PutBeside, Row


class BlobReader(Protocol):
    """An open read of one blob."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes in order, unverified. Raises RegistryError when the body ends early."""
        ...


class Holder(Protocol):
    """What is asked of either end."""

    @property
    def name(self) -> str:
        """Configuration name."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the registry has proven to be able to do."""
        ...

    async def stat_manifest(self, repository: Repository, reference: Reference) -> Descriptor | None:
        """Return what `reference` names, None on a positive 404."""
        ...

    async def read_manifest(self, repository: Repository, reference: Reference) -> RawManifest:
        """Return verified raw bytes. Raises NotFound, ContentError."""
        ...

    async def referrers(self, repository: Repository, subject: Digest) -> tuple[Descriptor, ...] | None:
        """Return what refers to `subject` as the referrers API says, None where there is none."""
        ...

    async def has_blob(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Say whether the repository holds the blob."""
        ...


class Source(Holder, Protocol):
    """The registry that is copied from."""

    @property
    def max_connections(self) -> int:
        """Most connections that we open to it."""
        ...

    async def few_tags(self, repository: Repository, most: int) -> frozenset[Tag] | None:
        """Return all tags, None where there are more than `most` or they cannot be listed."""
        ...

    def open_blob(
        self, repository: Repository, descriptor: Descriptor, offset: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[BlobReader]:
        """Open `length` bytes of the blob from `offset` on, None: all that follow.

        With a `length`, raises RegistryError (not temporary) where the registry serves no parts.
        """
        ...


class Replica(Holder, Protocol):
    """The registry that is copied to."""

    def open_blob(
        self, repository: Repository, descriptor: Descriptor, offset: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[BlobReader]:
        """Open the blob, to see whether its bytes are right."""
        ...

    async def write_manifest(self, repository: Repository, reference: Reference, manifest: RawManifest) -> None:
        """Put raw bytes. Raises ManifestBlobUnknown when the registry misses content."""
        ...

    async def prove_checks_manifests(self, repository: Repository) -> bool | None:
        """Say whether a manifest whose blobs are missing is refused; asked with one small put when unknown."""
        ...

    async def prove_sparse_index(self, repository: Repository) -> bool | None:
        """Say whether an index without its children is taken; asked with one small put when unknown."""
        ...

    async def prove_tag_delete_alone(self, repository: Repository) -> bool | None:
        """Say whether a tag is removed and its manifest left; shown with a small artifact when unknown."""
        ...

    async def delete_tag(self, repository: Repository, tag: Tag) -> None:
        """Remove a tag; one that is not there is removed. Raises RegistryError, UNSUPPORTED where it removes none."""
        ...

    async def delete_manifest(self, repository: Repository, digest: Digest) -> None:
        """Remove a manifest and all tags that name it. Raises RegistryError, UNSUPPORTED where it removes none."""
        ...

    async def few_tags(self, repository: Repository, most: int) -> frozenset[Tag] | None:
        """Return all tags, None where there are more than `most` or they cannot be listed."""
        ...

    async def all_tags(self, repository: Repository) -> TagList:
        """Return all tags at once, and whether the list is surely whole. Raises RegistryError."""
        ...

    async def prove_checks_digests(self, repository: Repository) -> bool | None:
        """Say whether bytes of another digest are refused; asked with one small upload when unknown."""
        ...

    async def mount_blob(
        self, repository: Repository, descriptor: Descriptor, source_repository: Repository | None
    ) -> UploadSession | None:
        """Return None when the blob was mounted, else the upload session that the registry opened instead.

        Without a `source_repository` the registry is left to find the blob.
        """
        ...

    async def start_upload(self, repository: Repository) -> UploadSession:
        """Open an upload session."""
        ...

    async def cancel_upload(self, session: UploadSession) -> None:
        """Give a session up, best effort; never raises a RegistryError."""
        ...

    async def send_blob(
        self,
        repository: Repository,
        descriptor: Descriptor,
        body: Callable[[], AsyncIterator[bytes]],
        session: UploadSession | None = None,
        resumption: Resumption | None = None,
    ) -> None:
        """Upload the blob; returns once the registry has it. An error of `body` comes out as it is.

        With a `resumption` an upload that was cut goes on, where the registry can.
        """
        ...

    def reopen_upload(self, repository: Repository, location: str) -> UploadSession:
        """Return the session at a place that was kept. Raises RegistryError when uploads may not go there."""
        ...


class UploadStore(Protocol):
    """Memory of uploads under way, over restarts."""

    async def keep_upload(self, replica: str, repository: Repository, digest: Digest, kept: KeptUpload) -> None:
        """Keep where the upload of a blob goes on."""
        ...

    async def kept_upload(self, replica: str, repository: Repository, digest: Digest) -> KeptUpload | None:
        """Return where it goes on, None when nothing is kept."""
        ...

    async def forget_upload(self, replica: str, repository: Repository, digest: Digest) -> None:
        """Drop it."""
        ...


class BlobLocations(Protocol):
    """Memory of which repositories of a replica hold a blob; only ever a hint, the registry has the last word."""

    async def locations(self, replica: str, digests: Sequence[Digest]) -> Mapping[Digest, tuple[Repository, ...]]:
        """Return repositories known to hold each digest, best first."""
        ...

    async def remember_blobs(self, replica: str, repository: Repository, digests: Sequence[Digest]) -> None:
        """Keep that `repository` holds these blobs."""
        ...

    async def forget_blobs(self, replica: str, repository: Repository) -> None:
        """Drop all that is kept of `repository`."""
        ...


class Policies(Protocol):
    """The rules, as far as work needs them."""

    def policy(self, replica: str, repository: Repository, reference: Reference) -> Policy:
        """Return what of a reference a replica is to hold."""
        ...

    def propagates(self, replica: str, repository: Repository, reference: Reference, fingerprint: str) -> bool:
        """Say whether a delete of a reference reaches the replica by the very rule that made it hold that."""
        ...


class IntentStore(BlobLocations, Protocol):
    """The part of the store that lanes work with; leases and settling are fenced by epoch."""

    async def record(self, intents: Sequence[Intent]) -> tuple[Recorded, ...]:
        """Keep intents, durably."""
        ...

    def listen(self, callback: Callable[[Sequence[IntentKey]], None]) -> None:
        """Call back, on the event loop, after rows changed."""
        ...

    def unlisten(self, callback: Callable[[Sequence[IntentKey]], None]) -> None:
        """Call back no longer."""
        ...

    async def lease(
        self,
        replica: str,
        limit: int,
        seconds: float,
        *,
        room: Mapping[Priority, int] | None = None,
        longest_due: bool = False,
    ) -> tuple[Lease, ...]:
        """Lease due rows, at most `room` for each priority and what is less urgent; or the `longest_due` alone."""
        ...

    async def renew(self, leases: Sequence[Lease], seconds: float) -> frozenset[IntentKey]:
        """Prolong; returns the keys still held."""
        ...

    async def settle(self, lease: Lease, outcome: Outcome) -> bool:
        """Write an outcome; False when the lease was lost."""
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give back without an attempt."""
        ...

    async def begin_put(self, put: PutBeside) -> float:
        """Keep that a tag may be put from now on by whoever has no lease of it; return when it will be looked at."""
        ...

    async def end_put(self, put: PutBeside, *, doubt_until: float, look_at: float) -> None:
        """Keep that it was put: it is looked at at `look_at` (Unix seconds), not at `doubt_until`."""
        ...

    async def paused_since(self, replica: str) -> float | None:
        """Return since when the replica's lane is paused, Unix seconds; None: it is not."""
        ...

    async def next_due(self, replica: str, least: Priority = Priority.LOW) -> float | None:
        """Return when the next row that is at least that urgent is due, Unix seconds."""
        ...

    async def make_due(self, replica: str, *, parked: bool = True, limit: int | None = None) -> int:
        """Make failing rows due now, the oldest first; returns how many."""
        ...

    async def row(self, key: IntentKey) -> Row | None:
        """Return one row."""
        ...

    async def note_put(self, key: IntentKey, digest: Digest) -> None:
        """Keep that `digest` is about to be put under a tag."""
        ...

    async def tag_history(self, key: IntentKey) -> tuple[Entry, ...]:
        """Return what a tag was made to name, newest first."""
        ...

    async def wanted_repair(self, key: IntentKey) -> frozenset[Digest] | None:
        """Return what of a row has wrong bytes on the replica, if anything of it is not to be believed; else None."""
        ...

    async def repaired(self, lease: Lease) -> None:
        """Drop what was found before the lease was taken: it is mended."""
        ...
