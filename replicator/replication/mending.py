"""Content that a replica holds with wrong bytes: sent anew, then read back: many registries keep what they have.

Distribution answers 201 to the upload of a blob that it has and leaves the file as it is, damaged or not.
"""

from collections.abc import Awaitable, Callable, Collection

from replicator.clock import Clock
from replicator.errors import ContentError, NotFound
from replicator.manifest import Closure
from replicator.model import Descriptor, Digest, Repository
from replicator.observability.labels import BlobResult
from replicator.registry.read_back import is_blob_intact, is_manifest_intact
from replicator.replication.ports import Replica

TRY_EVERY = 600.0
"""Seconds for which a blob that stayed damaged is not sent again, whoever needs it."""
_MOST = 10_000


class Unmended:
    """Blobs of one replica that were sent anew and stayed damaged, and when (monotonic seconds)."""

    def __init__(self) -> None:
        self._since: dict[Digest, float] = {}

    def add(self, digest: Digest, now: float) -> None:
        """Keep that `digest` stayed damaged; of very many the oldest is forgotten."""
        self._since.pop(digest, None)
        self._since[digest] = now
        if len(self._since) > _MOST:
            del self._since[next(iter(self._since))]

    def lately(self, digest: Digest, now: float) -> bool:
        """Say whether that was seen within the last ten minutes."""
        return now - self._since.get(digest, -TRY_EVERY) < TRY_EVERY


async def mend_blob(
    replica: Replica,
    repository: Repository,
    blob: Descriptor,
    send: Callable[[], Awaitable[None]],
    *,
    unmended: Unmended,
    clock: Clock,
) -> BlobResult:
    """Have the replica hold `blob` with the right bytes: `send` uploads it. Raises ContentError if it stays damaged.

    One that lately stayed so is only asked for: an operator who removed it lets it be sent again.
    """
    if unmended.lately(blob.digest, clock.monotonic()):
        if await _is_there(replica, repository, blob):
            raise _stays_damaged(replica, repository, blob.digest)
    elif await _serves(replica, repository, blob):
        return BlobResult.EXISTED
    await send()
    if not await _serves(replica, repository, blob):
        unmended.add(blob.digest, clock.monotonic())
        raise _stays_damaged(replica, repository, blob.digest)
    return BlobResult.COPIED


async def check_manifests(
    replica: Replica, repository: Repository, closure: Closure, damaged: Collection[Digest]
) -> None:
    """Read those manifests back that were damaged and put anew. Raises ContentError when one stayed so."""
    for digest in (one.raw.digest for one in closure.manifests if one.raw.digest in damaged):
        if not await is_manifest_intact(replica, repository, digest):
            raise _stays_damaged(replica, repository, digest)


async def _serves(replica: Replica, repository: Repository, blob: Descriptor) -> bool:
    try:
        return await is_blob_intact(replica, repository, blob)
    except NotFound:
        return False


async def _is_there(replica: Replica, repository: Repository, blob: Descriptor) -> bool:
    try:
        return await replica.has_blob(repository, blob)
    except ContentError:
        return True


def _stays_damaged(replica: Replica, repository: Repository, digest: Digest) -> ContentError:
    return ContentError(
        f"{replica.name}: {digest} of {repository} is damaged in its storage, and the registry keeps it although it "
        "was sent again: remove its file there (docs/verification.md), then run `replicator retry`",
        registry=replica.name,
    )
