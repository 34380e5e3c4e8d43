"""What is to be deleted, inside the writer thread and for readers: each is a look at its row, kept until then.

The look is leased as any other, so nobody puts a tag while somebody else deletes it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, and_, bindparam, case, func, literal_column, not_, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from replicator.deletion import Deletion
from replicator.heard import Heard
from replicator.model import Digest, IntentKey, Recorded
from replicator.store import event_rows
from replicator.store.encoding import FIRST_TAG, pack_digest, pack_reference, unpack_reference
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.rows import DeletionSummary, Pending, What
from replicator.store.session import Session
from replicator.store.spared import THIS, cancel
from replicator.store.statements import later
from replicator.store.tables import CLEAN, OWED, intent, lane, repository
from replicator.store.tag_history import note, of_tag
from replicator.store.tag_tables import deletion

AFTER_TAGS = 60.0
"""Seconds after the tags that name it at which a manifest is deleted by its digest."""
_ZERO: ColumnElement[int] = literal_column("0")
_row, _at = intent.c, deletion.c
_ITS_INTENT = and_(
    _row.replica == bindparam("key_replica"),
    _row.repository_id == bindparam("key_repository"),
    _row.reference == bindparam("key_reference"),
)
_NAMES = (_at.replica, _at.repository_id, _at.reference, _at.found_at, _at.due_at)
_TAGGED = _row.reference >= bindparam("first_tag")
_MAY_GO = or_(
    and_(_TAGGED, _row.have_digest.is_not(None)), and_(not_(_TAGGED), or_(OWED, _row.put == literal_column("1")))
)
_ADD = Prepared(
    insert(deletion)
    .from_select(
        _NAMES,
        select(
            _row.replica,
            _row.repository_id,
            _row.reference,
            bindparam("new_found", type_=_at.found_at.type),
            bindparam("new_due", type_=_at.due_at.type),
        ).where(_ITS_INTENT, _MAY_GO),
    )
    .on_conflict_do_nothing(index_elements=[_at.replica, _at.repository_id, _at.reference])
)
"""Have a reference deleted that the replica was given, unless it is known already.

A manifest without a tag only where it is ours, or may still be: no list tells later that the primary lost it.
"""
_LOOK = Prepared(
    update(intent)
    .where(_ITS_INTENT)
    .values(
        verify_at=case(
            (and_(CLEAN, _row.verify_at.is_(None)), bindparam("at")),
            (and_(CLEAN, _row.verify_at > bindparam("at")), bindparam("at")),
            else_=_row.verify_at,
        ),
        doubt_at=case(
            (and_(CLEAN, _row.verify_at.is_(None)), _row.doubt_at),
            (and_(CLEAN, _row.verify_at > bindparam("at")), later(_row.doubt_at, _row.verify_at)),
            else_=later(_row.doubt_at, bindparam("at")),
        ),
    )
)
"""Have its row looked at then; a look that is to come anyway stays."""
_NAMING = Prepared(
    select(_row.reference).where(
        _row.replica == bindparam("key_replica"),
        _row.repository_id == bindparam("key_repository"),
        _row.reference >= bindparam("first_tag"),
        _row.have_digest == bindparam("digest"),
    )
)
_LEAVE = Prepared(update(deletion).where(THIS).values(left=bindparam("new_left"), approved=_ZERO))
OF_ITS_INTENT = and_(
    _row.replica == _at.replica, _row.repository_id == _at.repository_id, _row.reference == _at.reference
)
"""Joins each to its intent."""
_PENDING = Prepared(
    select(_at.found_at, _at.due_at, _at.approved, _at.left, _row.put, lane.c.deletes_stopped_since)
    .select_from(
        deletion.join(repository, repository.c.id == _at.repository_id)
        .join(intent, OF_ITS_INTENT)
        .outerjoin(lane, lane.c.replica == _at.replica)
    )
    .where(
        _at.replica == bindparam("replica"),
        repository.c.name == bindparam("name"),
        _at.reference == bindparam("reference"),
    )
)
_COUNTS = Prepared(select(_at.replica, _at.left, func.count()).group_by(_at.replica, _at.left))
_STOPPED = Prepared(
    select(lane.c.replica, lane.c.deletes_stopped_since).where(lane.c.deletes_stopped_since.is_not(None))
)


def add(session: Session, deletions: Sequence[Deletion], heard: Sequence[Heard] = ()) -> tuple[int, ...]:
    """Have deleted what replicas were given; return for each how much of it was not known to be.

    `heard` is what told of them, in the same order.
    """
    added = tuple(_add_all(session, one) for one in deletions)
    if heard:
        event_rows.keep(session, heard, (Recorded.ACCEPTED if count else Recorded.KNOWN for count in added))
    return added


def _add_all(session: Session, one: Deletion) -> int:
    if not isinstance(one.key.reference, Digest):
        return _add(session, one, one.key)
    tags = _tags(session, one.key)
    # The manifest after its tags: as long as one names it, it is needed.
    itself = replace(one, due_at=one.due_at + AFTER_TAGS) if tags else one
    return sum(_add(session, one, key) for key in tags) + _add(session, itself, one.key)


def _tags(session: Session, key: IntentKey) -> list[IntentKey]:
    if not isinstance(key.reference, Digest):
        return [key]
    values = {**session.key(key), "first_tag": FIRST_TAG, "digest": pack_digest(key.reference)}
    found = _NAMING.run(session.connection, values).fetchall()
    return [IntentKey(key.replica, key.repository, unpack_reference(packed)) for (packed,) in found]


def _add(session: Session, one: Deletion, key: IntentKey) -> int:
    values: dict[str, Value] = {
        **session.key(key),
        "new_found": one.found_at,
        "new_due": one.due_at,
        "first_tag": FIRST_TAG,
    }
    if _ADD.run(session.connection, values).rowcount != 1:
        return 0
    session.dooming = True
    look_again(session, key, one.due_at)
    return 1


def look_again(session: Session, key: IntentKey, at: float) -> None:
    """Have a row looked at, at that time at the latest."""
    _LOOK.run(session.connection, {**session.key(key), "at": at})
    session.mark_changed([key])


def cancel_one(session: Session, key: IntentKey) -> None:
    """Have a reference not deleted."""
    cancel(session, session.key(key))


def leave(session: Session, key: IntentKey, why: str | None) -> None:
    """Keep why a reference stays all the same; None: it does not."""
    _LEAVE.run(session.connection, {**session.key(key), "new_left": why})


def begin(session: Session, key: IntentKey, digest: Digest, *, approved: bool) -> None:
    """Keep what a reference names that is about to be deleted."""
    what = What.APPROVED if approved else What.DELETED
    newest = next(iter(of_tag(session.connection, key)), None)
    # One that is tried again is still one.
    if newest is None or (newest.digest, newest.what) != (digest, what):
        note(session, key, digest, what)


def pending(connection: Connection, key: IntentKey) -> Pending | None:
    """Return how it stands with a reference that is to be deleted, None for any other."""
    values: dict[str, Value] = {
        "replica": key.replica,
        "name": key.repository,
        "reference": pack_reference(key.reference),
    }
    found = _PENDING.run(connection, values).fetchone()
    if found is None:
        return None
    found_at, due_at, approved, left, put, stopped_since = found
    return Pending(
        found_at=found_at,
        due_at=due_at,
        approved=bool(approved),
        left=left,
        put=bool(put),
        stopped=stopped_since is not None,
    )


def summary(connection: Connection) -> dict[str, DeletionSummary]:
    """Return how it stands with all deletes."""
    waiting: Counter[str] = Counter()
    left: dict[str, dict[str, int]] = {}
    for replica, why, count in _COUNTS.run(connection, {}):
        if why is None:
            waiting[replica] = count
        else:
            left.setdefault(replica, {})[why] = count
    stopped = dict(_STOPPED.run(connection, {}).fetchall())
    return {
        name: DeletionSummary(pending=waiting[name], left=left.get(name, {}), stopped_since=stopped.get(name))
        for name in waiting.keys() | left.keys() | stopped.keys()
    }
