"""Uploads to one replica that may go on after a cut: where, from which byte, and with which hash (G10).

The place is kept in the store, so that it outlives the daemon; the state of the hash only here.
"""

import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator

from replicator.errors import RegistryError, StoreError
from replicator.model import Descriptor, Digest, Repository
from replicator.observability.labels import ResumptionResult
from replicator.observability.metrics import Metrics
from replicator.registry.resumption import Resumption
from replicator.registry.upload_requests import UploadSession
from replicator.replication.blob_body import BlobBody
from replicator.replication.hash_trail import HashTrail
from replicator.replication.ports import Replica, UploadStore
from replicator.store.rows import KeptUpload

WORTH_KEEPING = 16 * 1024 * 1024
"""Bytes from which on a blob is worth a row in the store."""
_TRAILS = 256


class KeptUploads:
    """What one lane keeps of its large uploads. Without a `store` they go on within this process only."""

    def __init__(self, store: UploadStore | None = None) -> None:
        self.store = store
        self._trails: OrderedDict[tuple[Repository, Digest], HashTrail] = OrderedDict()

    def trail(self, repository: Repository, blob: Descriptor) -> HashTrail:
        """Return how far the hash of an upload had come; the 256 last ones of large blobs are kept."""
        if blob.size < WORTH_KEEPING:
            return HashTrail()
        digest = blob.digest
        trail = self._trails.setdefault((repository, digest), HashTrail())
        self._trails.move_to_end((repository, digest))
        while len(self._trails) > _TRAILS:
            self._trails.popitem(last=False)
        return trail

    def drop_trail(self, repository: Repository, digest: Digest) -> None:
        """Forget the hash of an upload that is over."""
        self._trails.pop((repository, digest), None)

    def resumption(
        self, replica: Replica, repository: Repository, body: BlobBody, metrics: Metrics
    ) -> Resumption | None:
        """Return what lets the upload of a blob to `repository` go on; None for a blob that is not worth it."""
        if body.blob.size < WORTH_KEEPING:
            return None
        return _Resumption(self, replica, repository, body, metrics)


class _Resumption:
    """One upload that may go on; `is_kept`: the store knows of it."""

    def __init__(
        self, uploads: KeptUploads, replica: Replica, repository: Repository, body: BlobBody, metrics: Metrics
    ) -> None:
        self._uploads = uploads
        self._replica = replica
        self._metrics = metrics
        self._repository = repository
        self._body = body
        self._digest = body.blob.digest
        self.is_kept = False

    async def kept(self) -> UploadSession | None:
        """Return where the upload goes on that a former try or a former life began."""
        replica, store = self._replica, self._uploads.store
        if store is None:
            return None
        with contextlib.suppress(StoreError, RegistryError):
            found = await store.kept_upload(replica.name, self._repository, self._digest)
            if found is not None:
                self.is_kept = True
                return replica.reopen_upload(self._repository, found.location)
        return None

    async def keep(self, session: UploadSession, position: int) -> None:
        """Keep where it goes on; a store that fails costs the bytes once more, not the copy."""
        store = self._uploads.store
        if store is not None:
            with contextlib.suppress(StoreError):
                kept = KeptUpload(location=session.target.text, position=position)
                await store.keep_upload(self._replica.name, self._repository, self._digest, kept)
                self.is_kept = True

    async def forget(self) -> None:
        """Drop what is kept."""
        self._uploads.drop_trail(self._repository, self._digest)
        store = self._uploads.store
        if self.is_kept and store is not None:
            with contextlib.suppress(StoreError):
                await store.forget_upload(self._replica.name, self._repository, self._digest)
                self.is_kept = False

    @property
    def sent(self) -> int:
        """How far this process came with the blob; when that is unknown, the whole of it."""
        return self._body.trail.sent or self._body.blob.size

    def can_verify(self, offset: int) -> bool:
        """Say whether the bytes from `offset` on can be proven here."""
        return self._body.can_verify(offset)

    def from_offset(self, offset: int) -> AsyncIterator[bytes]:
        """Open the bytes from `offset` on."""
        return self._body.from_offset(offset)

    def went_on(self) -> None:
        """Count it."""
        self._metrics.upload_resumption(self._replica.name, ResumptionResult.RESUMED)

    def started_again(self) -> None:
        """Count it."""
        self._metrics.upload_resumption(self._replica.name, ResumptionResult.RESTARTED)
