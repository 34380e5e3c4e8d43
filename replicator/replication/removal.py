"""A manifest is removed from one replica by its digest, once nothing there needs it (G8)."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

from replicator import manifest as manifests
from replicator.errors import RegistryError
from replicator.model import Digest, IntentKey, Repository
from replicator.replication.deletion_ports import DigestRows
from replicator.replication.needs import Needs
from replicator.replication.referrer_lists import ReferrerLists
from replicator.replication.standstill import Watch
from replicator.replication.tools import Tools


class Removal:
    """Removes from the replica of one lane; `lists` are those that its copies write."""

    def __init__(self, tools: Tools, lists: ReferrerLists, rows: DigestRows) -> None:
        self._tools = tools
        self._lists = lists
        self._needs = Needs(tools.replica, rows)

    def watching(self, target: Repository) -> AbstractContextManager[Watch]:
        """Watch for copies that may come to rely on what is about to be removed."""
        return self._tools.standstill.watching(target)

    async def is_needed(self, key: IntentKey, target: Repository, digest: Digest) -> bool | None:
        """Say whether anything on the replica needs the manifest, None where that cannot be told.

        Raises RegistryError, StoreError.
        """
        return await self._needs.is_needed(key, target, digest)

    async def remove(
        self, target: Repository, digest: Digest, watch: Watch, last: Callable[[], Awaitable[None]]
    ) -> bool:
        """Have no list name the manifest, then delete it, after `last` returned; copies wait meanwhile.

        False where a copy was under way since the watch began: it may rely on the manifest, which stays. Raises
        RegistryError, ContentError, and what `last` raises; one that is refused is listed as before.
        """
        if watch.disturbed:
            return False
        raw = await self._tools.replica.read_manifest(target, digest)
        subject = manifests.parse(raw, registry=self._tools.replica.name).subject
        if subject is None:
            return await self._delete(target, digest, watch, last)
        await self._lists.remove(target, subject.digest, digest)
        # Where it stays it is listed again, whoever took it off: an earlier try may have, and failed.
        try:
            removed = await self._delete(target, digest, watch, last)
        except RegistryError as error:
            if not error.temporary:
                await self._lists.add(target, subject.digest, [raw])
            raise
        if not removed:
            await self._lists.add(target, subject.digest, [raw])
        return removed

    async def _delete(
        self, target: Repository, digest: Digest, watch: Watch, last: Callable[[], Awaitable[None]]
    ) -> bool:
        async with self._tools.standstill.holding(target):
            if watch.disturbed:
                return False
            await last()
            # Whatever comes of it: who copies next asks whether it is there.
            self._tools.standstill.lost(target, digest)
            await self._tools.replica.delete_manifest(target, digest)
        return True
