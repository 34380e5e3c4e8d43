"""Uploads under way, so that one that is cut, or whose daemon dies, goes on where it stopped (G10)."""

from sqlalchemy import and_, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from replicator.model import Digest, Repository
from replicator.store.encoding import pack_digest
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.rows import KeptUpload
from replicator.store.session import Session
from replicator.store.tables import repository as names
from replicator.store.tables import upload

EXPIRES_AFTER = 24 * 3600.0
"""Seconds after which an upload is not worth asking for: registries drop what nobody goes on with."""

_at = upload.c
_begun = insert(upload).values(
    replica=bindparam("key_replica"),
    repository_id=bindparam("key_repository"),
    digest=bindparam("key_digest"),
    location=bindparam("new_location"),
    position=bindparam("new_position"),
    expires_at=bindparam("new_expires"),
)
_KEEP = Prepared(
    _begun.on_conflict_do_update(
        index_elements=[_at.replica, _at.repository_id, _at.digest],
        set_={one: _begun.excluded[one] for one in ("location", "position", "expires_at")},
    )
)
_DROP_EXPIRED = Prepared(delete(upload).where(_at.expires_at <= bindparam("now")))
_FORGET = Prepared(
    delete(upload).where(
        _at.replica == bindparam("key_replica"),
        _at.repository_id == bindparam("key_repository"),
        _at.digest == bindparam("key_digest"),
    )
)
_FIND = Prepared(
    select(_at.location, _at.position)
    .select_from(upload.join(names, names.c.id == _at.repository_id))
    .where(
        and_(
            _at.replica == bindparam("replica"),
            names.c.name == bindparam("repository"),
            _at.digest == bindparam("digest"),
            _at.expires_at > bindparam("now"),
        )
    )
)


def keep(session: Session, replica: str, repository: Repository, digest: Digest, kept: KeptUpload) -> None:
    """Keep where an upload goes on, and drop those that nobody came back to."""
    now = session.clock.now()
    _DROP_EXPIRED.run(session.connection, {"now": now})
    values: dict[str, Value] = {"new_location": kept.location, "new_position": kept.position}
    values |= {"new_expires": now + EXPIRES_AFTER}
    _KEEP.run(session.connection, {**_key(session, replica, repository, digest), **values})


def forget(session: Session, replica: str, repository: Repository, digest: Digest) -> None:
    """Drop an upload that is over."""
    _FORGET.run(session.connection, _key(session, replica, repository, digest))


def find(
    connection: Connection, replica: str, repository: Repository, digest: Digest, now: float
) -> KeptUpload | None:
    """Return where an upload goes on, None when there is none."""
    values: dict[str, Value] = {"replica": replica, "repository": repository, "now": now}
    found = _FIND.run(connection, {**values, "digest": pack_digest(digest)}).fetchone()
    return None if found is None else KeptUpload(location=found[0], position=found[1])


def _key(session: Session, replica: str, repository: Repository, digest: Digest) -> dict[str, Value]:
    return {
        "key_replica": replica,
        "key_repository": session.repository(repository),
        "key_digest": pack_digest(digest),
    }
