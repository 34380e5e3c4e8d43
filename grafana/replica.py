"""The dashboard *One replica*: everything that is known of one of them, to find out why it is late."""

from grafana.dashboard import Dashboard, Row, Variable
from grafana.delete_row import DELETES
from grafana.expressions import THIS_PEER, THIS_REPLICA, lag, objective, owed, quantile, rate, recorded, select
from grafana.lane_panels import bytes_needed, lane_state, tries, under_way
from grafana.panels import Panel, Target, budget_limits, dashed
from grafana.replication import REPLICA_UID, UID

OBJECTIVE = Row(
    "Is it late",
    (
        Panel(
            number=101,
            title="Lag",
            description="Age of the oldest change that the replica lacks, and the objective.",
            unit="s",
            width=12,
            targets=(Target(lag(THIS_REPLICA), "lag"), Target(objective(), "objective")),
            overrides=(dashed("objective"),),
            alerts=("ReplicatorLagBurnsFast", "ReplicatorLagBurnsSlowly"),
        ),
        Panel(
            number=102,
            title="Error budget left",
            description="What is left of the late time that the objective allows in 30 days. Needs the shipped "
            "recording rules.",
            unit="percentunit",
            width=6,
            signed=True,
            limits=budget_limits(),
            targets=(
                Target(f"min({recorded('job_replica:replicator_lag_budget_left:ratio', THIS_REPLICA)})", "left"),
            ),
            alerts=("ReplicatorLagBurnsSlowly",),
        ),
        Panel(
            number=103,
            title="Updates that missed the objective",
            description="Counted once, when they crossed it; as long as the replica is down they keep crossing it.",
            unit="opm",
            width=6,
            targets=(
                Target(
                    rate("replicator_updates_deadline_missed_total", ["replica"], THIS_REPLICA, per_minute=True),
                    "missed",
                ),
            ),
        ),
    ),
)

OWED = Row(
    "What it is owed",
    (
        Panel(
            number=104,
            title="Owed",
            description="What the replica lacks or has in an older state, and what somebody ignores.",
            unit="short",
            width=6,
            targets=(
                Target(owed("replicator_replica_pending_updates", ["replica"], THIS_REPLICA), "owed"),
                Target(owed("replicator_ignored_updates", ["replica"], THIS_REPLICA), "ignored by decision"),
            ),
        ),
        Panel(
            number=105,
            title="Parked",
            description="Owed updates that trying again soon cannot help. They need somebody.",
            unit="short",
            kind="stat",
            width=6,
            limits=(("green", None), ("orange", 1)),
            targets=(Target(owed("replicator_replica_parked_updates", ["replica"], THIS_REPLICA), "parked"),),
            alerts=("ReplicatorUpdatesParked",),
        ),
        Panel(
            number=106,
            title="Failing by reason",
            description="Owed updates whose last try failed, parked ones included.",
            unit="short",
            width=6,
            stacked=True,
            targets=(Target(owed("replicator_replica_failing_updates", ["reason"], THIS_REPLICA), "{{reason}}"),),
            alerts=("ReplicatorUpdatesFailing",),
        ),
        Panel(
            number=107,
            title="Bytes to send",
            description="Bytes of blobs that owed updates are known to lack: a lower bound.",
            unit="bytes",
            width=6,
            targets=(Target(owed("replicator_replica_pending_bytes", ["replica"], THIS_REPLICA), "bytes"),),
        ),
    ),
)

UPDATES = Row(
    "Updates",
    (
        Panel(
            number=110,
            title="New by kind",
            description="Updates per minute that became owed.",
            unit="opm",
            stacked=True,
            width=6,
            targets=(Target(rate("replicator_updates_total", ["kind"], THIS_REPLICA, per_minute=True), "{{kind}}"),),
        ),
        Panel(
            number=111,
            title="Ended by result",
            description="Updates per minute that ended.",
            unit="opm",
            stacked=True,
            width=6,
            targets=(
                Target(
                    rate("replicator_updates_completed_total", ["result"], THIS_REPLICA, per_minute=True),
                    "{{result}}",
                ),
            ),
        ),
        tries(112, 6),
        Panel(
            number=113,
            title="Time to arrive",
            description="From the change at the primary to the replica, of updates that ended.",
            unit="s",
            width=6,
            targets=(
                Target(quantile(0.5, "replicator_update_lag_seconds", THIS_REPLICA), "half"),
                Target(quantile(0.95, "replicator_update_lag_seconds", THIS_REPLICA), "95 %"),
                Target(quantile(0.99, "replicator_update_lag_seconds", THIS_REPLICA), "99 %"),
            ),
        ),
        Panel(
            number=114,
            title="Tags changed by others",
            description="Tags per minute that somebody else had changed on the replica.",
            unit="opm",
            width=6,
            targets=(
                Target(rate("replicator_conflicts_total", ["replica"], THIS_REPLICA, per_minute=True), "conflicts"),
            ),
            alerts=("ReplicatorConflicts",),
        ),
        Panel(
            number=115,
            title="References verified",
            description="What the replica was asked for, to see whether it still holds what was put there, per "
            "minute. All but equal and failed is drift, and is mended.",
            unit="opm",
            width=18,
            stacked=True,
            targets=(
                Target(
                    rate("replicator_verified_references_total", ["result"], THIS_REPLICA, per_minute=True),
                    "{{result}}",
                ),
            ),
            alerts=("ReplicatorReplicaDrifted",),
        ),
    ),
)

LANE = Row(
    "Lane",
    (
        lane_state(120, 12),
        under_way(121, 12),
    ),
)

_SENT = f"sum(rate({select('replicator_copied_bytes_total', THIS_REPLICA)}[$__rate_interval]))"
_SPARED = f"sum(rate({select('replicator_deduplicated_bytes_total', THIS_REPLICA)}[$__rate_interval]))"

BYTES = Row(
    "Bytes",
    (
        bytes_needed(130, 6),
        Panel(
            number=131,
            title="Blobs",
            description="Blobs per minute that updates needed, by how the replica came to hold them.",
            unit="opm",
            stacked=True,
            width=6,
            targets=(
                Target(rate("replicator_blobs_total", ["result"], THIS_REPLICA, per_minute=True), "{{result}}"),
            ),
        ),
        Panel(
            number=132,
            title="Share that was not sent",
            description="Of the bytes that updates needed, the part that the replica had or could mount.",
            unit="percentunit",
            width=6,
            targets=(Target(f"{_SPARED} / ({_SENT} + {_SPARED})", "not sent"),),
        ),
        Panel(
            number=133,
            title="Cut uploads of large blobs",
            description="Per minute: resumed where they stopped, or restarted at a registry that keeps nothing.",
            unit="opm",
            width=6,
            targets=(
                Target(
                    rate("replicator_upload_resumptions_total", ["result"], THIS_REPLICA, per_minute=True),
                    "{{result}}",
                ),
            ),
        ),
    ),
)

REQUESTS = Row(
    "Requests to it",
    (
        Panel(
            number=140,
            title="By kind",
            description="Requests per second to the replica and its token server.",
            unit="reqps",
            stacked=True,
            targets=(Target(f"{rate('replicator_http_requests_total', ['op'], THIS_PEER)} > 0", "{{op}}"),),
        ),
        Panel(
            number=141,
            title="By answer",
            description="Requests per second by the class of the answer; none: there was no answer.",
            unit="reqps",
            stacked=True,
            targets=(Target(rate("replicator_http_requests_total", ["code_class"], THIS_PEER), "{{code_class}}"),),
        ),
        Panel(
            number=142,
            title="Windows",
            description="Requests of a kind that may be under way: grows while the replica takes them, is halved "
            "when it refuses.",
            unit="short",
            targets=(Target(f"max by (kind) ({select('replicator_registry_window', THIS_PEER)})", "{{kind}}"),),
        ),
        Panel(
            number=143,
            title="Refused",
            description="Requests per second that the replica refused for want of time (429, or 503 with "
            "Retry-After).",
            unit="reqps",
            targets=(Target(rate("replicator_rate_limited_total", ["kind"], THIS_PEER), "{{kind}}"),),
        ),
        Panel(
            number=144,
            title="Waited",
            description="Seconds per second that requests waited here for a connection, their window, a pause or the "
            "rate of `requests`.",
            unit="short",
            targets=(Target(rate("replicator_throttled_seconds_total", ["kind"], THIS_PEER), "{{kind}}"),),
        ),
        Panel(
            number=145,
            title="Clock",
            description="Seconds that the replica's clock is ahead of ours.",
            unit="s",
            signed=True,
            targets=(
                Target(f"max by (peer) ({select('replicator_registry_clock_skew_seconds', THIS_PEER)})", "{{peer}}"),
            ),
        ),
    ),
)

REPLICA = Dashboard(
    uid=REPLICA_UID,
    title="One replica",
    description="Everything that is known of one replica: why is it late?",
    rows=(OBJECTIVE, OWED, UPDATES, DELETES, LANE, BYTES, REQUESTS),
    variables=(
        Variable("job", "Job", "replicator_build_info", "job"),
        Variable("instance", "Instance", 'replicator_build_info{job=~"$job"}', "instance"),
        Variable(
            "replica",
            "Replica",
            'replicator_replica_pending_updates{job=~"$job", instance=~"$instance"}',
            "replica",
            single=True,
        ),
    ),
    links=((UID, "Replication"),),
)
