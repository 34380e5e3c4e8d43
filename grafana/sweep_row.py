"""The row about sweeps: comparisons of the primary with the replicas that no webhook asks for."""

from grafana.dashboard import Row
from grafana.expressions import rate, select
from grafana.panels import Panel, Target

SWEEPS = Row(
    "Sweeps",
    (
        Panel(
            number=60,
            title="Verified until",
            description="How long ago the oldest comparison of all tags, and of all digests, began. A push of which "
            "the webhook is lost is found within that time.",
            unit="s",
            width=6,
            targets=(
                Target(
                    f"time() - max by (source) ({select('replicator_source_verified_timestamp_seconds')})",
                    "{{source}}: digests",
                ),
                Target(
                    f"time() - max by (source) ({select('replicator_source_listed_timestamp_seconds')})",
                    "{{source}}: tags",
                ),
                Target(f"max({select('replicator_sweep_full_interval_seconds')})", "interval"),
            ),
            alerts=("ReplicatorSourceBlind",),
        ),
        Panel(
            number=61,
            title="Differences found",
            description="What sweeps found, per minute. Each one missing or stale is a webhook that was lost; "
            "extra is on a replica and not at the primary any more; backfill is what was there before.",
            unit="opm",
            width=6,
            stacked=True,
            targets=(
                Target(
                    rate("replicator_reconcile_differences_total", ["replica", "kind"], per_minute=True),
                    "{{replica}}: {{kind}}",
                ),
            ),
        ),
        Panel(
            number=62,
            title="Requests of sweeps",
            description="Requests per second to the primary for comparing, and comparisons that failed.",
            unit="reqps",
            width=6,
            targets=(
                Target(rate("replicator_sweep_requests_total", ["op"]), "{{op}}"),
                Target(f"{rate('replicator_sweep_failures_total', ['reason'])} > 0", "failed: {{reason}}", "failing"),
            ),
        ),
        Panel(
            number=63,
            title="Repositories compared",
            description="How many repositories are compared, and how long the last sweep took until nothing was due.",
            unit="short",
            width=6,
            targets=(
                Target(f"max by (source) ({select('replicator_sweep_repositories')})", "{{source}}"),
                Target(f"max({select('replicator_reconcile_duration_seconds')})", "seconds of the last sweep"),
            ),
        ),
    ),
)
