"""What deletes count; part of the daemon's metrics (metrics.py)."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from replicator.observability.labels import DeleteResult
from replicator.observability.summary import ReplicaSummary


class DeleteFamilies:
    """What is told of deletes on replicas."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.ended = Counter(
            "replicator_deletes_total",
            "Tags and manifests that the primary lost, by what became of them on the replica.",
            ["replica", "result"],
            registry=registry,
        )
        self.pending = Gauge(
            "replicator_deletes_pending",
            "Tags and manifests that are to be deleted on the replica, in their grace period or stopped.",
            ["replica"],
            registry=registry,
        )
        self.left = Gauge(
            "replicator_deletes_left",
            "Tags and manifests that the primary lost and that stay on the replica, whatever the reason.",
            ["replica"],
            registry=registry,
        )
        self.stopped = Gauge(
            "replicator_deletes_stopped",
            "1 while the replica's deletes wait for an operator.",
            ["replica"],
            registry=registry,
        )


class DeleteMetrics:
    """The metrics of deletes under one configuration."""

    def __init__(self, families: DeleteFamilies, replicas: Iterable[str]) -> None:
        # Made ahead, so that every series exists from the start and no other ever can.
        self._replicas = tuple(replicas)
        self._ended = {
            (replica, result): families.ended.labels(replica, result)
            for replica in self._replicas
            for result in DeleteResult
        }
        self._pending = {replica: families.pending.labels(replica) for replica in self._replicas}
        self._left = {replica: families.left.labels(replica) for replica in self._replicas}
        self._stopped = {replica: families.stopped.labels(replica) for replica in self._replicas}

    def delete_ended(self, replica: str, result: str) -> None:
        """Count a reference that the primary lost, by what became of it (a DeleteResult)."""
        self._ended[replica, DeleteResult(result)].inc()

    def summary(self, found: Mapping[str, ReplicaSummary]) -> None:
        """Take over a reading of the store."""
        for replica in self._replicas:
            one = found.get(replica)
            self._pending[replica].set(0 if one is None else one.deletes.pending)
            self._left[replica].set(0 if one is None else sum(one.deletes.left.values()))
            self._stopped[replica].set(one is not None and one.deletes.stopped_since is not None)
