"""The statements that change intents: record, lease, settle. Parameters are named `key_*`, `new_*` or plainly.

Each says in one statement what happens to a row, so that no reader ever sees half of it.
"""

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, func, literal_column, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from replicator.store.prepared import Prepared
from replicator.store.tables import (
    CLEAN,
    FAILING,
    LOOK_PENDING,
    NOT_YET_MISSED,
    OWED,
    intent,
    policy,
    repository,
    state,
)

_ZERO: ColumnElement[int] = literal_column("0")
_ONE: ColumnElement[int] = literal_column("1")
_row = intent.c
_THIS = and_(
    _row.replica == bindparam("key_replica"),
    _row.repository_id == bindparam("key_repository"),
    _row.reference == bindparam("key_reference"),
)
_LEASED = _row.lease_owner.is_not(None)
_MINE = and_(_THIS, _row.lease_epoch == bindparam("epoch"), _LEASED)
_UNLEASED = {"lease_owner": null(), "lease_until": _ZERO}
_NO_NEWER_CHANGE = _row.generation == bindparam("seen_generation")


def later(kept: ColumnElement[float], other: ColumnElement[float]) -> ColumnElement[float]:
    """Return the later of two times, where NULL is no time at all."""
    return case((kept.is_(None), other), (other > kept, other), else_=kept)


# A look that is due or to come is never lost by a change: it waits as doubt_at until the row is clean again.
_KEPT_LOOK = later(_row.doubt_at, _row.verify_at)
# The first change after the lease was taken is what the row will owe from when the leased work succeeds.
_AFTER_LEASE = case((_LEASED, func.coalesce(_row.next_dirty_since, bindparam("new_since"))), else_=null())

_incoming = insert(intent).values(
    replica=bindparam("key_replica"),
    repository_id=bindparam("key_repository"),
    reference=bindparam("key_reference"),
    generation=_ONE,
    want_digest=bindparam("new_digest"),
    dirty_since=bindparam("new_since"),
    due_at=bindparam("new_due"),
    priority=bindparam("new_priority"),
    policy_id=bindparam("new_policy"),
    delivery=bindparam("new_delivery"),
    backfill=bindparam("new_backfill"),
)
_new = _incoming.excluded
# What fills a replica is no lag; a push of the same reference is, from then on.
_PUSHED = and_(OWED, _row.backfill.is_not(None), _new.backfill.is_(None))
RECORD = Prepared(
    _incoming.on_conflict_do_update(
        index_elements=[_row.replica, _row.repository_id, _row.reference],
        set_={
            "generation": _row.generation + _ONE,
            "want_digest": _new.want_digest,
            "dirty_since": case((CLEAN, _new.dirty_since), (_PUSHED, _new.dirty_since), else_=_row.dirty_since),
            "next_dirty_since": _AFTER_LEASE,
            "due_at": case((CLEAN, _new.due_at), (_new.due_at < _row.due_at, _new.due_at), else_=_row.due_at),
            "priority": case(
                (CLEAN, _new.priority), (_new.priority < _row.priority, _new.priority), else_=_row.priority
            ),
            "backfill": case((CLEAN, _new.backfill), (_PUSHED, _new.backfill), else_=_row.backfill),
            "policy_id": _new.policy_id,
            "delivery": func.coalesce(_new.delivery, _row.delivery),
            "attempts": _ZERO,
            "looks": _ZERO,
            "failing_since": null(),
            "parked": _ZERO,
            "reason": case((CLEAN, null()), else_=_row.reason),
            "message": case((CLEAN, null()), else_=_row.message),
            "verify_at": null(),
            "doubt_at": _KEPT_LOOK,
        },
        # All but "clean and the same": a leased look may be about to put what it read before this change.
        where=or_(
            OWED,
            _LEASED,
            _row.have_digest.is_(None),
            _new.want_digest.is_(None),
            _row.have_digest != _new.want_digest,
            _row.policy_id != _new.policy_id,
            # Registries collect what has no tag: whether it is still there must be asked.
            _row.reference < bindparam("first_tag"),
        ),
    ).returning(_row.generation - _row.observed_generation)
)
"""Merge one change. Returns 1 when the row turned owed, more when it was owed before, no row when it is known."""

_FREE = or_(_row.lease_owner.is_(None), _row.lease_until <= bindparam("monotonic"))
_LEASE_COLUMNS = (
    _row.repository_id,
    repository.c.name,
    _row.reference,
    _row.generation,
    _row.want_digest,
    _row.have_digest,
    _row.dirty_since,
    _row.attempts,
    _row.failing_since,
    _row.looks,
    policy.c.fingerprint,
    _LEASED,
    _row.priority,
    _row.delivery,
    _row.backfill,
    _row.put,
)
_named = intent.join(repository, repository.c.id == _row.repository_id).join(policy, policy.c.id == _row.policy_id)
DUE_OWED = Prepared(
    select(*_LEASE_COLUMNS, _row.due_at)
    .select_from(_named)
    .where(
        _row.replica == bindparam("replica"),
        _row.priority == bindparam("priority"),
        _row.due_at <= bindparam("now"),
        OWED,
        _FREE,
    )
    .order_by(_row.due_at)
    .limit(bindparam("count"))
    .offset(_ZERO)
)
"""Owed rows of one priority that are due and free, longest due first."""
DUE_LOOKS = Prepared(
    select(*_LEASE_COLUMNS, _row.verify_at)
    .select_from(_named)
    .where(
        _row.replica == bindparam("replica"),
        _row.priority == bindparam("priority"),
        _row.verify_at <= bindparam("now"),
        LOOK_PENDING,
        _FREE,
    )
    .order_by(_row.verify_at)
    .limit(bindparam("count"))
    .offset(_ZERO)
)
"""Clean rows of one priority whose look is due and that are free, longest due first."""
NEXT_EPOCH = Prepared(update(state).values(epoch=state.c.epoch + _ONE).returning(state.c.epoch))
"""Draw a lease epoch that no lease of this store ever had."""
TAKE = Prepared(
    update(intent)
    .where(_THIS)
    .values(
        lease_owner=bindparam("owner"),
        lease_epoch=bindparam("epoch"),
        lease_until=bindparam("until"),
        next_dirty_since=null(),
        doubt_at=later(_row.doubt_at, bindparam("new_doubt")),
    )
)
"""Lease one row; `new_doubt` is NULL unless it is taken over from a holder who may have put."""
RENEW = Prepared(update(intent).where(_MINE).values(lease_until=bindparam("until")))
"""Extend one lease that was not taken over."""
RELEASE = Prepared(update(intent).where(_MINE).values(_UNLEASED))
"""Give one lease back as if it had not been taken."""

_look_at: ColumnElement[float] = bindparam("look_at")
DONE = Prepared(
    update(intent)
    .where(_MINE)
    .values(
        observed_generation=bindparam("seen_generation"),
        have_digest=bindparam("new_have"),
        put=case(
            (bindparam("new_put") == _ONE, _ONE), (_row.have_digest == bindparam("new_have"), _row.put), else_=null()
        ),
        want_digest=case(
            (and_(_NO_NEWER_CHANGE, _row.want_digest == bindparam("new_have")), null()), else_=_row.want_digest
        ),
        dirty_since=case((_NO_NEWER_CHANGE, null()), else_=func.coalesce(_row.next_dirty_since, _row.dirty_since)),
        next_dirty_since=null(),
        due_at=case((_NO_NEWER_CHANGE, null()), else_=_row.due_at),
        attempts=_ZERO,
        failing_since=null(),
        reason=null(),
        message=null(),
        parked=_ZERO,
        backfill=case((_NO_NEWER_CHANGE, null()), else_=_row.backfill),
        told=null(),
        # A row whose lag starts anew may miss anew; one that a look found owed already keeps its flag.
        deadline_missed=case(
            (_NO_NEWER_CHANGE, _ZERO), (_row.next_dirty_since == _row.dirty_since, _row.deadline_missed), else_=_ZERO
        ),
        verify_at=case((_NO_NEWER_CHANGE, func.coalesce(_look_at, _row.doubt_at)), else_=null()),
        doubt_at=case(
            (and_(_NO_NEWER_CHANGE, or_(_look_at.is_(None), _look_at >= _row.doubt_at)), null()), else_=_row.doubt_at
        ),
        looks=case((_NO_NEWER_CHANGE, bindparam("new_looks")), else_=_row.looks),
        delivery=case(
            (and_(_NO_NEWER_CHANGE, func.coalesce(_look_at, _row.doubt_at).is_(None)), null()), else_=_row.delivery
        ),
        **_UNLEASED,
    )
    # Plain columns: SQLite 3.40 answers 0 to any `x IS NULL` in RETURNING of a table WITHOUT ROWID.
    .returning(_row.dirty_since, _row.verify_at, _row.put)
)
"""Settle one lease with success; a change that came meanwhile keeps the row owed.

Returns its new lag and look, and whether we put it.
"""

_STILL_OWED = and_(_NO_NEWER_CHANGE, OWED)
FAILED = Prepared(
    update(intent)
    .where(_MINE)
    .values(
        # A change that came meanwhile is fresh: it is tried at once, as if it had come after this.
        attempts=case((_NO_NEWER_CHANGE, _row.attempts + _ONE), else_=_row.attempts),
        failing_since=case(
            (_NO_NEWER_CHANGE, func.coalesce(_row.failing_since, bindparam("now"))), else_=_row.failing_since
        ),
        due_at=case((_STILL_OWED, bindparam("at")), else_=_row.due_at),
        parked=case((_STILL_OWED, bindparam("new_parked")), else_=_row.parked),
        verify_at=case((and_(_NO_NEWER_CHANGE, CLEAN), bindparam("at")), else_=_row.verify_at),
        doubt_at=later(_row.doubt_at, bindparam("new_doubt")),
        reason=bindparam("new_reason"),
        message=bindparam("new_message"),
        **_UNLEASED,
    )
)
"""Settle one lease with failure: an owed row is due again `at`, a look is taken again `at`."""

TAINT = Prepared(
    update(intent)
    .where(_THIS)
    .values(
        generation=_row.generation + _ONE,
        dirty_since=case((CLEAN, bindparam("new_since")), else_=_row.dirty_since),
        next_dirty_since=_AFTER_LEASE,
        due_at=case((CLEAN, bindparam("new_since")), else_=_row.due_at),
        verify_at=null(),
        doubt_at=later(_KEPT_LOOK, bindparam("new_doubt")),
    )
)
"""Somebody without the lease has put: what the replica shows is unknown, so the row is owed (again)."""

DROP = Prepared(delete(intent).where(_THIS))
"""Forget one row."""
_LOOKED_AT_NO_MORE = and_(_row.verify_at.is_(None), _row.doubt_at.is_(None))
DROP_COVERED = Prepared(
    delete(intent).where(_THIS, _row.lease_owner.is_(None), or_(_row.put.is_(None), _LOOKED_AT_NO_MORE))
)
"""Forget one row that nobody works on; not of a manifest of ours whose delete may still land."""

MAKE_DUE = Prepared(
    update(intent)
    .where(
        _row.replica == bindparam("replica"),
        _row.repository_id == bindparam("key_repository"),
        _row.reference == bindparam("key_reference"),
    )
    .values(due_at=bindparam("now"))
)
"""Make one row due now."""
FAILING_LATER = Prepared(
    select(_row.repository_id, _row.reference)
    .where(
        _row.replica == bindparam("replica"),
        _row.priority == bindparam("priority"),
        _row.due_at > bindparam("now"),
        FAILING,
        _row.parked <= bindparam("most_parked"),
    )
    .order_by(_row.due_at)
    .limit(bindparam("count"))
    .offset(_ZERO)
)
"""Failing rows of one priority that are not yet due, those due soonest first."""

CROSSED = Prepared(
    select(_row.replica, _row.repository_id, _row.reference)
    .where(OWED, NOT_YET_MISSED, _row.dirty_since <= bindparam("before"))
    .order_by(_row.dirty_since)
    .limit(bindparam("count"))
    .offset(_ZERO)
)
"""Rows that crossed the objective and are not yet marked."""
MARK_MISSED = Prepared(update(intent).where(_THIS).values(deadline_missed=_ONE))
"""Mark one row, so that it is counted once."""

HEARTBEAT = Prepared(update(state).values(heartbeat_at=bindparam("now")))
"""Write something."""
