"""What a registry serves, read and hashed: whether it is what its digest says. Nothing is kept of it."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from replicator.errors import ContentError
from replicator.model import Descriptor, Digest, RawManifest, Reference, Repository


class BlobChunks(Protocol):
    """An open read of one blob."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes in order. Raises RegistryError when the body ends early, ContentError for too many."""
        ...


class Readable(Protocol):
    """A registry that is read from."""

    async def read_manifest(self, repository: Repository, reference: Reference) -> RawManifest:
        """Return verified raw bytes. Raises NotFound, ContentError."""
        ...

    def open_blob(
        self, repository: Repository, descriptor: Descriptor, offset: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[BlobChunks]:
        """Open a blob. Raises NotFound, ContentError."""
        ...


async def is_blob_intact(
    registry: Readable, repository: Repository, blob: Descriptor, on_read: Callable[[int], None] = lambda _: None
) -> bool:
    """Read a whole blob and say whether it has its size and its digest; `on_read` is told of each piece's bytes.

    Raises NotFound, and RegistryError when it cannot be read to its end.
    """
    hasher = hashlib.new(blob.digest.algorithm)
    try:
        async with registry.open_blob(repository, blob) as reader:
            async for chunk in reader.chunks():
                hasher.update(chunk)
                on_read(len(chunk))
    except ContentError:
        return False
    return hasher.hexdigest() == blob.digest.encoded


async def is_manifest_intact(registry: Readable, repository: Repository, digest: Digest) -> bool:
    """Read a manifest and say whether it has its digest. Raises NotFound, RegistryError."""
    try:
        await registry.read_manifest(repository, digest)
    except ContentError:
        return False
    return True
