"""Which manifests replicas were given for their own sake, without a tag; on the connection that only reads."""

from sqlalchemy import ColumnElement, bindparam, literal_column, select

from replicator.model import Digest, Repository
from replicator.store.encoding import FIRST_TAG, unpack_digest
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.tables import intent, repository

_ZERO: ColumnElement[int] = literal_column("0")
_row = intent.c
_ROWS = Prepared(
    select(_row.reference)
    .select_from(intent.join(repository, repository.c.id == _row.repository_id))
    .where(
        _row.replica == bindparam("replica"),
        repository.c.name == bindparam("name"),
        _row.reference < bindparam("first_tag"),
    )
    .limit(bindparam("count"))
    .offset(_ZERO)
)


def digest_rows(connection: Connection, replica: str, name: Repository, limit: int) -> tuple[Digest, ...]:
    """Return the digests of a repository that have a row of their own, at most `limit`."""
    values: dict[str, Value] = {"replica": replica, "name": name, "first_tag": FIRST_TAG, "count": limit}
    found = (unpack_digest(packed) for (packed,) in _ROWS.run(connection, values).fetchall())
    return tuple(digest for digest in found if digest is not None)
