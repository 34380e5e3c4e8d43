"""What is not to be deleted any more, inside the writer thread: whoever pushes a reference wants it to stay."""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, and_, bindparam, delete, literal_column, select

from replicator.store.prepared import Prepared, Value
from replicator.store.session import Session
from replicator.store.tag_tables import deletion

_ZERO: ColumnElement[int] = literal_column("0")
_ONE: ColumnElement[int] = literal_column("1")
_at = deletion.c
THIS = and_(
    _at.replica == bindparam("key_replica"),
    _at.repository_id == bindparam("key_repository"),
    _at.reference == bindparam("key_reference"),
)
"""Names one reference that is to be deleted."""
_ANY = Prepared(select(_at.replica).limit(_ONE).offset(_ZERO))
_CANCEL = Prepared(delete(deletion).where(THIS))


def cancel(session: Session, key: Mapping[str, Value]) -> None:
    """Have a reference not deleted, if it was to be: mostly none is, and no push needs to be held against that."""
    if session.dooming is None:
        session.dooming = bool(_ANY.run(session.connection, {}).fetchall())
    if session.dooming and _CANCEL.run(session.connection, key).rowcount:
        session.dooming = None
