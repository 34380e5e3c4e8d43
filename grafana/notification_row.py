"""The row about notifications: what is told to others, and what they do not take."""

from grafana.dashboard import Row
from grafana.expressions import rate, select
from grafana.panels import Panel, Target

NOTIFICATIONS = Row(
    "Notifications",
    (
        Panel(
            number=70,
            title="Messages by result",
            description="Messages to each receiver per minute: delivered, failed tries, and what was dropped because "
            "it was tried for a day, was refused for good, or was more than is kept.",
            unit="opm",
            width=8,
            stacked=True,
            targets=(
                Target(
                    rate("replicator_notifications_total", ["receiver", "result"], per_minute=True),
                    "{{receiver}}: {{result}}",
                ),
            ),
            alerts=("ReplicatorNotificationsDropped",),
        ),
        Panel(
            number=71,
            title="Messages that wait",
            description="Messages that each receiver has not taken yet.",
            unit="short",
            width=8,
            targets=(Target(f"sum by (receiver) ({select('replicator_notifications_pending')})", "{{receiver}}"),),
            alerts=("ReplicatorNotificationsStuck",),
        ),
        Panel(
            number=72,
            title="Oldest message that waits",
            description="How old the oldest message to each receiver is; near 0 when none waits.",
            unit="s",
            width=8,
            targets=(
                Target(
                    "time() - min by (receiver) "
                    f"({select('replicator_notifications_delivered_through_timestamp_seconds')})",
                    "{{receiver}}",
                ),
            ),
        ),
    ),
)
