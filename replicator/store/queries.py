"""Questions to the store, each answered on the read-only connection from one consistent moment."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, literal_column, or_, select, tuple_

from replicator.correlation import unpack_delivery
from replicator.errors import Reason
from replicator.model import Digest, IntentKey, Priority, Repository
from replicator.store.encoding import pack_digest, pack_reference, unpack_digest, unpack_reference
from replicator.store.hints import LOCATIONS
from replicator.store.ignored import keys as ignored_keys
from replicator.store.lanes import paused_since
from replicator.store.moment import one_moment
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.rows import Row
from replicator.store.tables import (
    LOOK_PENDING,
    OWED,
    blob_location,
    ignored,
    intent,
    policy,
    repository,
)

_ZERO: ColumnElement[int] = literal_column("0")
_row = intent.c
_FREE = or_(_row.lease_owner.is_(None), _row.lease_until <= bindparam("monotonic"))

_COLUMNS = (
    _row.replica,
    repository.c.name,
    _row.reference,
    _row.generation,
    _row.observed_generation,
    _row.want_digest,
    _row.have_digest,
    _row.dirty_since,
    _row.due_at,
    _row.priority,
    _row.attempts,
    _row.failing_since,
    _row.reason,
    _row.message,
    _row.parked,
    _row.deadline_missed,
    _row.verify_at,
    _row.looks,
    _row.lease_owner,
    policy.c.fingerprint,
    ignored.c.ignored_at,
    _row.delivery,
    _row.doubt_at,
)
_named = (
    intent.join(repository, repository.c.id == _row.repository_id)
    .join(policy, policy.c.id == _row.policy_id)
    .outerjoin(ignored)
)
_ROW = Prepared(
    select(*_COLUMNS)
    .select_from(_named)
    .where(
        _row.replica == bindparam("replica"),
        repository.c.name == bindparam("name"),
        _row.reference == bindparam("reference"),
    )
)
_AFTER = tuple_(_row.repository_id, _row.reference) > tuple_(
    bindparam("after_repository"), bindparam("after_reference")
)


def _page(*conditions: ColumnElement[bool]) -> Prepared:
    page: Select[Any] = select(*_COLUMNS).select_from(_named).where(_row.replica == bindparam("replica"), *conditions)
    return Prepared(
        page.where(_AFTER).order_by(_row.repository_id, _row.reference).limit(bindparam("count")).offset(_ZERO)
    )


PAGES: Mapping[bool | None, Prepared] = {
    None: _page(),
    True: _page(OWED, _row.parked != _ZERO),
    False: _page(OWED, _row.parked == _ZERO),
}
_REPOSITORY = Prepared(select(repository.c.id).where(repository.c.name == bindparam("name")))
_NEXT_REPLICA = Prepared(select(func.min(_row.replica)).where(_row.replica > bindparam("after")))
_FIRST_DUE = Prepared(
    select(_row.due_at)
    .where(_row.replica == bindparam("replica"), _row.priority == bindparam("priority"), OWED, _FREE)
    .order_by(_row.due_at)
    .limit(literal_column("1"))
    .offset(_ZERO)
)
_FIRST_LOOK = Prepared(
    select(_row.verify_at)
    .where(_row.replica == bindparam("replica"), _row.priority == bindparam("priority"), LOOK_PENDING, _FREE)
    .order_by(_row.verify_at)
    .limit(literal_column("1"))
    .offset(_ZERO)
)
_LOCATIONS = Prepared(
    select(repository.c.name)
    .select_from(blob_location.join(repository, repository.c.id == blob_location.c.repository_id))
    .where(blob_location.c.replica == bindparam("replica"), blob_location.c.digest == bindparam("digest"))
    .order_by(blob_location.c.seen_at.desc(), blob_location.c.repository_id.desc())
    .limit(literal_column(str(LOCATIONS)))
    .offset(_ZERO)
)


def row(connection: Connection, key: IntentKey) -> Row | None:
    """Return one row."""
    found = _ROW.run(connection, _one(key)).fetchall()
    return _decoded(found[0]) if found else None


def _one(key: IntentKey) -> dict[str, Value]:
    return {"replica": key.replica, "name": key.repository, "reference": pack_reference(key.reference)}


def rows(
    connection: Connection,
    *,
    replica: str | None,
    parked: bool | None,
    only_ignored: bool,
    after: IntentKey | None,
    limit: int,
) -> tuple[Row, ...]:
    """Return a page of rows by replica, repository (in order of first sight) and reference, after that of `after`."""
    found: list[Any] = []
    with one_moment(connection):
        for name in _replicas(connection, replica, after):
            position = _position(connection, after if after and after.replica == name else None)
            if only_ignored:
                found += _ignored(connection, name, position, limit - len(found))
            else:
                values: dict[str, Value] = {"replica": name, "count": limit - len(found), **position}
                found += PAGES[parked].run(connection, values).fetchall()
            if len(found) >= limit:
                break
    return tuple(_decoded(columns) for columns in found)


def _ignored(connection: Connection, replica: str, position: dict[str, Value], count: int) -> Iterator[Any]:
    for key in ignored_keys(connection, replica, position, count):
        yield from _ROW.run(connection, _one(key)).fetchall()


def _replicas(connection: Connection, only: str | None, after: IntentKey | None) -> Iterator[str]:
    if only is not None:
        yield only
        return
    if after is not None:
        yield after.replica
    last = after.replica if after else ""
    while (found := _NEXT_REPLICA.run(connection, {"after": last}).fetchone()[0]) is not None:
        yield found
        last = found


def _position(connection: Connection, after: IntentKey | None) -> dict[str, Value]:
    if after is None:
        return {"after_repository": 0, "after_reference": b""}
    found = _REPOSITORY.run(connection, {"name": after.repository}).fetchone()
    return {"after_repository": found[0] if found else 0, "after_reference": pack_reference(after.reference)}


def next_due(connection: Connection, replica: str, monotonic: float, least: Priority = Priority.LOW) -> float | None:
    """Return the earliest time at which a free row or look of the replica, at least that urgent, is due.

    None while the lane is paused: nothing is due then.
    """
    values: dict[str, Value] = {"replica": replica, "monotonic": monotonic}
    with one_moment(connection):
        if paused_since(connection, replica) is not None:
            return None
        found: list[Any] = []
        for priority in (one for one in Priority if one <= least):
            values["priority"] = int(priority)
            found += _FIRST_DUE.run(connection, values).fetchall()
            found += _FIRST_LOOK.run(connection, values).fetchall()
    return min((float(columns[0]) for columns in found), default=None)


def locations(
    connection: Connection, replica: str, digests: Sequence[Digest]
) -> dict[Digest, tuple[Repository, ...]]:
    """Return for each blob the repositories of the replica that hold it, newest first; () when none is known."""
    with one_moment(connection):
        return {
            digest: tuple(
                Repository(name)
                for (name,) in _LOCATIONS.run(connection, {"replica": replica, "digest": pack_digest(digest)})
            )
            for digest in digests
        }


def _decoded(columns: Any) -> Row:
    key = IntentKey(columns[0], Repository(columns[1]), unpack_reference(columns[2]))
    generation, observed, want, have, since, due_at, priority, attempts, failing_since = columns[3:12]
    reason, message, parked, missed, verify_at, looks, owner, fingerprint, ignored_at, told = columns[12:22]
    return Row(
        key=key,
        generation=generation,
        observed_generation=observed,
        want=unpack_digest(want),
        have=unpack_digest(have),
        dirty_since=since,
        due_at=due_at,
        priority=Priority(priority),
        attempts=attempts,
        failing_since=failing_since,
        reason=None if reason is None else Reason(reason),
        message=message or "",
        parked=bool(parked),
        deadline_missed=bool(missed),
        verify_at=verify_at,
        looks=looks,
        leased=owner is not None,
        fingerprint=fingerprint,
        ignored_at=ignored_at,
        delivery=unpack_delivery(told),
        doubtful=columns[22] is not None,
    )
