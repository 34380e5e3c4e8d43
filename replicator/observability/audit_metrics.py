"""What continuous verification counts; part of the daemon's metrics (metrics.py)."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter

from replicator.observability.labels import VerifyResult


class AuditFamilies:
    """What is told of verification."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.verified = Counter(
            "replicator_verified_references_total",
            "References that a replica was asked for, to see whether it still holds what was put there.",
            ["replica", "result"],
            registry=registry,
        )


class AuditMetrics:
    """The metrics of verification under one configuration."""

    def __init__(self, families: AuditFamilies, *, replicas: Iterable[str]) -> None:
        # Made ahead, so that every series exists from the start and no other ever can.
        self._verified = {
            (replica, result): families.verified.labels(replica, result)
            for replica in replicas
            for result in VerifyResult
        }

    def verified(self, replica: str, result: str) -> None:
        """Count one reference (a VerifyResult)."""
        self._verified[replica, VerifyResult(result)].inc()
