"""The daemon's metrics: one small method for each thing that can happen, and the page Prometheus reads.

Labels are bounded: names from the configuration and the words of observability/labels.py. Any other replica,
endpoint or word raises KeyError, since it is a mistake of the caller. Safe to call from any thread.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from replicator.clock import Clock
from replicator.errors import Reason
from replicator.model import RequestKind
from replicator.observability.audit_metrics import AuditMetrics
from replicator.observability.delete_metrics import DeleteMetrics
from replicator.observability.families import Families
from replicator.observability.labels import (
    CODE_CLASSES,
    DEDUPLICATED,
    OPERATION_LABELS,
    AttemptResult,
    BlobResult,
    LaneState,
    ResumptionResult,
    UpdateKind,
    UpdateResult,
    WebhookResult,
    code_class,
    operation_label,
)
from replicator.observability.notification_metrics import NotificationMetrics
from replicator.observability.scope import Scope
from replicator.observability.summary import Summary
from replicator.observability.sweep_metrics import SweepMetrics

__all__ = ["EXEMPLAR", "Metrics", "Scope"]

EXEMPLAR = "trace_id"
"""The label of exemplars: what Grafana looks for unless told otherwise."""
_Family = TypeVar("_Family", bound=MetricWrapperBase)


class Metrics:
    """All metrics of one daemon under one configuration; `rescoped` gives those under the next one."""

    def __init__(
        self,
        scope: Scope,
        *,
        clock: Clock,
        registry: CollectorRegistry | None = None,
        families: Families | None = None,
    ) -> None:
        self._scope = scope
        self._clock = clock
        self._families = families or Families(registry if registry is not None else CollectorRegistry())
        self._replica = replica = self._families.replica
        self._transfer = transfer = self._families.transfer
        self._intake = intake = self._families.intake
        intake.objective.set(scope.objective_lag)
        intake.objective_ratio.set(scope.objective_percent / 100)
        intake.build.info({"version": scope.version})
        names = scope.replicas
        self._pending = _children(replica.pending, names)
        self._pending_bytes = _children(replica.pending_bytes, names)
        self._parked = _children(replica.parked, names)
        self._ignored = _children(replica.ignored, names)
        self._failing = _children(replica.failing, names, Reason)
        self._updates = _children(replica.updates, names, UpdateKind)
        self._completed = _children(replica.completed, names, UpdateResult)
        self._missed = _children(replica.missed, names)
        self._lag = _children(replica.lag, names)
        self._conflicts = _children(replica.conflicts, names)
        self._attempts = _children(replica.attempts, names, AttemptResult)
        self._lane_state = _children(replica.lane_state, names, LaneState)
        self._lane_window = _children(replica.lane_window, names)
        self._copied_bytes = _children(transfer.copied_bytes, names)
        self._blobs = _children(transfer.blobs, names, BlobResult)
        self._deduplicated = _children(transfer.deduplicated_bytes, names, sorted(DEDUPLICATED))
        self._resumptions = _children(transfer.resumptions, names, ResumptionResult)
        self._inflight = _children(transfer.inflight, names)
        self._source_bytes = _children(transfer.source_bytes, scope.sources)
        self._events = _children(intake.events, scope.senders, WebhookResult)
        self._ack = _children(intake.ack, scope.senders)
        self._delay = _children(intake.delay, scope.senders)
        self._connected = _children(intake.connected, scope.subscriptions)
        self._peers = frozenset(scope.sources) | frozenset(names)
        self._requests = _children(transfer.requests, sorted(self._peers), OPERATION_LABELS, CODE_CLASSES)
        self._durations = _children(transfer.request_duration, OPERATION_LABELS)
        self.deletes = DeleteMetrics(self._families.deletes, names)
        self.sweeps = SweepMetrics(
            self._families.sweep,
            replicas=names,
            source=scope.sources[0],
            full_interval=scope.sweep_full_every,
        )
        self.notifications = NotificationMetrics(self._families.notify, receivers=scope.receivers)
        self.audits = AuditMetrics(self._families.audit, replicas=names)
        limits = self._families.limits
        self._window = _children(limits.window, sorted(self._peers), RequestKind)
        self._refused = _children(limits.refused, sorted(self._peers), RequestKind)
        self._waited = _children(limits.waited, sorted(self._peers), RequestKind)

    # Webhooks

    def webhook_events(self, endpoint: str, result: str, count: int = 1) -> None:
        """Count `count` events of one delivery that had the same result (a WebhookResult)."""
        self._events[endpoint, result].inc(count)

    def webhook_answered(self, endpoint: str, seconds: float) -> None:
        """Note how long an authentic delivery took from its head to its answer."""
        self._ack[endpoint,].observe(seconds)

    def delivery_delayed(self, endpoint: str, seconds: float) -> None:
        """Note how long after its own time an event was received; a time in the future counts as none."""
        self._delay[endpoint,].observe(max(0.0, seconds))

    def subscription_connected(self, endpoint: str, *, connected: bool) -> None:
        """Say whether the events of a subscription can come."""
        self._connected[endpoint,].set(connected)

    # Updates

    def update_owed(self, replica: str, kind: str) -> None:
        """Count an update (an UpdateKind) that turned from clean to owed."""
        self._updates[replica, kind].inc()

    def attempt(self, replica: str, result: str) -> None:
        """Count one try (an AttemptResult)."""
        self._attempts[replica, result].inc()

    def conflict_found(self, replica: str) -> None:
        """Count a tag that somebody else had changed on the replica."""
        self._conflicts[replica,].inc()

    def update_settled(self, replica: str, result: str, lag_seconds: float | None, delivery: str = "") -> None:
        """Count an update that ended (an UpdateResult); `lag_seconds` None where nothing was owed (a second look).

        `delivery` is the id that also stands in log lines; it becomes the exemplar.
        """
        self._completed[replica, result].inc()
        if lag_seconds is not None:
            self._lag[replica,].observe(max(0.0, lag_seconds), _exemplar(delivery))

    def deadline_missed(self, replica: str, count: int = 1) -> None:
        """Count updates that have just crossed the objective; the caller sees to it that each does so once."""
        self._missed[replica,].inc(count)

    def summary(self, summary: Summary) -> None:
        """Take over a reading of the store: lag, owed and failing updates. Replicas not configured are left out."""
        self._intake.last_read.set(summary.read_at)
        self.deletes.summary(summary.replicas)
        for name in self._scope.replicas:
            found = summary.replicas.get(name)
            oldest = None if found is None else found.since
            self._pending[name,].set(0 if found is None else found.owed)
            self._parked[name,].set(0 if found is None else found.parked)
            self._ignored[name,].set(0 if found is None else found.ignored)
            for reason in Reason:
                self._failing[name, reason].set(0 if found is None else found.failing.get(reason, 0))
            # A change from the future must not look as if the replica were ahead of the reading.
            synced = summary.read_at if oldest is None else min(oldest, summary.read_at)
            self._replica.synced_through.labels(name).set(synced)

    def pending_bytes_from(self, replica: str, total: Callable[[], int]) -> None:
        """Have `total` asked, at each reading of the page, for the bytes that the replica is known to lack.

        From a thread that is not that of the event loop.
        """
        self._pending_bytes[replica,].set_function(total)

    # Lanes and leases

    def lane_state(self, replica: str, state: str) -> None:
        """Say which LaneState the replica's lane is in now."""
        current = self._lane_state[replica, state]
        for each in LaneState:
            self._lane_state[replica, each].set(0)
        current.set(1)

    def lane_window(self, replica: str, updates: int) -> None:
        """Say how many updates the lane may work on at once."""
        self._lane_window[replica,].set(updates)

    def leases_taken(self, count: int) -> None:
        """Note leases that were taken."""
        self._intake.leases_held.inc(count)

    def leases_ended(self, count: int, *, lost: bool = False) -> None:
        """Note leases that were settled or given back; `lost` when another took them over first."""
        self._intake.leases_held.dec(count)
        if lost:
            self._intake.leases_lost.inc(count)

    # Bytes and blobs

    def bytes_copied(self, replica: str, count: int) -> None:
        """Count blob bytes sent to a replica, as they go."""
        self._copied_bytes[replica,].inc(count)

    def source_bytes_read(self, source: str, count: int) -> None:
        """Count blob bytes read from a source, as they come."""
        self._source_bytes[source,].inc(count)

    def blob_settled(self, replica: str, how: str, size: int) -> None:
        """Count a blob of `size` bytes that the replica now holds, by how it came there (a BlobResult)."""
        self._blobs[replica, how].inc()
        if how in DEDUPLICATED:
            self._deduplicated[replica, how].inc(size)

    def upload_resumption(self, replica: str, result: str) -> None:
        """Count the upload of a large blob that was cut, by what became of it (a ResumptionResult)."""
        self._resumptions[replica, result].inc()

    @contextmanager
    def transferring(self, replica: str) -> Iterator[None]:
        """Count a blob as being sent to the replica for as long as the block runs."""
        gauge = self._inflight[replica,]
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def request_finished(self, registry: str, operation: str, status: int, seconds: float) -> None:
        """Count a request to a registry; status 0 when no answer came."""
        operation = operation_label(operation)
        self._requests[registry, operation, code_class(status)].inc()
        self._durations[operation,].observe(seconds)

    def clock_read(self, registry: str, skew: float) -> None:
        """Say how many seconds the registry's clock is ahead of ours."""
        if registry not in self._peers:
            raise KeyError(registry)
        self._transfer.skew.labels(registry).set(skew)

    def window_set(self, registry: str, kind: str, size: int) -> None:
        """Say how many requests of a kind (a RequestKind) may be under way at a registry."""
        self._window[registry, kind].set(size)

    def request_refused(self, registry: str, kind: str) -> None:
        """Count a request that a registry refused for want of time."""
        self._refused[registry, kind].inc()

    def request_waited(self, registry: str, kind: str, seconds: float) -> None:
        """Count for how long a request waited here for its turn."""
        self._waited[registry, kind].inc(seconds)

    # Store

    def committed(self, seconds: float, operations: int, delivery: str = "") -> None:
        """Note a commit of the store, how many operations it carried, and the id of a delivery among them."""
        self._intake.commit_duration.observe(seconds, _exemplar(delivery))
        self._intake.commit_rows.observe(operations)
        self._intake.last_commit.set(self._clock.now())

    # The configuration

    def config_loaded(self, *, valid: bool) -> None:
        """Say whether the file that was just read is the configuration from now on."""
        self._families.config.valid.set(valid)
        if valid:
            self._families.config.loaded_at.set(self._clock.now())

    def rescoped(self, scope: Scope) -> "Metrics":
        """Return the metrics of another configuration, on the same series; call `forget` on them afterwards."""
        return Metrics(scope, clock=self._clock, families=self._families)

    def forget(self, former: Scope) -> None:
        """End the series of names that `former` has and this scope has not; work of theirs goes on uncounted."""
        own = self._scope
        self._families.forget("replica", set(former.replicas) - set(own.replicas))
        self._families.forget("endpoint", set(former.senders) - set(own.senders))
        self._families.forget("receiver", set(former.receivers) - set(own.receivers))
        self._families.forget("peer", set(former.replicas) - self._peers)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its content type; OpenMetrics where the Accept header asks for it, else plain text."""
        return self._families.exposition(accept)


def _children(family: _Family, *values: Iterable[str]) -> dict[tuple[str, ...], _Family]:
    # Made ahead, so that every series exists from the start and no other ever can.
    return {labels: family.labels(*labels) for labels in product(*values)}


def _exemplar(delivery: str) -> dict[str, str] | None:
    return {EXEMPLAR: delivery} if delivery else None
