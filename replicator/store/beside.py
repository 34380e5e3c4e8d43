"""Tags that are put along with an image, without a lease of their own, inside the writer thread: each leaves a look.

Whoever has the lease of such a tag may put a newer state at the same time, and a registry has no compare-and-swap.
"""

from sqlalchemy import ColumnElement, and_, bindparam, case, func, literal_column
from sqlalchemy.dialects.postgresql import insert

from replicator.correlation import pack_delivery
from replicator.model import Digest
from replicator.store.encoding import pack_digest
from replicator.store.leases import DOUBT_SECONDS
from replicator.store.prepared import Prepared, Value
from replicator.store.rows import PutBeside, What
from replicator.store.session import Session
from replicator.store.statements import later
from replicator.store.tables import CLEAN, intent
from replicator.store.tag_history import note

_ONE: ColumnElement[int] = literal_column("1")
_row = intent.c
_incoming = insert(intent).values(
    replica=bindparam("key_replica"),
    repository_id=bindparam("key_repository"),
    reference=bindparam("key_reference"),
    generation=_ONE,
    observed_generation=_ONE,
    have_digest=bindparam("new_have"),
    put=bindparam("new_put"),
    verify_at=bindparam("at"),
    priority=bindparam("new_priority"),
    policy_id=bindparam("new_policy"),
    delivery=bindparam("new_delivery"),
)
_new = _incoming.excluded
# What this put left when it began is taken back once its outcome is known.
_look = func.nullif(_row.verify_at, bindparam("former"))
_doubt = func.nullif(_row.doubt_at, bindparam("former"))
_IDLE = and_(CLEAN, _row.lease_owner.is_(None))
_PUT = Prepared(
    _incoming.on_conflict_do_update(
        index_elements=[_row.replica, _row.repository_id, _row.reference],
        set_={
            "have_digest": case(
                (and_(_IDLE, _new.have_digest.is_not(None)), _new.have_digest), else_=_row.have_digest
            ),
            "put": case((and_(_IDLE, _new.put.is_not(None)), _new.put), else_=_row.put),
            # The earlier look comes first and does not stand in for the later.
            "verify_at": case(
                (and_(_IDLE, _look < _new.verify_at), _look), (_IDLE, _new.verify_at), else_=_row.verify_at
            ),
            "doubt_at": case(
                (and_(_IDLE, _look.is_(None)), _doubt),
                (and_(_IDLE, _look < _new.verify_at), later(_doubt, _new.verify_at)),
                (_IDLE, later(_doubt, _look)),
                else_=later(_doubt, _new.verify_at),
            ),
            "delivery": case((_IDLE, func.coalesce(_row.delivery, _new.delivery)), else_=_row.delivery),
        },
    )
)
"""Have a row looked at; of one that is worked on or owed, once it is clean again."""


def begin(session: Session, put: PutBeside) -> float:
    """Keep that the tag may be put from now on: it is looked at when no such put can land any more, then returned."""
    doubt_until = session.clock.now() + DOUBT_SECONDS
    note(session, put.key, put.digest, What.PUT)
    _write(session, put, at=doubt_until, have=None, former=None)
    return doubt_until


def end(session: Session, put: PutBeside, *, doubt_until: float, look_at: float) -> None:
    """Keep that the replica took it: a look at `look_at` tells whether it came late, and none at `doubt_until`."""
    _write(session, put, at=look_at, have=put.digest, former=doubt_until)
    session.mark_changed([put.key])


def _write(session: Session, put: PutBeside, *, at: float, have: Digest | None, former: float | None) -> None:
    values: dict[str, Value] = {
        **session.key(put.key),
        "new_have": pack_digest(have),
        "new_put": None if have is None else 1,
        "new_priority": int(put.priority),
        "new_policy": session.policy(put.fingerprint),
        "new_delivery": pack_delivery(put.delivery),
        "at": at,
        "former": former,
    }
    _PUT.run(session.connection, values)
