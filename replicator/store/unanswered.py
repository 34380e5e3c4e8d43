"""Outcomes whose commit was not answered, inside the writer thread: told again, they are found to be kept already."""

from sqlalchemy import and_, bindparam, select

from replicator.model import Lease
from replicator.store.prepared import Prepared
from replicator.store.session import Session
from replicator.store.tables import intent

_row = intent.c
_LEASE = Prepared(
    select(_row.lease_epoch, _row.lease_owner).where(
        and_(
            _row.replica == bindparam("key_replica"),
            _row.repository_id == bindparam("key_repository"),
            _row.reference == bindparam("key_reference"),
        )
    )
)


def was_kept(session: Session, lease: Lease) -> bool:
    """Say whether an outcome of this lease was kept by a commit that nobody heard of, as the row shows."""
    if (lease.key, lease.epoch) not in session.unanswered:
        return False
    found = _LEASE.run(session.connection, session.key(lease.key)).fetchone()
    # A row that is done with is dropped; one that somebody has leased since may never have been settled.
    return found is None or (int(found[0]) == lease.epoch and found[1] is None)
