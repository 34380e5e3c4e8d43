"""What a replica lacks by decision: whether a change is covered by one, and when one ends."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, literal_column, select, tuple_

from replicator.model import Digest, IntentKey, Repository
from replicator.store.encoding import pack_digest, unpack_reference
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.session import Session
from replicator.store.tables import ignored
from replicator.store.tables import repository as names

_at = ignored.c
_ZERO: ColumnElement[int] = literal_column("0")
THIS = and_(
    _at.replica == bindparam("key_replica"),
    _at.repository_id == bindparam("key_repository"),
    _at.reference == bindparam("key_reference"),
)
FIND = Prepared(select(_at.digest, _at.since, _at.backfill).where(THIS))
FORGET = Prepared(delete(ignored).where(THIS))
_ANY = Prepared(select(_at.replica).limit(literal_column("1")).offset(_ZERO))
_COUNTS = Prepared(select(_at.replica, func.count()).group_by(_at.replica))
_KEYS = Prepared(
    select(_at.replica, names.c.name, _at.reference)
    .select_from(ignored.join(names, names.c.id == _at.repository_id))
    .where(
        _at.replica == bindparam("replica"),
        tuple_(_at.repository_id, _at.reference)
        > tuple_(bindparam("after_repository"), bindparam("after_reference")),
    )
    .order_by(_at.repository_id, _at.reference)
    .limit(bindparam("count"))
    .offset(_ZERO)
)


def anything(session: Session) -> bool:
    """Whether anything is ignored: mostly nothing is, and then no change needs to be held against it."""
    if session.ignoring is None:
        session.ignoring = bool(_ANY.run(session.connection, {}).fetchall())
    return session.ignoring


def covers(session: Session, key: Mapping[str, Value], digest: Digest | None) -> bool:
    """Whether a change to `digest` was decided to be left out already; with any other the decision ends."""
    found = _find(session, key)
    if found is None:
        return False
    if digest is not None and found[0] == pack_digest(digest):
        return True
    forget(session, key)
    return False


def arrived(session: Session, key: Mapping[str, Value], digest: Digest | None) -> None:
    """End the decision if it was about `digest`: the replica holds it now."""
    found = _find(session, key)
    if found is not None and digest is not None and found[0] == pack_digest(digest):
        forget(session, key)


def forget(session: Session, key: Mapping[str, Value]) -> None:
    """End the decision, if there is one."""
    if anything(session):
        FORGET.run(session.connection, key)
        session.ignoring = None


def _find(session: Session, key: Mapping[str, Value]) -> Any:
    return FIND.run(session.connection, key).fetchone() if anything(session) else None


def counts(connection: Connection) -> Mapping[str, int]:
    """Return how many references each replica lacks by decision."""
    return dict(_COUNTS.run(connection, {}).fetchall())


def keys(connection: Connection, replica: str, position: Mapping[str, Value], count: int) -> list[IntentKey]:
    """Return a page of what a replica lacks by decision, behind `position`."""
    values: dict[str, Value] = {"replica": replica, "count": count, **position}
    found = _KEYS.run(connection, values).fetchall()
    return [IntentKey(name, Repository(repository), unpack_reference(packed)) for name, repository, packed in found]
