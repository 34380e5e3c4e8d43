"""Operators' decisions that a replica need not have something, and their end, inside the writer thread."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, and_, bindparam, func, literal_column, null, select, update
from sqlalchemy.dialects.postgresql import insert

from replicator.model import Digest, Intent, IntentKey, Recorded
from replicator.store import changes, queries
from replicator.store.encoding import pack_digest, unpack_digest
from replicator.store.ignored import FIND, forget
from replicator.store.prepared import Prepared
from replicator.store.session import Session
from replicator.store.tables import OWED, ignored, intent

_row = intent.c
_ZERO: ColumnElement[int] = literal_column("0")
_THIS = and_(
    _row.replica == bindparam("key_replica"),
    _row.repository_id == bindparam("key_repository"),
    _row.reference == bindparam("key_reference"),
)
_NOTE = Prepared(
    insert(ignored).from_select(
        ["replica", "repository_id", "reference", "digest", "since", "ignored_at", "backfill"],
        select(
            _row.replica,
            _row.repository_id,
            _row.reference,
            func.coalesce(bindparam("new_digest"), _row.want_digest),
            _row.dirty_since,
            bindparam("now"),
            _row.backfill,
        ).where(_THIS, OWED),
    )
)
"""Keep what is decided about an owed row: about what the primary names, where that is known."""
_CLEAN = Prepared(
    update(intent)
    .where(_THIS)
    .values(
        observed_generation=_row.generation,
        dirty_since=null(),
        next_dirty_since=null(),
        due_at=null(),
        attempts=_ZERO,
        failing_since=null(),
        reason=null(),
        message=null(),
        parked=_ZERO,
        deadline_missed=_ZERO,
        backfill=null(),
        # Whoever works on it has no right to put it any more.
        lease_owner=null(),
        lease_until=_ZERO,
    )
)
"""Have nothing owed, and nobody at work."""


def ignore(session: Session, keys: Sequence[IntentKey], digest: Digest | None) -> tuple[IntentKey, ...]:
    """Take those rows out of lag that are owed; return their keys. `digest` is what the primary names, if known."""
    done = []
    for key in keys:
        values = session.key(key)
        values |= {"new_digest": pack_digest(digest), "now": session.clock.now()}
        if _NOTE.run(session.connection, values).rowcount == 1:
            _CLEAN.run(session.connection, values)
            session.ignoring = True
            done.append(key)
    session.mark_changed(done)
    return tuple(done)


def heed(session: Session, keys: Sequence[IntentKey]) -> Mapping[IntentKey, Recorded]:
    """Take the decisions about these rows back: owed again, since when they had been; return what came of each."""
    came: dict[IntentKey, Recorded] = {}
    for key in keys:
        values = session.key(key)
        noted, row = FIND.run(session.connection, values).fetchone(), queries.row(session.connection, key)
        if noted is None or row is None:
            continue
        forget(session, values)
        intents = [
            Intent(
                key=key,
                digest=unpack_digest(noted[0]),
                since=noted[1],
                due_at=session.clock.now(),
                priority=row.priority,
                fingerprint=row.fingerprint,
                delivery=row.delivery,
                backfill=bool(noted[2]),
            )
        ]
        (came[key],) = changes.record(session, intents)
    return came
