"""The life of a lease inside the writer thread: take, renew, give back, settle, fence off (DESIGN 3 and 4)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from replicator.correlation import unpack_delivery
from replicator.model import Digest, IntentKey, Lease, Priority, Repository
from replicator.store import former_statements, ignored, news, spared, statements, tag_history, unanswered
from replicator.store.encoding import FIRST_TAG, bounded, pack_digest, unpack_digest, unpack_reference
from replicator.store.lanes import paused_since
from replicator.store.outcome import Done, Outcome, Parked, Result
from replicator.store.prepared import Cursor, Value
from replicator.store.rows import What
from replicator.store.session import Session

DOUBT_SECONDS = 900.0
"""How long after its sender was given up a put may still land on a registry."""
MESSAGE_LIMIT = 512
"""Characters kept of a failure's message."""
_HELD = 11  # columns of a candidate row, as statements.DUE_OWED selects them
_PRIORITY = 12
_DELIVERY = 13
_BACKFILL = 14
_PUT = 15
_DUE = 16


def take(
    session: Session,
    replica: str,
    limit: int,
    seconds: float,
    room: Mapping[Priority, int] | None = None,
    *,
    longest_due: bool = False,
) -> tuple[Lease, ...]:
    """Lease up to `limit` due rows and looks of a replica, the most urgent and longest due first; none while paused.

    `room` is how many at most, for each priority and what is less urgent. With `longest_due` only one is leased, and
    urgency does not count.
    """
    if paused_since(session.connection, replica) is not None:
        return ()
    candidates = _candidates(session, replica, limit, room or {}, longest_due=longest_due)
    if not candidates:
        return ()
    epoch = int(statements.NEXT_EPOCH.run(session.connection, {}).fetchone()[0])
    until = session.clock.monotonic() + seconds
    doubt = session.clock.now() + DOUBT_SECONDS
    statements.TAKE.run_each(
        session.connection,
        (
            {
                "key_replica": replica,
                "key_repository": row[0],
                "key_reference": row[2],
                "owner": session.owner,
                "epoch": epoch,
                "until": until,
                # Who held it before may have put; under a digest no put can be wrong, but a delete can.
                "new_doubt": doubt if row[_HELD] and (row[2] >= FIRST_TAG or row[_PUT]) else None,
            }
            for row in candidates
        ),
    )
    taken = tuple(_lease(replica, row, epoch) for row in candidates)
    session.taken += [(lease.key, epoch) for lease in taken]
    return taken


def _candidates(
    session: Session, replica: str, limit: int, room: Mapping[Priority, int], *, longest_due: bool
) -> list[Any]:
    values: dict[str, Value] = {
        "replica": replica,
        "now": session.clock.now(),
        "monotonic": session.clock.monotonic(),
    }
    found: list[Any] = []
    left = {priority: min(limit, room.get(priority, limit)) for priority in Priority}
    for priority in Priority:
        count = min(left[one] for one in Priority if one <= priority)
        if count <= 0:
            break
        values |= {"priority": int(priority), "count": count}
        due = statements.DUE_OWED.run(session.connection, values).fetchall()
        due += statements.DUE_LOOKS.run(session.connection, values).fetchall()
        due.sort(key=lambda row: row[_DUE])
        found += due[:count]
        for one in Priority:
            if one <= priority and not longest_due:
                left[one] -= len(due[:count])
    # `min` keeps the first of equals: the more urgent one.
    return [min(found, key=lambda row: row[_DUE])] if longest_due and found else found


def _lease(replica: str, row: Any, epoch: int) -> Lease:
    name, reference, generation, want, have, since, attempts, failing_since, looks, fingerprint = row[1:_HELD]
    return Lease(
        key=IntentKey(replica, Repository(name), unpack_reference(reference)),
        generation=generation,
        epoch=epoch,
        digest=unpack_digest(want),
        have=unpack_digest(have),
        since=since,
        attempts=attempts,
        failing_since=failing_since,
        look=since is None,
        looks=looks,
        priority=Priority(row[_PRIORITY]),
        fingerprint=fingerprint,
        delivery=unpack_delivery(row[_DELIVERY]),
        backfill=bool(row[_BACKFILL]),
    )


def renew(session: Session, leases: Sequence[Lease], seconds: float) -> frozenset[IntentKey]:
    """Extend those leases that nobody took over and return their keys."""
    until = session.clock.monotonic() + seconds
    return frozenset(
        lease.key
        for lease in leases
        if _one(statements.RENEW.run(session.connection, {**_held(session, lease), "until": until}))
    )


def release(session: Session, leases: Sequence[Lease]) -> None:
    """Give leases back as if they had not been taken; those taken over are left alone."""
    for lease in leases:
        statements.RELEASE.run(session.connection, _held(session, lease))


def release_stray(session: Session) -> None:
    """Give back what a commit may have leased whose answer was lost: before anything else is leased."""
    for key, epoch in session.stray:
        statements.RELEASE.run(session.connection, {**session.key(key), "epoch": epoch})


def settle(session: Session, lease: Lease, outcome: Outcome) -> bool:
    """Write the outcome if the lease still holds; otherwise only taint what was written without a right to."""
    held = _held(session, lease)
    session.settling.append((lease.key, lease.epoch))
    told = news.was_told(session, held)
    settled = (
        _done(session, lease, outcome, held) if isinstance(outcome, Done) else _failed(session, lease, outcome, held)
    )
    if settled:
        news.settled(session, lease, outcome, told=told)
    elif unanswered.was_kept(session, lease):
        return True
    if settled or (outcome.wrote and _taint(session, lease, outcome)):
        session.mark_changed([lease.key])
    return settled


def _done(session: Session, lease: Lease, outcome: Done, held: dict[str, Value]) -> bool:
    if outcome.result is Result.SUPERSEDED:
        return _one(statements.RELEASE.run(session.connection, held))
    values = {
        **held,
        "seen_generation": lease.generation,
        "new_put": int(outcome.put or _was_put(session, lease, outcome)),
        # Of a tag that the primary lost, the replica has what it had.
        "new_have": pack_digest(lease.have if outcome.result is Result.GONE else outcome.digest),
        "look_at": outcome.look_at,
        "new_looks": outcome.looks,
    }
    answer = statements.DONE.run(session.connection, values).fetchall()
    if not answer:
        return False
    if not lease.look or outcome.result is Result.GONE:
        ignored.forget(session, held)
    else:
        ignored.arrived(session, held, outcome.digest)
    owed, looked_at, put = answer[0]
    # A manifest without a tag is remembered where it may have to be deleted.
    not_ours = isinstance(lease.key.reference, Digest) and put is None
    if not_ours and owed is None:
        spared.cancel(session, held)  # it was told while nobody knew yet whose it would be
    useless = outcome.result is Result.DELETED or not_ours
    if (owed, looked_at) == (None, None) and useless:
        statements.DROP.run(session.connection, held)
        session.dooming = None
    _drop_covered(session, lease.key, outcome.covered)
    return True


def _was_put(session: Session, lease: Lease, outcome: Done) -> bool:
    """Say whether what was found there is a put of ours whose answer was lost."""
    digest, tag = outcome.digest, not isinstance(lease.key.reference, Digest)
    return tag and digest is not None and digest != lease.have and tag_history.was_put(session, lease.key, digest)


def _drop_covered(session: Session, key: IntentKey, covered: Iterable[Digest]) -> None:
    keys = [IntentKey(key.replica, key.repository, digest) for digest in covered]
    for dropped in keys:
        if dropped == key:
            continue
        held = session.key(dropped)
        told = news.was_told(session, held)
        if _one(statements.DROP_COVERED.run(session.connection, held)):
            session.mark_changed([dropped])
            news.covered(session, dropped, told=told)


def _failed(session: Session, lease: Lease, outcome: Outcome, held: dict[str, Value]) -> bool:
    if isinstance(outcome, Done):
        raise TypeError("a success is no failure")
    now = session.clock.now()
    if outcome.put is not None and not isinstance(lease.key.reference, Digest):
        tag_history.note(session, lease.key, outcome.put, What.PUT)
    values = {
        **held,
        "seen_generation": lease.generation,
        "now": now,
        "at": outcome.at,
        "new_parked": int(isinstance(outcome, Parked)),
        "new_reason": outcome.reason.value,
        "new_message": bounded(outcome.message, MESSAGE_LIMIT),
        "new_doubt": _doubt(lease, outcome, now),
    }
    return _one(statements.FAILED.run(session.connection, values))


def _taint(session: Session, lease: Lease, outcome: Outcome) -> bool:
    now = session.clock.now()
    values = {**session.key(lease.key), "new_since": now, "new_doubt": _doubt(lease, outcome, now)}
    ignored.forget(session, values)
    return _one(statements.TAINT.run(session.connection, values))


def _doubt(lease: Lease, outcome: Outcome, now: float) -> float | None:
    if isinstance(outcome, Done) or not outcome.wrote:
        return None
    if isinstance(lease.key.reference, Digest) and not lease.look:
        return None  # no put of it can be wrong; a look may have deleted it
    return now + DOUBT_SECONDS


def end_former_life(session: Session) -> None:
    """End every lease in the database. Only for a process that holds the lock and has given out none itself."""
    epoch = statements.NEXT_EPOCH.run(session.connection, {}).fetchone()[0]
    values: dict[str, Value] = {
        "epoch": epoch,
        "first_tag": FIRST_TAG,
        "new_doubt": session.clock.now() + DOUBT_SECONDS,
    }
    former_statements.END_FORMER_OWED.run(session.connection, values)
    former_statements.END_FORMER_LOOKS.run(session.connection, values)


def _held(session: Session, lease: Lease) -> dict[str, Value]:
    return {**session.key(lease.key), "epoch": lease.epoch}


def _one(cursor: Cursor) -> bool:
    return cursor.rowcount == 1
