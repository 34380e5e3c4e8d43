"""The bytes of one blob for the tries of its upload: from the first one on, or from where it stopped."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from replicator.model import Descriptor, Repository
from replicator.replication.hash_trail import HashTrail, Unproven
from replicator.replication.pacing import Standing
from replicator.replication.ports import Source
from replicator.replication.shared_reads import SharedReads
from replicator.replication.subscription import Subscription


@dataclass(slots=True, kw_only=True)
class BlobBody:
    """Reads `blob` from `source`. `shared` is used up by the first try; `on_sent` is told of bytes as they go."""

    reads: SharedReads
    source: Source
    repository: Repository
    blob: Descriptor
    standing: Standing
    on_sent: Callable[[int], None]
    trail: HashTrail
    shared: Subscription | None = None

    async def __call__(self) -> AsyncIterator[bytes]:
        """Yield all bytes, verified; the last only once all are proven."""
        read, self.shared = self.shared, None
        if read is None:
            read = self.reads.subscribe(self.source, self.repository, self.blob, self.standing)
        self.trail.begin()
        async with aclosing(self._taken(read, 0)) as chunks:
            async for data in chunks:
                yield data

    def can_verify(self, offset: int) -> bool:
        """Say whether the bytes from `offset` on can be proven here."""
        return self.trail.before(offset) is not None

    async def from_offset(self, offset: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `offset` on; unproven where `can_verify` says no."""
        start, hasher = self.trail.before(offset) or (offset, Unproven(self.blob.digest))
        read = self.reads.subscribe_at(
            self.source, self.repository, self.blob, self.standing, position=start, hasher=hasher.copy()
        )
        async with aclosing(self._taken(read, offset - start)) as chunks:
            async for data in chunks:
                yield data

    async def _taken(self, read: Subscription, skip: int) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(read.chunks()) as chunks:
                async for data in chunks:
                    if not isinstance(read.hasher, Unproven):
                        self.trail.note(read.position, read.hasher)
                    wanted, skip = data[skip:], max(0, skip - len(data))
                    if wanted:
                        self.on_sent(len(wanted))
                        yield wanted
        finally:
            read.close()
