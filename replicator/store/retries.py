"""Rows that an operator has tried again, inside the writer thread."""

from collections.abc import Sequence

from sqlalchemy import and_, bindparam, update

from replicator.model import IntentKey
from replicator.store.prepared import Prepared
from replicator.store.session import Session
from replicator.store.tables import FAILING, intent

_row = intent.c
_RETRY = Prepared(
    update(intent)
    .where(
        and_(
            _row.replica == bindparam("key_replica"),
            _row.repository_id == bindparam("key_repository"),
            _row.reference == bindparam("key_reference"),
        ),
        FAILING,
        _row.due_at > bindparam("now"),
    )
    .values(due_at=bindparam("now"))
)


def retry(session: Session, keys: Sequence[IntentKey]) -> tuple[IntentKey, ...]:
    """Make those rows due now that are failing and not due yet; return their keys."""
    now = session.clock.now()
    return tuple(
        key for key in keys if _RETRY.run(session.connection, {**session.key(key), "now": now}).rowcount == 1
    )
