"""The statements of sweeps. Parameters are named `key_*`, `new_*` or plainly."""

from sqlalchemy import ColumnElement, bindparam, case, delete, exists, func, literal_column, null, select, update
from sqlalchemy.dialects.postgresql import insert

from replicator.store.prepared import Prepared
from replicator.store.tables import OWED, ignored, intent, policy, repository, sweep

_ZERO: ColumnElement[int] = literal_column("0")
_row, _at = intent.c, sweep.c

_COLUMNS = (
    repository.c.name,
    _at.found_at,
    _at.next_at,
    _at.full_next_at,
    _at.changed_at,
    _at.swept_at,
    _at.full_at,
    _at.full_began_at,
    _at.progress,
    _at.scope,
    _at.gone,
    _at.failures,
)
_named = sweep.join(repository, repository.c.id == _at.repository_id)
DUE = Prepared(
    select(*_COLUMNS)
    .select_from(_named)
    .where(_at.next_at <= bindparam("now"))
    .order_by(_at.next_at)
    .limit(bindparam("count"))
    .offset(_ZERO)
)
"""Repositories to compare, the longest due first."""
ONE = Prepared(select(*_COLUMNS).select_from(_named).where(repository.c.name == bindparam("name")))
"""One of them."""
NEXT = Prepared(select(func.min(_at.next_at)))
"""When the next one is due."""
SUMMARY = Prepared(
    select(
        func.count(),
        func.min(func.coalesce(_at.swept_at, _at.found_at)),
        func.min(func.coalesce(_at.full_at, _at.found_at)),
    ).select_from(sweep)
)
"""How many there are, and the oldest comparisons."""
_found = insert(sweep).values(
    repository_id=bindparam("key_repository"),
    found_at=bindparam("now"),
    changed_at=bindparam("new_changed"),
    next_at=bindparam("new_next"),
    full_next_at=bindparam("now"),
)
FOUND = Prepared(_found.on_conflict_do_nothing(index_elements=[_at.repository_id]))
"""Have a repository compared, if it is not."""
_new = _found.excluded
CHANGED = Prepared(
    _found.on_conflict_do_update(
        index_elements=[_at.repository_id],
        set_={
            "changed_at": case((_at.changed_at > _new.changed_at, _at.changed_at), else_=_new.changed_at),
            "next_at": case((_at.next_at < _new.next_at, _at.next_at), else_=_new.next_at),
        },
    )
)
"""Note that something changed in it."""
_THIS = _at.repository_id == bindparam("key_repository")
KEEP = Prepared(
    update(sweep)
    .where(_THIS)
    .values(
        next_at=bindparam("new_next"),
        changed_at=bindparam("new_changed"),
        swept_at=bindparam("new_swept"),
        full_at=bindparam("new_full"),
        full_next_at=bindparam("new_full_next"),
        full_began_at=bindparam("new_full_began"),
        progress=bindparam("new_progress"),
        scope=bindparam("new_scope"),
        gone=bindparam("new_gone"),
        failures=bindparam("new_failures"),
    )
)
"""Keep where its comparison stands."""
FORGET = Prepared(delete(sweep).where(_THIS))
"""Compare it no more."""
AFTER_GAP = Prepared(
    update(sweep)
    .where(_at.changed_at >= bindparam("since"))
    # Below all other times, and whatever changed last lowest: that is compared first.
    .values(next_at=-_at.changed_at, full_next_at=_ZERO, full_began_at=null(), progress=null())
)
"""Compare first what changed lately."""
NO_LATER = Prepared(
    update(sweep)
    .where(_at.next_at > func.coalesce(_at.swept_at, _ZERO) + bindparam("pause"))
    .values(next_at=func.coalesce(_at.swept_at, _ZERO) + bindparam("pause"))
)
"""Put no comparison off for longer."""
RESCOPED = Prepared(
    update(sweep)
    .where(_at.scope != bindparam("new_scope"), _at.next_at > bindparam("now"))
    .values(next_at=bindparam("now"))
)
"""Compare now what was last compared under other rules."""
TAGS = Prepared(
    select(
        _row.reference, _row.have_digest, case((OWED, literal_column("1")), else_=_ZERO), _row.verify_at,
        policy.c.fingerprint, ignored.c.ignored_at, ignored.c.digest,
    )
    .select_from(intent.join(policy, policy.c.id == _row.policy_id).outerjoin(ignored))
    .where(
        _row.replica == bindparam("replica"),
        _row.repository_id == bindparam("repository"),
        _row.reference > bindparam("after"),
        _row.reference <= bindparam("upto"),
    )
    .order_by(_row.reference)
    .limit(bindparam("count"))
    .offset(_ZERO)
)  # fmt: skip  # the columns of one row on two lines
"""The rows of a range of tags of one repository on one replica."""
FIND = Prepared(select(repository.c.id).where(repository.c.name == bindparam("name")))
"""The number of a repository."""
UNSWEPT = Prepared(
    select(repository.c.id, repository.c.name)
    .where(
        repository.c.id > bindparam("after"),
        ~exists(select(_at.repository_id).where(_at.repository_id == repository.c.id)),
        exists(
            select(_row.replica).where(_row.replica == bindparam("replica"), _row.repository_id == repository.c.id)
        ),
    )
    .order_by(repository.c.id)
    .limit(bindparam("count"))
    .offset(_ZERO)
)
"""Repositories with rows that are not compared."""
