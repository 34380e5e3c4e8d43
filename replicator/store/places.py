"""Where an owed row stands among those of its replica, on the connection that only reads."""

from sqlalchemy import ColumnElement, bindparam, func, literal_column, select

from replicator.model import Priority
from replicator.store.moment import one_moment
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.rows import Row
from replicator.store.tables import OWED, intent

COUNTED = 10_000
"""Rows of one priority that are counted at most."""
_ZERO: ColumnElement[int] = literal_column("0")
_row = intent.c
_BEFORE = Prepared(
    select(func.count()).select_from(
        select(_row.replica)
        .where(
            _row.replica == bindparam("replica"),
            _row.priority == bindparam("priority"),
            _row.due_at < bindparam("due"),
            OWED,
        )
        .limit(literal_column(str(COUNTED)))
        .offset(_ZERO)
        .subquery()
    )
)


def before(connection: Connection, row: Row, now: float) -> int:
    """Return how many owed rows of its replica come before `row`: those due sooner, and the more urgent due by then.

    Zero for a row that is not owed. Of each priority at most COUNTED are counted.
    """
    if row.due_at is None:
        return 0
    total = 0
    with one_moment(connection):
        for priority in (one for one in Priority if one <= row.priority):
            due = row.due_at if priority == row.priority else max(row.due_at, now)
            values: dict[str, Value] = {"replica": row.key.replica, "priority": int(priority), "due": due}
            total += int(_BEFORE.run(connection, values).fetchone()[0])
    return total
