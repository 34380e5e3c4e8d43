"""The dashboard *Replication*: all replicas at a glance, then each one, then webhooks, registries, store, process."""

from grafana.daemon_rows import INTAKE, PROCESS, REGISTRIES, STORE
from grafana.dashboard import Dashboard, Row, Variable
from grafana.expressions import THIS_PEER, THIS_REPLICA, lag, objective, owed, rate, recorded, select
from grafana.lane_panels import bytes_needed, lane_state, tries, under_way
from grafana.notification_row import NOTIFICATIONS
from grafana.panels import Panel, Target, budget_limits, dashed
from grafana.sweep_row import SWEEPS

UID = "replicator-replication"
REPLICA_UID = "replicator-replica"

_IN_DEPTH = {
    "title": "${__field.labels.replica} in depth",
    "url": f"/d/{REPLICA_UID}?var-replica=${{__field.labels.replica}}&${{__url_time_range}}&${{job:queryparam}}",
}

OVERVIEW = Row(
    "Overview",
    (
        Panel(
            number=1,
            title="Lag",
            description="Age of the oldest change that a replica lacks; 0 when nothing is owed. "
            "The dashed line is the objective. Grows while a replica is stuck, parked or down.",
            unit="s",
            width=12,
            targets=(Target(lag(), "{{replica}}"), Target(objective(), "objective")),
            overrides=(dashed("objective"),),
            links=(_IN_DEPTH,),
            alerts=("ReplicatorLagBurnsFast", "ReplicatorLagBurnsSlowly"),
        ),
        Panel(
            number=2,
            title="Error budget left",
            description="What is left of the late time that the objective allows in 30 days: 100 % nothing was late, "
            "below 0 the objective is missed. Needs the shipped recording rules.",
            unit="percentunit",
            kind="stat",
            width=6,
            limits=budget_limits(),
            targets=(
                Target(
                    f"min by (replica) ({recorded('job_replica:replicator_lag_budget_left:ratio')})", "{{replica}}"
                ),
            ),
            links=(_IN_DEPTH,),
            alerts=("ReplicatorLagBurnsFast", "ReplicatorLagBurnsSlowly"),
        ),
        Panel(
            number=3,
            title="Owed updates",
            description="References that a replica lacks or has in an older state, failing and parked ones included.",
            unit="short",
            kind="stat",
            width=6,
            limits=(("text", None),),
            targets=(Target(owed("replicator_replica_pending_updates", ["replica"]), "{{replica}}"),),
            links=(_IN_DEPTH,),
        ),
        Panel(
            number=7,
            title="Bytes to send",
            description="Bytes of blobs that owed updates are known to lack: a lower bound, known once the manifests "
            "were read.",
            unit="bytes",
            width=6,
            targets=(Target(owed("replicator_replica_pending_bytes", ["replica"]), "{{replica}}"),),
        ),
        Panel(
            number=4,
            title="Failing updates by reason",
            description="Owed updates whose last try failed, parked ones included. Empty is good.",
            unit="short",
            width=6,
            stacked=True,
            targets=(
                Target(
                    f"{owed('replicator_replica_failing_updates', ['replica', 'reason'])} > 0",
                    "{{replica}}: {{reason}}",
                    only="an update fails",
                ),
            ),
            alerts=("ReplicatorUpdatesFailing", "ReplicatorUpdatesParked"),
        ),
        Panel(
            number=5,
            title="Throughput",
            description="Blob bytes per second sent to each replica.",
            unit="binBps",
            width=6,
            stacked=True,
            targets=(Target(rate("replicator_copied_bytes_total", ["replica"]), "{{replica}}"),),
        ),
        Panel(
            number=6,
            title="Read from the source",
            description="Blob bytes per second read from the registry that copies come from: one read serves all "
            "replicas that keep up, so this stays below the sum of what is sent.",
            unit="binBps",
            width=6,
            targets=(Target(rate("replicator_source_read_bytes_total", ["source"]), "{{source}}"),),
        ),
    ),
)

EACH = Row(
    "Replica $replica",
    (
        bytes_needed(10),
        Panel(
            number=11,
            title="Time to arrive",
            description="How long after the change at the primary an update arrived: the darker, the more updates.",
            unit="short",
            kind="heatmap",
            targets=(
                Target(
                    "sum by (le) (increase("
                    + select("replicator_update_lag_seconds_bucket", THIS_REPLICA)
                    + "[$__rate_interval]))",
                    "{{le}}",
                ),
            ),
        ),
        tries(12),
        lane_state(13),
        Panel(
            number=14,
            title="Held back at the replica",
            description="How much requests wait here for their turn (seconds of waiting per second), and how many "
            "the replica refuses for want of time.",
            unit="short",
            targets=(
                Target(rate("replicator_throttled_seconds_total", ["kind"], THIS_PEER), "waits: {{kind}}"),
                Target(rate("replicator_rate_limited_total", ["kind"], THIS_PEER), "refused: {{kind}}"),
            ),
        ),
        under_way(15),
    ),
    repeat="replica",
)

REPLICATION = Dashboard(
    uid=UID,
    title="Replication",
    description="Is every replica up to date, and if not, why?",
    rows=(OVERVIEW, EACH, INTAKE, SWEEPS, NOTIFICATIONS, REGISTRIES, STORE, PROCESS),
    variables=(
        Variable("job", "Job", "replicator_build_info", "job"),
        Variable("instance", "Instance", 'replicator_build_info{job=~"$job"}', "instance"),
        Variable(
            "replica",
            "Replica",
            'replicator_replica_pending_updates{job=~"$job", instance=~"$instance"}',
            "replica",
        ),
    ),
    links=((REPLICA_UID, "One replica"),),
)
