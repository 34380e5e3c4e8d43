"""What is counted of outgoing webhooks; part of the daemon's metrics (metrics.py)."""

from collections.abc import Iterable
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge

from replicator.news import Happening
from replicator.observability.labels import NotificationResult


class NotificationFamilies:
    """The metric families of outgoing webhooks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.notifications = Counter(
            "replicator_notifications_total",
            "Messages to a receiver of notifications: each one delivered or dropped, and each failed try.",
            ["receiver", "event", "result"],
            registry=registry,
        )
        self.pending = Gauge(
            "replicator_notifications_pending",
            "Messages that wait for the receiver.",
            ["receiver"],
            registry=registry,
        )
        self.delivered_through = Gauge(
            "replicator_notifications_delivered_through_timestamp_seconds",
            "Messages made up to this time were delivered or dropped; time() minus this is the age of the oldest",
            ["receiver"],
            registry=registry,
        )


class NotificationMetrics:
    """The metrics of outgoing webhooks under one configuration."""

    def __init__(self, families: NotificationFamilies, *, receivers: Iterable[str]) -> None:
        names = tuple(receivers)
        # Made ahead, so that every series exists from the start and no other ever can.
        self._results = {
            labels: families.notifications.labels(*labels) for labels in product(names, Happening, NotificationResult)
        }
        self._pending = {name: families.pending.labels(name) for name in names}
        # Not made ahead: a 0 would look like fifty years.
        self._through = families.delivered_through

    def notification(self, receiver: str, event: str, result: str, count: int = 1) -> None:
        """Count `count` tries, or ends, of messages about an event (a Happening) by a NotificationResult."""
        self._results[receiver, Happening(event), NotificationResult(result)].inc(count)

    def notifications_waiting(self, receiver: str, count: int, delivered_through: float) -> None:
        """Say how many messages wait, and until when (Unix seconds) every one was delivered or given up."""
        self._pending[receiver].set(count)
        self._through.labels(receiver).set(delivered_through)
