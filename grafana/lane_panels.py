"""Panels about one replica's lane, which both dashboards show."""

from grafana.expressions import THIS_REPLICA, rate, select
from grafana.panels import Panel, Target, dashed, states


def bytes_needed(number: int, width: int = 8) -> Panel:
    """Return a panel: what updates needed in blob bytes, and why part of it was not sent."""
    return Panel(
        number=number,
        width=width,
        title="Bytes sent and not sent",
        description="Blob bytes per second that updates needed: sent, mounted from another repository of the "
        "replica, already there, or on their way for another update.",
        unit="binBps",
        stacked=True,
        targets=(
            Target(rate("replicator_copied_bytes_total", ["replica"], THIS_REPLICA), "sent"),
            Target(rate("replicator_deduplicated_bytes_total", ["how"], THIS_REPLICA), "{{how}}"),
        ),
    )


def tries(number: int, width: int = 8) -> Panel:
    """Return a panel: how tries to bring updates ended."""
    return Panel(
        number=number,
        width=width,
        title="Tries by result",
        description="Tries per minute to bring an update to the replica.",
        unit="opm",
        stacked=True,
        targets=(Target(rate("replicator_attempts_total", ["result"], THIS_REPLICA, per_minute=True), "{{result}}"),),
        alerts=("ReplicatorUpdatesFailing",),
    )


def lane_state(number: int, width: int = 8) -> Panel:
    """Return a panel: what the lane does."""
    return Panel(
        number=number,
        width=width,
        title="Lane",
        description="What the lane does: it runs; open: the replica is taken for down and only probed; "
        "paused by an operator; seeding: it is filled for the first time.",
        unit="short",
        kind="state-timeline",
        targets=(Target(f"max by (state) ({select('replicator_lane_state', THIS_REPLICA)})", "{{state}}"),),
        overrides=(
            states("running", "green"),
            states("open", "red"),
            states("paused", "orange"),
            states("seeding", "blue"),
        ),
        alerts=("ReplicatorLaneOpen", "ReplicatorLanePaused"),
    )


def under_way(number: int, width: int = 8) -> Panel:
    """Return a panel: what is being worked on now."""
    return Panel(
        number=number,
        width=width,
        title="Work under way",
        description="Blobs being sent now, and updates that the lane may work on at once.",
        unit="short",
        targets=(
            Target(f"sum({select('replicator_inflight_transfers', THIS_REPLICA)})", "blobs in flight"),
            Target(f"sum({select('replicator_lane_window', THIS_REPLICA)})", "updates at once"),
        ),
        overrides=(dashed("updates at once", "text"),),
    )
