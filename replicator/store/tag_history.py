"""What tags of replicas were made to name, inside the writer thread and for readers: a bounded memory."""

from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, insert, literal_column, select

from replicator.model import Digest, IntentKey
from replicator.store.encoding import pack_digest, pack_reference, unpack_digest
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.rows import Entry, What
from replicator.store.session import Session
from replicator.store.tables import repository
from replicator.store.tag_tables import tag_history

PER_TAG = 16
"""Entries kept of one tag."""
MOST = 200_000
"""Entries kept of all tags."""
_row = tag_history.c
_THIS = and_(
    _row.replica == bindparam("key_replica"),
    _row.repository_id == bindparam("key_repository"),
    _row.reference == bindparam("key_reference"),
)
_ADD = Prepared(
    insert(tag_history).values(
        replica=bindparam("key_replica"),
        repository_id=bindparam("key_repository"),
        reference=bindparam("key_reference"),
        digest=bindparam("new_digest"),
        what=bindparam("new_what"),
        at=bindparam("now"),
    )
)
_all = tag_history.alias("other").c
_oldest_kept: ColumnElement[Any] = (
    select(_all.id)
    .where(
        _all.replica == bindparam("key_replica"),
        _all.repository_id == bindparam("key_repository"),
        _all.reference == bindparam("key_reference"),
    )
    .order_by(_all.id.desc())
    .limit(literal_column("1"))
    .offset(literal_column(str(PER_TAG - 1)))
    .scalar_subquery()
)
_TRIM = Prepared(delete(tag_history).where(_THIS, _row.id < _oldest_kept))
_last: ColumnElement[Any] = select(func.max(_all.id)).scalar_subquery()
_BOUND = Prepared(delete(tag_history).where(_row.id <= _last - literal_column(str(MOST))))
_WAS_PUT = Prepared(
    select(_row.id)
    .where(_THIS, _row.digest == bindparam("digest"), _row.what == literal_column("'put'"))
    .limit(literal_column("1"))
    .offset(literal_column("0"))
)
_OF_TAG = Prepared(
    select(_row.digest, _row.what, _row.at)
    .select_from(tag_history.join(repository, repository.c.id == _row.repository_id))
    .where(
        _row.replica == bindparam("replica"),
        repository.c.name == bindparam("name"),
        _row.reference == bindparam("reference"),
    )
    .order_by(_row.id.desc())
)


def note(session: Session, key: IntentKey, digest: Digest, what: What) -> None:
    """Add an entry; the oldest of the tag, and of all, make room."""
    values: dict[str, Value] = {
        **session.key(key),
        "new_digest": pack_digest(digest),
        "new_what": what.value,
        "now": session.clock.now(),
    }
    _ADD.run(session.connection, values)
    _TRIM.run(session.connection, values)
    _BOUND.run(session.connection, {})


def was_put(session: Session, key: IntentKey, digest: Digest) -> bool:
    """Say whether `digest` was about to be put under the tag lately."""
    values = {**session.key(key), "digest": pack_digest(digest)}
    return _WAS_PUT.run(session.connection, values).fetchone() is not None


def of_tag(connection: Connection, key: IntentKey) -> tuple[Entry, ...]:
    """Return the entries of a tag, newest first."""
    reference = pack_reference(key.reference)
    values: dict[str, Value] = {"replica": key.replica, "name": key.repository, "reference": reference}
    found = _OF_TAG.run(connection, values).fetchall()
    return tuple(
        Entry(digest, What(what), at) for packed, what, at in found if (digest := unpack_digest(packed)) is not None
    )
