"""How much replicas lose within an hour, and which of them lose nothing more until an operator has looked."""

from sqlalchemy import ColumnElement, bindparam, func, literal_column, null, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from replicator.deletion import Pace
from replicator.model import IntentKey
from replicator.store.deletions import OF_ITS_INTENT, look_again
from replicator.store.encoding import FIRST_TAG, unpack_reference
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.session import Session
from replicator.store.spared import THIS
from replicator.store.tables import intent, lane, repository
from replicator.store.tag_tables import deletion, tag_history

HOUR = 3600.0
PAGE = 200
"""Rows changed at most in one operation, so that acknowledgements never wait long behind a large one."""
Place = tuple[int, bytes]
"""A repository's number and a packed reference."""
FIRST: Place = (0, b"")
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
    select(_at.repository_id, _at.reference)
    .where(_at.replica == bindparam("replica"), _at.due_at <= bindparam("now"), _at.approved == _ZERO)
    .limit(bindparam("count"))
    .offset(_ZERO)
)
_APPROVE = Prepared(update(deletion).where(THIS).values(approved=_ONE, left=null()))
_APPROVED = Prepared(
    select(_at.repository_id, repository.c.name, _at.reference)
    .select_from(deletion.join(repository, repository.c.id == _at.repository_id))
    .where(
        _at.replica == bindparam("replica"),
        _at.due_at <= bindparam("now"),
        _at.approved == _ONE,
        tuple_(_at.repository_id, _at.reference)
        > tuple_(bindparam("after_repository"), bindparam("after_reference")),
    )
    .order_by(_at.repository_id, _at.reference)
    .limit(bindparam("count"))
    .offset(_ZERO)
)


def pace(connection: Connection, replica: str, now: float) -> Pace:
    """Return how much the replica loses within an hour."""
    done = _DONE.run(connection, {"replica": replica, "after": now - HOUR}).fetchone()[0]
    due = _DUE.run(connection, {"replica": replica, "now": now}).fetchone()[0]
    tags = _TAGS.run(connection, {"replica": replica, "first_tag": FIRST_TAG}).fetchone()[0]
    return Pace(done=done, due=due, tags=tags)


def stop(session: Session, replica: str) -> None:
    """Delete nothing more on a replica until `go_on`."""
    _STOP.run(session.connection, {"replica": replica, "now": session.clock.now()})


def approve(session: Session, replica: str, now: float) -> int:
    """Let a page of the deletes that are due at `now` go on, however many there are; zero when none is left."""
    found = _WAITING.run(session.connection, {"replica": replica, "now": now, "count": PAGE}).fetchall()
    _APPROVE.run_each(
        session.connection,
        ({"key_replica": replica, "key_repository": number, "key_reference": packed} for number, packed in found),
    )
    return len(found)


def go_on(session: Session, replica: str) -> bool:
    """Stop no more; return whether it was."""
    return _GO_ON.run(session.connection, {"replica": replica}).rowcount == 1


def begin(session: Session, replica: str, now: float, after: Place) -> Place | None:
    """Have a page of what was approved looked at `now`, behind a place; return where the next begins."""
    values: dict[str, Value] = {"replica": replica, "now": now, "count": PAGE}
    values |= {"after_repository": after[0], "after_reference": after[1]}
    found = _APPROVED.run(session.connection, values).fetchall()
    for _, name, packed in found:
        look_again(session, IntentKey(replica, name, unpack_reference(packed)), now)
    return (found[-1][0], found[-1][2]) if found else None
