"""How much replicas lose within an hour, and which of them lose nothing more until an operator has looked."""

from sqlalchemy import ColumnElement, bindparam, func, literal_column, null, select, update
from sqlalchemy.dialects.postgresql import insert

from replicator.deletion import Pace
from replicator.model import IntentKey
from replicator.store.deletions import OF_ITS_INTENT, look_again
from replicator.store.encoding import FIRST_TAG, unpack_reference
from replicator.store.prepared import Connection, Prepared
from replicator.store.session import Session
from replicator.store.spared import THIS
from replicator.store.tables import intent, lane, repository
from replicator.store.tag_tables import deletion, tag_history

HOUR = 3600.0
_ZERO: ColumnElement[int] = literal_column("0")
_ONE: ColumnElement[int] = literal_column("1")
_row, _at = intent.c, deletion.c
_DUE = Prepared(
    select(func.count())
    .select_from(deletion.join(intent, OF_ITS_INTENT))
    .where(
        _at.replica == bindparam("replica"),
        _at.due_at <= bindparam("now"),
        _at.left.is_(None),
        _at.approved == _ZERO,
        _row.have_digest.is_not(None),
    )
)
"""Counts what is due; not what the replica was not given yet: mostly it never will be."""
_DONE = Prepared(
    select(func.count())
    .select_from(tag_history)
    .where(
        tag_history.c.replica == bindparam("replica"),
        tag_history.c.at > bindparam("after"),
        tag_history.c.what == literal_column("'deleted'"),
    )
)
_TAGS = Prepared(
    select(func.count()).where(
        _row.replica == bindparam("replica"), _row.reference >= bindparam("first_tag"), _row.have_digest.is_not(None)
    )
)
_stopped = insert(lane).values(replica=bindparam("replica"), deletes_stopped_since=bindparam("now"))
_STOP = Prepared(
    _stopped.on_conflict_do_update(
        index_elements=[lane.c.replica],
        set_={
            "deletes_stopped_since": func.coalesce(
                lane.c.deletes_stopped_since, _stopped.excluded.deletes_stopped_since
            )
        },
    )
)
_GO_ON = Prepared(
    update(lane)
    .where(lane.c.replica == bindparam("replica"), lane.c.deletes_stopped_since.is_not(None))
    .values(deletes_stopped_since=null())
)
_WAITING = Prepared(
    select(repository.c.name, _at.reference)
    .select_from(deletion.join(repository, repository.c.id == _at.repository_id))
    .where(_at.replica == bindparam("replica"), _at.due_at <= bindparam("now"))
)
_APPROVE = Prepared(update(deletion).where(THIS).values(approved=_ONE, left=null()))


def pace(connection: Connection, replica: str, now: float) -> Pace:
    """Return how much the replica loses within an hour."""
    done = _DONE.run(connection, {"replica": replica, "after": now - HOUR}).fetchone()[0]
    due = _DUE.run(connection, {"replica": replica, "now": now}).fetchone()[0]
    tags = _TAGS.run(connection, {"replica": replica, "first_tag": FIRST_TAG}).fetchone()[0]
    return Pace(done=done, due=due, tags=tags)


def stop(session: Session, replica: str) -> None:
    """Delete nothing more on a replica until `go_on`."""
    _STOP.run(session.connection, {"replica": replica, "now": session.clock.now()})


def go_on(session: Session, replica: str) -> bool:
    """Let the deletes go on that are due by now, however many; return whether they were stopped."""
    now = session.clock.now()
    stopped = _GO_ON.run(session.connection, {"replica": replica}).rowcount == 1
    for name, packed in _WAITING.run(session.connection, {"replica": replica, "now": now}).fetchall():
        key = IntentKey(replica, name, unpack_reference(packed))
        _APPROVE.run(session.connection, session.key(key))
        look_again(session, key, now)
    return stopped
