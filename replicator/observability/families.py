"""The metric families: every name, type, label and bucket, in one place; docs/metrics.md says what they mean."""

from collections.abc import Iterable
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from replicator.observability.audit_metrics import AuditFamilies
from replicator.observability.delete_metrics import DeleteFamilies
from replicator.observability.exposition import page
from replicator.observability.notification_metrics import NotificationFamilies
from replicator.observability.sweep_families import SweepFamilies

LAG_BUCKETS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 14400, 86400)
"""Seconds; 900 is the default objective."""
ACK_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Seconds; 2 ms and 20 ms are the targets of DESIGN 4, 1 s is when Distribution gives up."""
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
DELAY_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
ROWS_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)


class ReplicaFamilies:
    """What is counted for each replica."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.synced_through = Gauge(
            "replicator_replica_synced_through_timestamp_seconds",
            "Every change up to this time is on the replica; time() minus this is its lag.",
            ["replica"],
            registry=registry,
        )
        self.pending = Gauge(
            "replicator_replica_pending_updates", "Updates the replica is owed.", ["replica"], registry=registry
        )
        self.pending_bytes = Gauge(
            "replicator_replica_pending_bytes",
            "Bytes of blobs that owed updates lack on the replica, as far as their manifests were read.",
            ["replica"],
            registry=registry,
        )
        self.failing = Gauge(
            "replicator_replica_failing_updates",
            "Owed updates whose last attempt failed, parked ones included.",
            ["replica", "reason"],
            registry=registry,
        )
        self.parked = Gauge(
            "replicator_replica_parked_updates",
            "Owed updates that soon trying again cannot help; they are tried about hourly.",
            ["replica"],
            registry=registry,
        )
        self.ignored = Gauge(
            "replicator_ignored_updates",
            "References that the replica lacks by an operator's decision: not owed, and no lag.",
            ["replica"],
            registry=registry,
        )
        self.updates = Counter(
            "replicator_updates_total", "Updates that became owed.", ["replica", "kind"], registry=registry
        )
        self.completed = Counter(
            "replicator_updates_completed_total",
            "Updates that ended, by how.",
            ["replica", "result"],
            registry=registry,
        )
        self.missed = Counter(
            "replicator_updates_deadline_missed_total",
            "Updates that were not on the replica within the objective, counted once, when they crossed it.",
            ["replica"],
            registry=registry,
        )
        self.lag = Histogram(
            "replicator_update_lag_seconds",
            "From the change at the primary to its arrival on the replica.",
            ["replica"],
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self.conflicts = Counter(
            "replicator_conflicts_total",
            "Tags that somebody else had changed on the replica.",
            ["replica"],
            registry=registry,
        )
        self.attempts = Counter(
            "replicator_attempts_total",
            "Tries to bring an update to the replica.",
            ["replica", "result"],
            registry=registry,
        )
        self.lane_state = Gauge(
            "replicator_lane_state",
            "1 for the state the replica's lane is in, 0 for the others.",
            ["replica", "state"],
            registry=registry,
        )
        self.lane_window = Gauge(
            "replicator_lane_window", "Updates the lane may work on at once.", ["replica"], registry=registry
        )


class TransferFamilies:
    """What is counted of bytes, blobs and requests on the wire."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.copied_bytes = Counter(
            "replicator_copied_bytes_total", "Blob bytes sent to the replica.", ["replica"], registry=registry
        )
        self.blobs = Counter(
            "replicator_blobs_total",
            "Blobs that updates needed, by how the replica came to hold them.",
            ["replica", "result"],
            registry=registry,
        )
        self.deduplicated_bytes = Counter(
            "replicator_deduplicated_bytes_total",
            "Blob bytes that did not have to be sent to the replica.",
            ["replica", "how"],
            registry=registry,
        )
        self.source_bytes = Counter(
            "replicator_source_read_bytes_total",
            "Blob bytes read from the registry that copies come from.",
            ["source"],
            registry=registry,
        )
        self.resumptions = Counter(
            "replicator_upload_resumptions_total",
            "Uploads of large blobs that were cut, by whether they went on where they had stopped.",
            ["replica", "result"],
            registry=registry,
        )
        self.inflight = Gauge(
            "replicator_inflight_transfers", "Blobs being sent to the replica now.", ["replica"], registry=registry
        )
        self.requests = Counter(
            "replicator_http_requests_total",
            "Requests to registries and their token servers.",
            ["peer", "op", "code_class"],
            registry=registry,
        )
        self.request_duration = Histogram(
            "replicator_http_request_duration_seconds",
            "From sending a request to a registry until its answer was handled.",
            ["op"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.skew = Gauge(
            "replicator_registry_clock_skew_seconds",
            "Seconds that the registry's clock is ahead of ours, by the Date of its answers.",
            ["peer"],
            registry=registry,
        )


class LimitFamilies:
    """What holds requests to registries back."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.window = Gauge(
            "replicator_registry_window",
            "Requests of a kind that may be under way at a registry.",
            ["peer", "kind"],
            registry=registry,
        )
        self.refused = Counter(
            "replicator_rate_limited_total",
            "Requests that a registry refused for want of time.",
            ["peer", "kind"],
            registry=registry,
        )
        self.waited = Counter(
            "replicator_throttled_seconds_total",
            "Seconds that requests have waited here for their turn.",
            ["peer", "kind"],
            registry=registry,
        )


class IntakeFamilies:
    """What is counted of webhooks and of the store that keeps them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "replicator_webhook_events_total",
            "Webhook events received, by what became of them.",
            ["endpoint", "result"],
            registry=registry,
        )
        self.ack = Histogram(
            "replicator_webhook_ack_duration_seconds",
            "From the head of an authentic delivery to its answer, the commit included.",
            ["endpoint"],
            buckets=ACK_BUCKETS,
            registry=registry,
        )
        self.delay = Histogram(
            "replicator_delivery_delay_seconds",
            "From the time the sender gives an event to its receipt here.",
            ["endpoint"],
            buckets=DELAY_BUCKETS,
            registry=registry,
        )
        self.connected = Gauge(
            "replicator_subscription_connected",
            "1 while the events of a subscription can come, 0 while they cannot.",
            ["endpoint"],
            registry=registry,
        )
        self.commit_duration = Histogram(
            "replicator_store_commit_duration_seconds",
            "Duration of one commit of the store, its sync to disk included.",
            buckets=ACK_BUCKETS,
            registry=registry,
        )
        self.commit_rows = Histogram(
            "replicator_store_commit_batch_rows",
            "Operations that one commit of the store carried.",
            buckets=ROWS_BUCKETS,
            registry=registry,
        )
        self.last_commit = Gauge(
            "replicator_store_last_commit_timestamp_seconds",
            "When the store last committed; 0 before the first commit.",
            registry=registry,
        )
        self.last_read = Gauge(
            "replicator_store_last_read_timestamp_seconds",
            "When the store last told what is owed; 0 before the first reading.",
            registry=registry,
        )
        self.leases_held = Gauge("replicator_leases_held", "Updates this daemon holds a lease on.", registry=registry)
        self.leases_lost = Counter(
            "replicator_leases_lost_total", "Leases that another took over before the work ended.", registry=registry
        )
        self.objective = Gauge(
            "replicator_objective_lag_seconds", "The lag that the configuration allows.", registry=registry
        )
        self.objective_ratio = Gauge(
            "replicator_objective_ratio",
            "The share of minutes in which a replica's lag must be within the objective, 0 to 1.",
            registry=registry,
        )
        self.build = Info("replicator_build", "The version that runs.", registry=registry)


class ConfigFamilies:
    """What is told of the configuration file."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.valid = Gauge(
            "replicator_config_last_reload_successful",
            "1 when the configuration file, as last read, is the one in effect; 0 when it was refused.",
            registry=registry,
        )
        self.loaded_at = Gauge(
            "replicator_config_last_reload_success_timestamp_seconds",
            "When the configuration in effect was read.",
            registry=registry,
        )


class Families:
    """All of them on one registry, and the page that Prometheus reads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.replica = ReplicaFamilies(registry)
        self.transfer = TransferFamilies(registry)
        self.limits = LimitFamilies(registry)
        self.intake = IntakeFamilies(registry)
        self.config = ConfigFamilies(registry)
        self.sweep = SweepFamilies(registry)
        self.notify = NotificationFamilies(registry)
        self.audit = AuditFamilies(registry)
        self.deletes = DeleteFamilies(registry)
        self.groups = (
            *(self.replica, self.transfer, self.limits, self.intake),
            *(self.config, self.sweep, self.notify, self.audit, self.deletes),
        )
        ProcessCollector(registry=registry)

    def forget(self, label: str, values: Iterable[str]) -> None:
        """End all series whose `label` has one of these values."""
        families = [family for group in self.groups for family in vars(group).values()]
        for value in values:
            for family in families:
                with suppress(ValueError):  # this family has no such label
                    family.remove_by_labels({label: value})

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its content type; OpenMetrics where the Accept header asks for it, else plain text."""
        return page(self._registry, accept)
