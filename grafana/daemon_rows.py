"""Rows about the daemon itself: webhooks, registries, store, process."""

from grafana.dashboard import Row
from grafana.expressions import quantile, rate, select
from grafana.panels import Panel, Target

INTAKE = Row(
    "Webhooks",
    (
        Panel(
            number=30,
            title="Events by result",
            description="Webhook events per minute, by what became of them.",
            unit="opm",
            width=6,
            stacked=True,
            targets=(
                Target(
                    rate("replicator_webhook_events_total", ["endpoint", "result"], per_minute=True),
                    "{{endpoint}}: {{result}}",
                ),
            ),
            alerts=("ReplicatorWebhooksUnauthorized", "ReplicatorWebhooksUnreadable"),
        ),
        Panel(
            number=31,
            title="Acknowledgement",
            description="From the head of a delivery to its answer, the commit to disk included. A Distribution "
            "sends one event at a time, so this is what limits it.",
            unit="s",
            width=6,
            targets=(
                Target(quantile(0.5, "replicator_webhook_ack_duration_seconds"), "half"),
                Target(quantile(0.99, "replicator_webhook_ack_duration_seconds"), "99 %"),
            ),
        ),
        Panel(
            number=32,
            title="Delay of deliveries",
            description="From an event's own time to its receipt: the sender's queue, and how far the clocks differ.",
            unit="s",
            width=6,
            targets=(
                Target(quantile(0.5, "replicator_delivery_delay_seconds", by=["endpoint"]), "{{endpoint}}: half"),
                Target(quantile(0.99, "replicator_delivery_delay_seconds", by=["endpoint"]), "{{endpoint}}: 99 %"),
            ),
            alerts=("ReplicatorWebhooksLate",),
        ),
        Panel(
            number=33,
            title="Events waiting in the primary",
            description="Told by Distribution 3 itself, where its debug address is scraped. They are in its memory: "
            "a restart of the primary loses them.",
            unit="short",
            width=6,
            targets=(
                Target(
                    "max by (instance, endpoint) (registry_notifications_pending_total)", "{{instance}} {{endpoint}}"
                ),
            ),
            alerts=("RegistryNotificationsStuck",),
        ),
        Panel(
            number=34,
            title="Subscriptions",
            description="1 while the events of a subscription to NATS can come, 0 while they cannot.",
            unit="short",
            width=6,
            targets=(Target(f"min by (endpoint) ({select('replicator_subscription_connected')})", "{{endpoint}}"),),
            alerts=("ReplicatorSubscriptionLost",),
        ),
    ),
)

REGISTRIES = Row(
    "Registries",
    (
        Panel(
            number=35,
            title="Requests",
            description="Requests per second to each registry and its token server, by the class of the answer.",
            unit="reqps",
            stacked=True,
            targets=(
                Target(
                    f"{rate('replicator_http_requests_total', ['peer', 'code_class'])} > 0",
                    "{{peer}}: {{code_class}}",
                ),
            ),
        ),
        Panel(
            number=36,
            title="Duration of requests",
            description="What 99 % of the requests of a kind stay below, bodies included.",
            unit="s",
            targets=(
                Target(f"{quantile(0.99, 'replicator_http_request_duration_seconds', by=['op'])} > 0", "{{op}}"),
            ),
        ),
        Panel(
            number=37,
            title="Clocks",
            description="Seconds that a registry's clock is ahead of ours. The primary's matters: lag starts at the "
            "time that its events name.",
            unit="s",
            targets=(Target(f"max by (peer) ({select('replicator_registry_clock_skew_seconds')})", "{{peer}}"),),
            signed=True,
        ),
    ),
)

STORE = Row(
    "Store",
    (
        Panel(
            number=40,
            title="Commit",
            description="Duration of one commit, its sync to disk included: each acknowledgement waits for one.",
            unit="s",
            width=6,
            targets=(
                Target(quantile(0.5, "replicator_store_commit_duration_seconds"), "half"),
                Target(quantile(0.99, "replicator_store_commit_duration_seconds"), "99 %"),
            ),
        ),
        Panel(
            number=41,
            title="Operations per commit",
            description="How many operations share one commit: the busier, the more.",
            unit="short",
            width=6,
            targets=(
                Target(
                    f"sum(rate({select('replicator_store_commit_batch_rows_sum')}[$__rate_interval]))"
                    f" / sum(rate({select('replicator_store_commit_batch_rows_count')}[$__rate_interval]))",
                    "mean",
                ),
                Target(quantile(0.99, "replicator_store_commit_batch_rows"), "99 %"),
            ),
        ),
        Panel(
            number=42,
            title="Last reading and last commit",
            description="How long ago. Readings come every few seconds; a commit only when there is something to "
            "write, so an idle daemon's is old.",
            unit="s",
            width=6,
            targets=(
                Target(
                    f"max by (instance) (time() - {select('replicator_store_last_read_timestamp_seconds')})",
                    "{{instance}}: read",
                ),
                Target(
                    f"max by (instance) (time() - {select('replicator_store_last_commit_timestamp_seconds')})",
                    "{{instance}}: committed",
                ),
            ),
            alerts=("ReplicatorStoreStuck",),
        ),
        Panel(
            number=43,
            title="Leases",
            description="Updates that a daemon holds a lease on, and leases per minute that another took over.",
            unit="short",
            width=6,
            targets=(
                Target(f"sum by (instance) ({select('replicator_leases_held')})", "{{instance}}: held"),
                Target(
                    rate("replicator_leases_lost_total", ["instance"], per_minute=True), "{{instance}}: lost a minute"
                ),
            ),
        ),
    ),
)

PROCESS = Row(
    "Process",
    (
        Panel(
            number=50,
            title="Daemons",
            description="Daemons that can be scraped, by version.",
            unit="short",
            kind="stat",
            width=6,
            targets=(Target(f"count by (job, version) ({select('replicator_build_info')})", "{{job}} {{version}}"),),
            alerts=("ReplicatorAbsent",),
        ),
        Panel(
            number=51,
            title="Processor",
            description="Cores in use.",
            unit="short",
            width=6,
            targets=(Target(rate("process_cpu_seconds_total", ["instance"]), "{{instance}}"),),
        ),
        Panel(
            number=52,
            title="Memory",
            description="Resident memory. It does not grow with the size of blobs or the number of images.",
            unit="bytes",
            width=6,
            targets=(Target(f"max by (instance) ({select('process_resident_memory_bytes')})", "{{instance}}"),),
        ),
        Panel(
            number=53,
            title="Open files",
            description="Files and sockets that are open, as a share of the limit.",
            unit="percentunit",
            width=6,
            targets=(
                Target(
                    f"max by (instance) ({select('process_open_fds')} / {select('process_max_fds')})", "{{instance}}"
                ),
            ),
        ),
        Panel(
            number=54,
            title="Configuration refused",
            description="1 while the configuration file, as last read, was refused and the former one goes on.",
            unit="short",
            width=6,
            targets=(
                Target(
                    f"max by (instance) (1 - {select('replicator_config_last_reload_successful')})", "{{instance}}"
                ),
            ),
            alerts=("ReplicatorReloadFailed",),
        ),
        Panel(
            number=55,
            title="Configuration in effect for",
            description="How long ago the configuration in effect was read, at the start or by a reload.",
            unit="s",
            kind="stat",
            width=6,
            targets=(
                Target(
                    "min by (instance) (time() - "
                    f"{select('replicator_config_last_reload_success_timestamp_seconds')})",
                    "{{instance}}",
                ),
            ),
        ),
    ),
)
