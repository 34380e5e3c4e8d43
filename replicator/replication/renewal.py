"""Keeps the leases of a lane's jobs from running out while they are worked on."""

from collections.abc import Mapping

import structlog

from replicator.clock import Clock
from replicator.errors import StoreError
from replicator.model import IntentKey
from replicator.replication.events import ReplicationEvent
from replicator.replication.ports import IntentStore
from replicator.replication.worker import Job

LEASE_SECONDS = 60.0
_RENEW_EVERY = 20.0

_log = structlog.get_logger(__name__)


async def renew_for_ever(replica: str, jobs: Mapping[IntentKey, Job], store: IntentStore, clock: Clock) -> None:
    """Renew the leases of `jobs`, which may change meanwhile; a job whose lease was taken over is cut short."""
    while True:
        await clock.sleep(_RENEW_EVERY)
        held_now = dict(jobs)
        if not held_now:
            continue
        asked = clock.monotonic()
        try:
            held = await store.renew([job.lease for job in held_now.values()], LEASE_SECONDS)
        except StoreError as error:
            _log.warning(ReplicationEvent.LEASE_RENEWAL_FAILED, replica=replica, error=str(error))
            continue
        for key, job in held_now.items():
            if key in held:
                job.held_until = asked + LEASE_SECONDS
            else:
                job.scope.cancel()
