"""The row about deletes of one replica."""

from grafana.dashboard import Row
from grafana.expressions import THIS_REPLICA, rate, select
from grafana.panels import Panel, Target

DELETES = Row(
    "Deletes",
    (
        Panel(
            number=150,
            title="To be deleted",
            description="What the primary lost: to be deleted here, and what stays for a reason. "
            "Stopped is 1 while deletes wait for an operator.",
            unit="short",
            width=12,
            targets=(
                Target(f"max({select('replicator_deletes_pending', THIS_REPLICA)})", "to be deleted"),
                Target(f"max({select('replicator_deletes_left', THIS_REPLICA)})", "left"),
                Target(f"max({select('replicator_deletes_stopped', THIS_REPLICA)})", "stopped"),
            ),
            alerts=("ReplicatorDeletesStopped",),
        ),
        Panel(
            number=151,
            title="Deletes by result",
            description="What became of what the primary lost, per minute.",
            unit="opm",
            stacked=True,
            width=12,
            targets=(
                Target(
                    rate("replicator_deletes_total", ["result"], THIS_REPLICA, per_minute=True),
                    "{{result}}",
                ),
            ),
        ),
    ),
)
