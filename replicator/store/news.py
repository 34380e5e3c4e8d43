"""What receivers of notifications are told, inside the writer thread: in the transaction in which it happens.

A row that is parked is told of once, and once more when it succeeds, however often it is tried in between.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from replicator.correlation import unpack_delivery
from replicator.errors import Reason
from replicator.model import Digest, IntentKey, Lease, Repository
from replicator.news import Happening, News, body_of
from replicator.referrers import is_fallback_tag
from replicator.store import news_statements as statements
from replicator.store.encoding import unpack_digest, unpack_reference
from replicator.store.outcome import Done, Outcome, Parked, Result
from replicator.store.prepared import Value
from replicator.store.session import Session

MESSAGES = 100
"""Messages posted in one operation where many rows are late at once: acknowledgements must not wait behind it."""
_ARRIVED = frozenset({Result.COPIED, Result.ALREADY_PRESENT})


def was_told(session: Session, key: Mapping[str, Value]) -> bool:
    """Say whether somebody was told that the row is parked. To be asked before its outcome is written."""
    if not session.audience.receivers:
        return False
    found = statements.STANDING.run(session.connection, key).fetchone()
    return found is not None and bool(found[1])


def settled(session: Session, lease: Lease, outcome: Outcome, *, told: bool) -> None:
    """Post what an outcome that was just written means to the receivers."""
    if not session.audience.receivers:
        return
    if isinstance(outcome, Parked):
        _parked(session, lease, outcome)
    elif isinstance(outcome, Done) and outcome.result is not Result.SUPERSEDED:
        if told:
            _post(session, _done(session, Happening.RECOVERED, lease, outcome))
        if _arrived(lease, outcome):
            _post(session, _done(session, Happening.REPLICATED, lease, outcome))


def covered(session: Session, key: IntentKey, *, told: bool) -> None:
    """Post that a digest of which it was told that it is parked has arrived with an image that holds it."""
    if told and isinstance(key.reference, Digest):
        news = News(
            happening=Happening.RECOVERED,
            at=session.clock.now(),
            replica=key.replica,
            repository=key.repository,
            reference=key.reference,
            digest=key.reference,
            since=None,
            attempts=0,
            result=Result.COPIED.value,
        )
        _post(session, news)


def late_page(session: Session, most: int) -> int:
    """Return how many rows that are late may be told of in one operation, `most` where nobody is told."""
    told = len(session.audience.receivers.get(Happening.LATE, ()))
    return max(1, min(most, MESSAGES // told)) if told else most


def late(session: Session, found: Sequence[tuple[str, int, bytes]]) -> None:
    """Post that these rows (replica, number of the repository, packed reference) have just crossed the objective."""
    for replica, number, packed in found:
        if not session.audience.of(Happening.LATE, replica):
            continue
        key: dict[str, Value] = {"key_replica": replica, "key_repository": number, "key_reference": packed}
        row: Any = statements.DESCRIBE.run(session.connection, key).fetchone()
        name, want, since, attempts, reason, delivery = row
        news = News(
            happening=Happening.LATE,
            at=session.clock.now(),
            replica=replica,
            repository=Repository(name),
            reference=unpack_reference(packed),
            digest=unpack_digest(want),
            since=since,
            attempts=attempts,
            reason=None if reason is None else Reason(reason).value,
            delivery=unpack_delivery(delivery),
        )
        _post(session, news)


def _arrived(lease: Lease, outcome: Done) -> bool:
    """Say whether a change arrived: no look, nothing that fills a replica, no list of referrers, nothing old."""
    if lease.look or lease.backfill or outcome.digest is None or is_fallback_tag(lease.key.reference):
        return False
    return outcome.result in _ARRIVED and (outcome.result is Result.COPIED or outcome.digest != lease.have)


def _parked(session: Session, lease: Lease, outcome: Parked) -> None:
    wanted = {
        *session.audience.of(Happening.PARKED, lease.key.replica),
        *session.audience.of(Happening.RECOVERED, lease.key.replica),
    }
    if not wanted:
        return
    key = session.key(lease.key)
    parked, told, since, want = statements.STANDING.run(session.connection, key).fetchone()
    if not parked or told:
        return  # it waits for a newer change, or was told of before
    statements.TELL.run(session.connection, key)
    news = News(
        happening=Happening.PARKED,
        at=session.clock.now(),
        replica=lease.key.replica,
        repository=lease.key.repository,
        reference=lease.key.reference,
        digest=unpack_digest(want),
        since=since,
        attempts=lease.attempts + 1,
        reason=outcome.reason.value,
        delivery=lease.delivery,
    )
    _post(session, news)


def _done(session: Session, happening: Happening, lease: Lease, outcome: Done) -> News:
    key: IntentKey = lease.key
    return News(
        happening=happening,
        at=session.clock.now(),
        replica=key.replica,
        repository=key.repository,
        reference=key.reference,
        digest=outcome.digest,
        since=lease.since,
        attempts=lease.attempts + 1,
        result=outcome.result.value,
        delivery=lease.delivery,
    )


def _post(session: Session, news: News) -> None:
    receivers = session.audience.of(news.happening, news.replica)
    if not receivers:
        return
    body = body_of(news, session.audience.replicas[news.replica])
    for receiver in receivers:
        values: dict[str, Value] = {
            "new_receiver": receiver,
            "new_message": f"msg_{uuid.uuid4().hex}",
            "new_happening": news.happening.value,
            "new_body": body,
            "now": news.at,
        }
        statements.POST.run(session.connection, values)
        session.posted.add(receiver)
