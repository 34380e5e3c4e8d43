"""Where a companion goes that cannot be brought: into a row of its own, so that it never holds the image."""

from typing import Protocol

import structlog

from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError
from replicator.model import Digest, Intent, IntentKey, Lease, Recorded, Reference
from replicator.observability.labels import UpdateKind
from replicator.observability.metrics import Metrics
from replicator.replication.events import ReplicationEvent
from replicator.replication.ports import IntentStore

_log = structlog.get_logger(__name__)


class Asides(Protocol):
    """What is set aside of an image, the one that is leased, while the image goes on."""

    async def is_given_up(self, lease: Lease, reference: Reference) -> bool:
        """Say whether `reference` needs no try with this image, because it is parked by itself."""
        ...

    async def set_aside(self, lease: Lease, reference: Reference, error: RegistryError | ContentError) -> None:
        """Keep that `reference` could not be brought because of `error`."""
        ...


class RowAsides:
    """Gives each a row of its own in the store, where it is tried again, parked and shown."""

    def __init__(self, store: IntentStore, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock

    async def is_given_up(self, lease: Lease, reference: Reference) -> bool:
        """Say whether its row is parked."""
        row = await self._store.row(_key(lease, reference))
        return row is not None and row.parked

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


def _key(lease: Lease, reference: Reference) -> IntentKey:
    return IntentKey(lease.key.replica, lease.key.repository, reference)
