"""What the store answers to questions: rows, summaries, kept deliveries and the past of tags, all frozen copies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from replicator.errors import Reason
from replicator.model import Digest, IntentKey, Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One intent as it stands. Times are Unix seconds.

    `want` is the last change's hint (None when it said none or the replica holds it), `have` what the replica held
    when last settled, `dirty_since` the start of its lag (None when clean), `due_at` when it is worked on next (None
    when clean), `verify_at` when a clean row is looked at again, `doubtful` whether a put of ours whose outcome
    is not known may have landed since, `message` the last failure in 512 characters, `ignored_at` when it was decided
    that the replica need not have it, `delivery` the id of what told of it last.
    """

    key: IntentKey
    generation: int
    observed_generation: int
    want: Digest | None
    have: Digest | None
    dirty_since: float | None
    due_at: float | None
    priority: Priority
    attempts: int
    failing_since: float | None
    reason: Reason | None
    message: str
    parked: bool
    deadline_missed: bool
    verify_at: float | None
    looks: int
    leased: bool
    fingerprint: str
    ignored_at: float | None = None
    delivery: str = ""
    doubtful: bool = False

    @property
    def owed(self) -> bool:
        """Whether a change is not yet on the replica."""
        return self.generation > self.observed_generation


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionSummary:
    """Of one replica: what is still to be deleted, what was left by why, and since when its deletes are stopped."""

    pending: int = 0
    left: Mapping[str, int] = field(default_factory=dict)
    stopped_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSummary:
    """What one replica lacks: rows `owed`, those of them `parked` or `failing`, and `since` when (None: nothing).

    `paused_since` is when an operator paused its lane (Unix seconds, None: it works). `backfill` of those owed only
    fill the replica: they are no lag, and `since` leaves them out. `ignored` rows are not owed by decision.
    """

    owed: int = 0
    parked: int = 0
    failing: Mapping[Reason, int] = field(default_factory=dict)
    since: float | None = None
    looks: int = 0
    paused_since: float | None = None
    backfill: int = 0
    ignored: int = 0
    deletes: DeletionSummary = field(default_factory=DeletionSummary)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSummary:
    """What all replicas lack; true for the moment `read_at` (Unix seconds), taken before the store was read."""

    replicas: Mapping[str, ReplicaSummary]
    read_at: float

    def replica(self, name: str) -> ReplicaSummary:
        """Return the part of one replica; an empty one when the store knows nothing of it."""
        return self.replicas.get(name, ReplicaSummary())


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A delivery that could not be decoded, kept for the operator: the first 64 KiB of its `body`."""

    endpoint: str
    reason: str
    body: bytes
    received_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptUpload:
    """Where an upload that was begun goes on, as the registry named it, and the bytes it was known to hold."""

    location: str = field(repr=False)
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBeside:
    """A tag that is put along with an image, without a lease of its own: its row, should there be none yet.

    `digest` is what it is to name.
    """

    key: IntentKey
    digest: Digest
    priority: Priority
    fingerprint: str
    delivery: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What is to be deleted, as it stands: `left` is why it stayed so far, `put` whether we put what is there.

    `approved` and `stopped` as in deletion.Doomed. Times are Unix seconds.
    """

    found_at: float
    due_at: float
    approved: bool
    left: str | None
    put: bool
    stopped: bool


class What(StrEnum):
    """Why an entry was made."""

    PUT = "put"  # about to be put: whether it was is not said
    DELETED = "deleted"  # what the tag named when it was deleted
    APPROVED = "approved"  # the same, of one that an operator had let go on


@dataclass(frozen=True, slots=True)
class Entry:
    """A tag named `digest`, or was about to, at a time (Unix seconds)."""

    digest: Digest
    what: What
    at: float
