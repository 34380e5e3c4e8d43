"""What each replica lacks, counted on the read-only connection."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, bindparam, case, func, literal_column, null, select

from replicator.errors import Reason
from replicator.store.deletions import summary as deletion_summary
from replicator.store.ignored import counts as ignored_counts
from replicator.store.lanes import all_paused
from replicator.store.moment import one_moment
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.rows import DeletionSummary, ReplicaSummary
from replicator.store.tables import FAILING, LOOK_PENDING, NOT_YET_MISSED, OWED, intent

_ZERO: ColumnElement[int] = literal_column("0")
_row = intent.c

_OWED = Prepared(
    select(
        _row.replica,
        func.count(),
        func.min(case((_row.backfill.is_(None), _row.dirty_since), else_=null())),
        func.count(_row.backfill),
    )
    .where(OWED)
    .group_by(_row.replica)
)
_FAILING = Prepared(
    select(_row.replica, _row.parked, _row.reason, func.count())
    .where(FAILING)
    .group_by(_row.replica, _row.parked, _row.reason)
)
_FAILING_LATER = Prepared(
    select(func.count())
    .select_from(intent)
    .where(
        _row.replica == bindparam("replica"),
        _row.due_at > bindparam("now"),
        FAILING,
        _row.parked <= bindparam("most_parked"),
    )
)
_CROSSED = Prepared(
    select(_row.reference)
    .where(OWED, NOT_YET_MISSED, _row.dirty_since <= bindparam("before"))
    .limit(literal_column("1"))
    .offset(_ZERO)
)
_LOOKS = Prepared(select(_row.replica, func.count()).where(LOOK_PENDING).group_by(_row.replica))


def summary(connection: Connection) -> dict[str, ReplicaSummary]:
    """Count what each replica lacks."""
    with one_moment(connection):
        owed = {name: found for name, *found in _OWED.run(connection, {})}
        failing = _FAILING.run(connection, {}).fetchall()
        looks = dict(_LOOKS.run(connection, {}).fetchall())
        paused, left_out = all_paused(connection), ignored_counts(connection)
        doomed = deletion_summary(connection)
    found = {}
    for name in owed.keys() | looks.keys() | paused.keys() | left_out.keys() | doomed.keys():
        count, since, backfill = owed.get(name, (0, None, 0))
        own = [columns[1:] for columns in failing if columns[0] == name]
        found[name] = ReplicaSummary(
            owed=count,
            parked=sum(rows for parked, _, rows in own if parked),
            failing=_by_reason(own),
            since=since,
            looks=looks.get(name, 0),
            backfill=backfill,
            deletes=doomed.get(name, DeletionSummary()),
            paused_since=paused.get(name),
            ignored=left_out.get(name, 0),
        )
    return found


def _by_reason(failing: Sequence[tuple[int, str, int]]) -> Mapping[Reason, int]:
    reasons: dict[Reason, int] = {}
    for _, reason, count in failing:
        reasons[Reason(reason)] = reasons.get(Reason(reason), 0) + count
    return reasons


def failing_later(connection: Connection, replica: str, now: float, *, parked: bool) -> int:
    """Return how many failing rows of a replica are not due yet; parked ones too, unless told otherwise."""
    values: dict[str, Value] = {"replica": replica, "now": now, "most_parked": int(parked)}
    return int(_FAILING_LATER.run(connection, values).fetchone()[0])


def anything_crossed(connection: Connection, before: float) -> bool:
    """Whether a row is owed since `before` or longer and not yet marked as missed."""
    return bool(_CROSSED.run(connection, {"before": before}).fetchall())
