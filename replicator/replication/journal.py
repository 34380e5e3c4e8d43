"""What a lane tells of its work: one log line and the figures for each attempt, in one place."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from replicator.clock import Clock
from replicator.model import IntentKey, Lease
from replicator.observability.labels import AttemptResult, LaneState, UpdateResult
from replicator.observability.metrics import Metrics
from replicator.replication.events import ReplicationEvent
from replicator.replication.pending import PendingBytes
from replicator.replication.watchers import Watchers
from replicator.replication.worker import Job
from replicator.store.outcome import Done, Parked, Result, Retry

_log = structlog.get_logger(__name__)


@contextmanager
def about(lease: Lease) -> Iterator[None]:
    """Have every line of the block say what it is about: the reference, and what one finds its whole way by.

    `delivery` is the id of what told of the change, `attempt` counts tries since then, `lease` is the try's own
    number, never given twice.
    """
    key = lease.key
    with structlog.contextvars.bound_contextvars(
        delivery=lease.delivery,
        replica=key.replica,
        repository=key.repository,
        reference=str(key.reference),
        attempt=lease.attempts + 1,
        lease=lease.epoch,
    ):
        yield


class Journal:
    """Tells of one replica's lane in logs and metrics, inside `about`; decides nothing."""

    def __init__(self, replica: str, metrics: Metrics, clock: Clock, watchers: Watchers) -> None:
        self._replica = replica
        self._metrics = metrics
        self._clock = clock
        self._watchers = watchers
        self._pending = PendingBytes()
        metrics.pending_bytes_from(replica, self._pending.total)

    def state(self, state: LaneState, window: int) -> None:
        """Tell what the lane is doing, and how many references it may work on at once."""
        self._metrics.lane_state(self._replica, state)
        self._metrics.lane_window(self._replica, window)

    def begun(self, job: Job) -> None:
        """Tell of a lease taken."""
        self._metrics.leases_taken(1)
        self._pending.begun(job.lease.key, job.tally)
        self._watchers.begun(job.lease.key, job.tally)

    def released(self, job: Job) -> None:
        """Tell of a lease given back unfinished."""
        self._metrics.leases_ended(1)
        self._pending.failed(job.lease.key)
        self._watchers.ended(job.lease.key, None)
        if job.superseded:
            self._metrics.update_settled(self._replica, UpdateResult.SUPERSEDED, None)
            _log.info(ReplicationEvent.REFERENCE_SUPERSEDED)

    def fenced(self, lease: Lease) -> None:
        """Tell of a lease that another took over before it was settled."""
        self._pending.failed(lease.key)
        self._watchers.ended(lease.key, None)
        self._metrics.leases_ended(1, lost=True)
        self._metrics.attempt(self._replica, AttemptResult.FENCED)
        _log.warning(ReplicationEvent.LEASE_LOST)

    def unsettled(self, lease: Lease, error: str) -> None:
        """Tell of an outcome that the store could not take."""
        self._pending.failed(lease.key)
        self._watchers.ended(lease.key, None)
        self._metrics.leases_ended(1, lost=True)
        _log.error(ReplicationEvent.SETTLE_FAILED, error=error)

    def succeeded(self, job: Job, outcome: Done, seconds: float) -> None:
        """Tell of a reference that is equal now; a second look that found nothing new is not worth a line."""
        lease = job.lease
        self._metrics.leases_ended(1)
        covered = (IntentKey(lease.key.replica, lease.key.repository, digest) for digest in outcome.covered)
        self._pending.done([lease.key, *covered])
        self._watchers.ended(lease.key, outcome)
        if outcome.result is Result.DELETED:
            self._metrics.update_settled(self._replica, UpdateResult.DELETED, None)
        if lease.look:
            return
        lag = None if lease.since is None or lease.backfill else max(0.0, self._clock.now() - lease.since)
        self._metrics.attempt(self._replica, AttemptResult.OK)
        self._metrics.update_settled(self._replica, outcome.result, lag, lease.delivery)
        gone = outcome.result is Result.GONE
        _log.info(
            ReplicationEvent.REFERENCE_GONE if gone else ReplicationEvent.REFERENCE_REPLICATED,
            digest=None if outcome.digest is None else str(outcome.digest),
            result=outcome.result,
            sent_bytes=job.tally.sent,
            mounted_bytes=job.tally.mounted,
            present_bytes=job.tally.present,
            seconds=round(seconds, 3),
            lag_seconds=None if lag is None else round(lag, 3),
        )

    def failed(self, job: Job, outcome: Retry | Parked) -> None:
        """Tell of a failed attempt and when the next one is."""
        parked = isinstance(outcome, Parked)
        self._metrics.leases_ended(1)
        self._pending.failed(job.lease.key)
        self._watchers.ended(job.lease.key, outcome)
        self._metrics.attempt(self._replica, AttemptResult.PARKED if parked else AttemptResult.RETRY)
        _log.warning(
            ReplicationEvent.REFERENCE_PARKED if parked else ReplicationEvent.REFERENCE_FAILED,
            reason=outcome.reason,
            error=outcome.message,
            again_in_seconds=round(outcome.at - self._clock.now(), 1),
        )
