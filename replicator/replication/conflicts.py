"""Tags of a replica that somebody else changed: found, counted, and kept as they are where a rule says so (G8)."""

import structlog

from replicator.conflict import TagOnReplica, is_foreign
from replicator.errors import Reason, RegistryError
from replicator.model import Digest, IntentKey
from replicator.observability.metrics import Metrics
from replicator.replication.events import ReplicationEvent
from replicator.replication.ports import IntentStore

_log = structlog.get_logger(__name__)


class Conflicts:
    """Tells what the tags of replicas name through no act of ours. All methods raise StoreError."""

    def __init__(self, store: IntentStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    async def refuse_foreign(self, key: IntentKey, held: Digest | None, wanted: Digest) -> None:
        """Raise a RegistryError for a conflict where somebody else put `held`: the tag stays as it is."""
        if await self._is_foreign(key, held, wanted, keep=True):
            raise _kept(key, held)

    async def overwritten(self, key: IntentKey, held: Digest | None, wanted: Digest) -> None:
        """Count that `wanted` is put where somebody else had put `held`."""
        await self._is_foreign(key, held, wanted, keep=False)

    async def weigh_beside(self, key: IntentKey, held: Digest | None, wanted: Digest, *, keep: bool) -> None:
        """Do either, for a tag that goes along with an image. What is kept is counted by its own row's attempt."""
        if not keep:
            await self.overwritten(key, held, wanted)
        elif await self._is_foreign(key, held, wanted, keep=True, tell=False):
            raise _kept(key, held)

    async def about_to_put(self, key: IntentKey, digest: Digest) -> None:
        """Keep that `digest` may be put from now on, so that it is known as ours whatever becomes of the put."""
        await self._store.note_put(key, digest)

    async def _is_foreign(
        self, key: IntentKey, held: Digest | None, wanted: Digest, *, keep: bool, tell: bool = True
    ) -> bool:
        if held is None or held == wanted or isinstance(key.reference, Digest):
            return False
        row = await self._store.row(key)
        doubtful = row is not None and row.doubtful
        noted = await self._store.tag_history(key) if doubtful and keep else ()
        tag = TagOnReplica(
            held=held,
            wanted=wanted,
            have=None if row is None else row.have,
            doubtful=doubtful,
            noted=frozenset(entry.digest for entry in noted),
        )
        if not is_foreign(tag, every_put_noted=keep):
            return False
        # One that is found again each time it is tried is one conflict.
        if tell and (row is None or row.reason is not Reason.CONFLICT):
            self._metrics.conflict_found(key.replica)
            _log.warning(ReplicationEvent.TAG_CONFLICT, tag=str(key), held=str(held), wanted=str(wanted), kept=keep)
        return True


def _kept(key: IntentKey, held: Digest | None) -> RegistryError:
    return RegistryError(
        f"{key} names {held} there, which we did not put, and the rule keeps it (conflicts: keep)",
        registry=key.replica,
        reason=Reason.CONFLICT,
    )
