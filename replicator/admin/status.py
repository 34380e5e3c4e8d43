"""The status document: what each replica owes, how late it is and why. One shape for the API and for commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from replicator import __version__
from replicator.admin.documents import DeletesStatus, ReplicaStatus, RowStatus, StatusDocument, Totals
from replicator.admin.ports import LaneView, LaneViews, StoreReads
from replicator.errors import NameInvalid
from replicator.model import Digest, IntentKey, parse_reference, parse_repository, shown
from replicator.store.rows import ReplicaSummary, Row

ROWS_MAX = 1000
"""Most rows in one answer."""


class Listing(StrEnum):
    """Which rows to list: all that are owed, the parked ones last; the parked ones alone; those that are ignored."""

    OWED = "owed"
    PARKED = "parked"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a listing goes on: behind `key`, among the parked rows or the others."""

    parked: bool
    key: IntentKey

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Return the cursor that an answer's `next` stands for. Raises NameInvalid."""
        part, _, key = text.partition(" ")
        replica, _, rest = key.partition(" ")
        at = rest.find("@")
        split = at if at >= 0 else rest.rfind(":")
        if part not in set(Listing) or not replica or split < 0:
            raise NameInvalid(f"{shown(text)} is not the `next` of a status answer")
        repository, reference = parse_repository(rest[:split]), parse_reference(rest[split + 1 :])
        return cls(part == Listing.PARKED, IntentKey(replica, repository, reference))

    def __str__(self) -> str:
        return f"{Listing.PARKED if self.parked else Listing.OWED} {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusQuery:
    """What to show: one replica or all, and which rows to list, `limit` of them at most."""

    listing: Listing | None = None
    replica: str | None = None
    after: Cursor | None = None
    limit: int = 100


EVERYTHING = StatusQuery()
"""All replicas, no rows."""


async def read_status(
    store: StoreReads,
    labels: Mapping[str, Mapping[str, str]],
    lanes: LaneViews | None,
    query: StatusQuery = EVERYTHING,
) -> StatusDocument:
    """Return the status of the replicas that `labels` names; `lanes` is None where no daemon runs.

    Raises StoreError.
    """
    summary = await store.summary()
    views = lanes.lanes() if lanes is not None else {}
    replicas = [
        _replica(name, own, summary.replica(name), views.get(name), summary.read_at)
        for name, own in labels.items()
        if query.replica in {None, name}
    ]
    document = StatusDocument(
        version=__version__,
        daemon=lanes is not None,
        read_at=summary.read_at,
        replicas=replicas,
        totals=_totals(replicas),
    )
    if query.listing is not None:
        found = await _list(store, query, query.listing)
        document["rows"] = [_row(row, summary.read_at) for row in found]
        full = len(found) == query.limit
        document["next"] = str(Cursor(found[-1].parked, found[-1].key)) if full else None
    return document


async def _list(store: StoreReads, query: StatusQuery, listing: Listing) -> list[Row]:
    after = query.after
    if listing is Listing.IGNORED:
        behind = None if after is None else after.key
        return list(await store.rows(replica=query.replica, only_ignored=True, after=behind, limit=query.limit))
    parts = [True] if listing is Listing.PARKED or (after is not None and after.parked) else [False, True]
    found: list[Row] = []
    for parked in parts:
        if len(found) < query.limit:
            start = after.key if after is not None and after.parked == parked else None
            found += await store.rows(
                replica=query.replica, parked=parked, after=start, limit=query.limit - len(found)
            )
    return found


def _replica(
    name: str, labels: Mapping[str, str], summary: ReplicaSummary, lane: LaneView | None, now: float
) -> ReplicaStatus:
    return ReplicaStatus(
        name=name,
        labels=dict(labels),
        state=str(lane.state) if lane is not None else "stopped",
        paused_since=summary.paused_since,
        lag_seconds=0.0 if summary.since is None else max(0.0, round(now - summary.since, 3)),
        owed=summary.owed,
        parked=summary.parked,
        ignored=summary.ignored,
        failing={str(reason): count for reason, count in summary.failing.items()},
        deletes=DeletesStatus(
            pending=summary.deletes.pending,
            left=dict(summary.deletes.left),
            stopped_since=summary.deletes.stopped_since,
        ),
        inflight=lane.inflight if lane is not None else 0,
        last_error=lane.last_error if lane is not None else "",
        last_success=lane.last_success if lane is not None else None,
    )


def _totals(replicas: list[ReplicaStatus]) -> Totals:
    return Totals(
        lag_seconds=max((item["lag_seconds"] for item in replicas), default=0.0),
        owed=sum(item["owed"] for item in replicas),
        parked=sum(item["parked"] for item in replicas),
        ignored=sum(item["ignored"] for item in replicas),
        failing=sum(sum(item["failing"].values()) for item in replicas),
        inflight=sum(item["inflight"] for item in replicas),
    )


def row_state(row: Row) -> str:
    """Return in one word where a row stands: clean, ignored, owed, failing or parked."""
    if row.ignored_at is not None:
        return "ignored"
    if not row.owed:
        return "clean"
    if row.reason is None:
        return "owed"
    return "parked" if row.parked else "failing"


def _row(row: Row, now: float) -> RowStatus:
    return RowStatus(
        replica=row.key.replica,
        repository=row.key.repository,
        reference=str(row.key.reference),
        state=row_state(row),
        wanted=_text(row.want),
        have=_text(row.have),
        owed_seconds=0.0 if row.dirty_since is None else max(0.0, round(now - row.dirty_since, 3)),
        due_at=row.due_at,
        ignored_at=row.ignored_at,
        attempts=row.attempts,
        reason=None if row.reason is None else str(row.reason),
        message=row.message,
    )


def _text(digest: Digest | None) -> str | None:
    return None if digest is None else str(digest)
