"""The part of the store that remembers what tags of replicas were made to name."""

from functools import partial

from replicator.model import Digest, IntentKey
from replicator.store import tag_history
from replicator.store.handle import Handle
from replicator.store.rows import Entry, What


class TagMemory(Handle):
    """Keeps the newest entries of each tag. All methods raise StoreError."""

    async def note_put(self, key: IntentKey, digest: Digest) -> None:
        """Keep that `digest` is about to be put under the tag; on return that is on the disk."""
        await self._writer.submit(partial(tag_history.note, key=key, digest=digest, what=What.PUT))

    async def tag_history(self, key: IntentKey) -> tuple[Entry, ...]:
        """Return what the tag was made to name, newest first."""
        return await self._read(partial(tag_history.of_tag, key=key))
