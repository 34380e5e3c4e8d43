"""What helps but is no intent: where blobs are, and deliveries that could not be read."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from replicator.model import Digest, Repository
from replicator.store.encoding import bounded, pack_digest
from replicator.store.prepared import Connection, Prepared
from replicator.store.rows import Unreadable
from replicator.store.session import Session
from replicator.store.tables import blob_location, delivery

LOCATIONS = 5
"""Repositories remembered for one blob on one replica."""
FORGOTTEN_AFTER = 90 * 24 * 3600.0
"""Seconds after which a place is dropped that no copy came by: a blob asked for once more costs a request."""
_NEXT = 8
DELIVERIES = 100
"""Unreadable deliveries kept, the newest."""
BODY_LIMIT = 64 * 1024
"""Bytes kept of each."""
_REASON_LIMIT = 512

_NO_LIMIT: ColumnElement[int] = literal_column(str(2**62))  # an offset needs a limit beside it in SQLite
_at = blob_location.c
_ZERO: ColumnElement[int] = literal_column("0")
_THIS_BLOB = and_(_at.replica == bindparam("key_replica"), _at.digest == bindparam("key_digest"))
_seen = insert(blob_location).values(
    replica=bindparam("key_replica"),
    digest=bindparam("key_digest"),
    repository_id=bindparam("key_repository"),
    seen_at=bindparam("now"),
)
_REMEMBER = Prepared(
    _seen.on_conflict_do_update(
        index_elements=[_at.replica, _at.digest, _at.repository_id], set_={"seen_at": _seen.excluded.seen_at}
    )
)
_other = blob_location.alias()
_KEEP_NEWEST = Prepared(
    delete(blob_location).where(
        _THIS_BLOB,
        _at.repository_id.in_(
            select(_other.c.repository_id)
            .where(_other.c.replica == bindparam("key_replica"), _other.c.digest == bindparam("key_digest"))
            .order_by(_other.c.seen_at.desc(), _other.c.repository_id.desc())
            .limit(_NO_LIMIT)
            .offset(literal_column(str(LOCATIONS)))
        ),
    )
)
_FORGET_OLD = Prepared(
    delete(blob_location).where(
        _at.replica == bindparam("key_replica"),
        _at.digest.in_(
            select(_other.c.digest)
            .where(_other.c.replica == bindparam("key_replica"), _other.c.digest > bindparam("key_digest"))
            .order_by(_other.c.digest)
            .limit(literal_column(str(_NEXT)))
            .offset(_ZERO)
        ),
        _at.seen_at < bindparam("old"),
    )
)
"""Drop what is old of the next places by digest: digests are chance, so that all come by some time."""
_FORGET = Prepared(
    delete(blob_location).where(
        _at.replica == bindparam("key_replica"), _at.repository_id == bindparam("key_repository")
    )
)
_KEEP = Prepared(
    insert(delivery).values(
        endpoint=bindparam("new_endpoint"),
        reason=bindparam("new_reason"),
        body=bindparam("new_body"),
        received_at=bindparam("now"),
    )
)
_DROP_OLD = Prepared(
    delete(delivery).where(
        delivery.c.id <= select(func.max(delivery.c.id) - literal_column(str(DELIVERIES))).scalar_subquery()
    )
)

_UNREADABLE = Prepared(
    select(delivery.c.endpoint, delivery.c.reason, delivery.c.body, delivery.c.received_at).order_by(
        delivery.c.id.desc()
    )
)


def remember_blobs(session: Session, replica: str, repository: Repository, digests: Sequence[Digest]) -> None:
    """Note that the replica's repository holds these blobs; what is old makes room."""
    values = [
        {
            "key_replica": replica,
            "key_repository": session.repository(repository),
            "key_digest": pack_digest(digest),
            "now": session.clock.now(),
            "old": session.clock.now() - FORGOTTEN_AFTER,
        }
        for digest in digests
    ]
    _REMEMBER.run_each(session.connection, values)
    _KEEP_NEWEST.run_each(session.connection, values)
    _FORGET_OLD.run_each(session.connection, values)


def forget_blobs(session: Session, replica: str, repository: Repository) -> None:
    """Drop what is noted of one repository of a replica."""
    _FORGET.run(session.connection, {"key_replica": replica, "key_repository": session.repository(repository)})


def keep_unreadable(session: Session, endpoint: str, reason: str, body: bytes) -> None:
    """Keep a delivery and drop the oldest beyond the bound."""
    _KEEP.run(
        session.connection,
        {
            "new_endpoint": endpoint,
            "new_reason": bounded(reason, _REASON_LIMIT),
            "new_body": body[:BODY_LIMIT],
            "now": session.clock.now(),
        },
    )
    _DROP_OLD.run(session.connection, {})


def unreadable(connection: Connection) -> tuple[Unreadable, ...]:
    """Return the kept deliveries, newest first."""
    return tuple(
        Unreadable(endpoint=endpoint, reason=reason, body=body, received_at=received_at)
        for endpoint, reason, body, received_at in _UNREADABLE.run(connection, {})
    )
