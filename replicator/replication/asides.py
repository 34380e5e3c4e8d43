"""Where a companion goes that cannot be brought: into a row of its own, so that it never holds the image."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError
from replicator.model import Digest, Intent, IntentKey, Lease, Recorded, Reference, Tag
from replicator.observability.labels import UpdateKind
from replicator.observability.metrics import Metrics
from replicator.replication.conflicts import Conflicts
from replicator.replication.events import ReplicationEvent
from replicator.replication.ports import IntentStore
from replicator.retry import LOOKS
from replicator.store.rows import PutBeside

WhenPut = Callable[[], Awaitable[None]]
"""To be called once the replica took it."""
_log = structlog.get_logger(__name__)


class Asides(Protocol):
    """What is set aside of an image, the one that is leased, while the image goes on."""

    async def is_given_up(self, lease: Lease, reference: Reference) -> bool:
        """Say whether `reference` needs no try with this image, because it is parked or ignored by itself."""
        ...

    async def set_aside(self, lease: Lease, reference: Reference, error: RegistryError | ContentError) -> None:
        """Keep that `reference` could not be brought because of `error`."""
        ...

    async def about_to_put(self, lease: Lease, tag: Tag, digest: Digest) -> WhenPut:
        """Keep that from now on `tag` may be put by us, who have no lease of it: a late put must be found."""
        ...

    async def weigh(self, lease: Lease, tag: Tag, held: Digest | None, wanted: Digest, *, keep: bool) -> None:
        """Count that somebody else had `tag` name `held` on the replica; with `keep` raise a RegistryError for it."""
        ...


class RowAsides:
    """Gives each a row of its own in the store, where it is tried again, parked and shown."""

    def __init__(self, store: IntentStore, metrics: Metrics, clock: Clock) -> None:
        self._conflicts = Conflicts(store, metrics)
        self._store = store
        self._metrics = metrics
        self._clock = clock

    async def is_given_up(self, lease: Lease, reference: Reference) -> bool:
        """Say whether its row is parked, or was decided to be left out."""
        row = await self._store.row(_key(lease, reference))
        return row is not None and (row.parked or row.ignored_at is not None)

    async def set_aside(self, lease: Lease, reference: Reference, error: RegistryError | ContentError) -> None:
        """Make it owed, unless it is."""
        key, now = _key(lease, reference), self._clock.now()
        row = await self._store.row(key)
        if row is not None and row.owed:
            return
        _log.warning(
            ReplicationEvent.REFERRER_SET_ASIDE, referrer=str(reference), reason=error.reason, error=str(error)
        )
        intent = Intent(
            key=key,
            digest=reference if isinstance(reference, Digest) else None,
            since=now,
            due_at=now,
            priority=lease.priority,
            fingerprint=lease.fingerprint,
            delivery=lease.delivery,
        )
        if await self._store.record([intent]) == (Recorded.ACCEPTED,):
            kind = UpdateKind.DIGEST if isinstance(reference, Digest) else UpdateKind.TAG
            self._metrics.update_owed(key.replica, kind)

    async def weigh(self, lease: Lease, tag: Tag, held: Digest | None, wanted: Digest, *, keep: bool) -> None:
        """Count that somebody else had `tag` name `held` on the replica; with `keep` raise a RegistryError for it."""
        await self._conflicts.weigh_beside(_key(lease, tag), held, wanted, keep=keep)

    async def about_to_put(self, lease: Lease, tag: Tag, digest: Digest) -> WhenPut:
        """Leave a look at its row: soon after the put, or, should no answer come, when it can land no more."""
        put = PutBeside(
            key=_key(lease, tag),
            digest=digest,
            priority=lease.priority,
            fingerprint=lease.fingerprint,
            delivery=lease.delivery,
        )
        doubt_until = await self._store.begin_put(put)

        async def when_put() -> None:
            look_at = self._clock.now() + LOOKS[0]
            await self._store.end_put(put, doubt_until=doubt_until, look_at=look_at)

        return when_put


def _key(lease: Lease, reference: Reference) -> IntentKey:
    return IntentKey(lease.key.replica, lease.key.repository, reference)
