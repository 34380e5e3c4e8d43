"""Changes of intents inside the writer thread that no lease is needed for: record, make due, count what is late."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

from replicator.correlation import pack_delivery
from replicator.heard import Heard
from replicator.model import Intent, Priority, Recorded
from replicator.store import event_rows, ignored, news, spared, statements
from replicator.store.batch import Joint
from replicator.store.encoding import FIRST_TAG, pack_digest
from replicator.store.prepared import Value
from replicator.store.session import Session

PAGE = 1000
"""Rows changed at most in one operation, so that acknowledgements never wait long behind a large one."""


@dataclass(frozen=True, slots=True)
class Record(Joint[tuple[Recorded, ...]]):
    """Merges changes into their rows, in order; `heard` is what told of them, in the same order."""

    intents: Sequence[Intent]
    heard: Sequence[Heard] = ()

    @classmethod
    def all_of(cls, session: Session, several: Sequence[Self]) -> Sequence[tuple[Recorded, ...]]:
        """Merge the changes of several."""
        wanted = [_wanted(session, intent) for one in several for intent in one.intents]
        found = statements.RECORD.fetch_each(session.connection, [values for values in wanted if values is not None])
        merged = iter(found)
        answers = iter([Recorded.KNOWN if values is None else _answer(next(merged)) for values in wanted])
        return [_noted(session, one, tuple(islice(answers, len(one.intents)))) for one in several]


def record(session: Session, intents: Sequence[Intent]) -> tuple[Recorded, ...]:
    """Merge changes into their rows, in order, within another operation."""
    return Record(intents)(session)


def _noted(session: Session, record: Record, recorded: tuple[Recorded, ...]) -> tuple[Recorded, ...]:
    intents = record.intents
    session.delivery = intents[-1].delivery if intents else ""
    session.mark_changed(
        intent.key for intent, what in zip(intents, recorded, strict=True) if what is not Recorded.KNOWN
    )
    if record.heard:
        event_rows.keep(session, record.heard, recorded)
    return recorded


def _wanted(session: Session, intent: Intent) -> dict[str, Value] | None:
    """Return what the row is to be, None where it was decided that the replica need not have it."""
    key = session.key(intent.key)
    # Whoever pushes a tag wants it to stay.
    spared.cancel(session, key)
    if ignored.covers(session, key, intent.digest):
        return None
    return {
        **key,
        "new_digest": pack_digest(intent.digest),
        "new_since": intent.since,
        "new_due": intent.due_at,
        "new_priority": int(intent.priority),
        "new_policy": session.policy(intent.fingerprint),
        "new_delivery": pack_delivery(intent.delivery),
        "new_backfill": 1 if intent.backfill else None,
        "first_tag": FIRST_TAG,
    }


def _answer(found: Sequence[Sequence[int]]) -> Recorded:
    if not found:
        return Recorded.KNOWN
    return Recorded.ACCEPTED if found[0][0] == 1 else Recorded.COALESCED


def make_due(session: Session, replica: str, now: float, *, parked: bool, count: int) -> int:
    """Make up to `count` failing rows due at `now`, those due soonest first; zero when none is left."""
    values: dict[str, Value] = {"replica": replica, "now": now, "most_parked": int(parked), "count": count}
    for priority in Priority:
        values["priority"] = int(priority)
        found = statements.FAILING_LATER.run(session.connection, values).fetchall()
        if found:
            statements.MAKE_DUE.run_each(
                session.connection,
                (
                    {"replica": replica, "now": now, "key_repository": repository, "key_reference": reference}
                    for repository, reference in found
                ),
            )
            return len(found)
    return 0


def count_missed(session: Session, before: float) -> Mapping[str, int]:
    """Mark one page of rows owed since `before` or longer; the answer counts them by replica."""
    count = news.late_page(session, PAGE)
    found = statements.CROSSED.run(session.connection, {"before": before, "count": count}).fetchall()
    statements.MARK_MISSED.run_each(
        session.connection,
        (
            {"key_replica": replica, "key_repository": repository, "key_reference": reference}
            for replica, repository, reference in found
        ),
    )
    news.late(session, found)
    return Counter(replica for replica, _, _ in found)


def beat(session: Session) -> None:
    """Write a row, to prove that the database can be written."""
    statements.HEARTBEAT.run(session.connection, {"now": session.clock.now()})


def tick(session: Session) -> None:
    """Do nothing, on the writer thread."""
    del session
