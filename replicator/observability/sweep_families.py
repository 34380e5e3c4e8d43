"""The metric families of sweeps."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class SweepFamilies:
    """What is told of comparisons of the primary with what the replicas hold."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.verified = Gauge(
            "replicator_source_verified_timestamp_seconds",
            "Whatever the source named until then was compared with the replicas, every digest of it.",
            ["source"],
            registry=registry,
        )
        self.listed = Gauge(
            "replicator_source_listed_timestamp_seconds",
            "Whatever tags the source had until then were compared with the replicas.",
            ["source"],
            registry=registry,
        )
        self.repositories = Gauge(
            "replicator_sweep_repositories", "Repositories that are compared.", ["source"], registry=registry
        )
        self.full_interval = Gauge(
            "replicator_sweep_full_interval_seconds",
            "How often everything is to be compared; 0 where sweeps are off.",
            registry=registry,
        )
        self.differences = Counter(
            "replicator_reconcile_differences_total",
            "Differences that sweeps found.",
            ["replica", "kind"],
            registry=registry,
        )
        self.duration = Gauge(
            "replicator_reconcile_duration_seconds",
            "How long the last sweep took, from something being due until nothing was.",
            registry=registry,
        )
        self.requests = Counter(
            "replicator_sweep_requests_total", "Requests of sweeps to the source.", ["op"], registry=registry
        )
        self.failures = Counter(
            "replicator_sweep_failures_total", "Comparisons that failed.", ["reason"], registry=registry
        )
