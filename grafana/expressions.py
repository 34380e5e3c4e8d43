"""PromQL in the forms that panels need; every selector asks for the job and the instance that were chosen."""

from collections.abc import Sequence

THIS_REPLICA, THIS_PEER = 'replica=~"$replica"', 'peer=~"$replica"'
"""Of the replica that was chosen; requests to it count for the peer of its name."""
_JOB = 'job=~"$job"'
CHOSEN = f'{_JOB}, instance=~"$instance"'


def select(metric: str, *labels: str) -> str:
    """Return a selector of a scraped metric."""
    return f"{metric}{{{', '.join([CHOSEN, *labels])}}}"


def recorded(series: str, *labels: str) -> str:
    """Return a selector of a recorded series, which has no instance."""
    return f"{series}{{{', '.join([_JOB, *labels])}}}"


def rate(counter: str, by: Sequence[str], *labels: str, per_minute: bool = False) -> str:
    """Return how fast a counter grows, in total by some labels."""
    total = f"sum by ({', '.join(by)}) (rate({select(counter, *labels)}[$__rate_interval]))"
    return f"60 * {total}" if per_minute else total


def quantile(share: float, histogram: str, *labels: str, by: Sequence[str] = ()) -> str:
    """Return what a share of the observations stays below."""
    inner = rate(f"{histogram}_bucket", [*by, "le"], *labels)
    return f"histogram_quantile({share}, {inner})"


def owed(gauge: str, by: Sequence[str], *labels: str) -> str:
    """Return a gauge that is read from the store: daemons of one job tell of the same rows."""
    inner = f"max by ({', '.join(['job', *by])}) ({select(gauge, *labels)})"
    return f"sum by ({', '.join(by)}) ({inner})"


def lag(*labels: str) -> str:
    """Return the seconds that a replica is behind; of several jobs the worst."""
    synced = select("replicator_replica_synced_through_timestamp_seconds", *labels)
    return f"max by (replica) (clamp_min(time() - max by (job, replica) ({synced}), 0))"


def objective() -> str:
    """Return the lag that is allowed."""
    return f"min({select('replicator_objective_lag_seconds')})"
