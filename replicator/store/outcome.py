"""What a worker says of a leased intent when it gives it back."""

from dataclasses import dataclass, field
from enum import StrEnum

from replicator.errors import Reason
from replicator.model import Digest


class Result(StrEnum):
    """How an intent ended: the bounded `result` label of metrics."""

    COPIED = "copied"
    ALREADY_PRESENT = "already_present"
    SUPERSEDED = "superseded"
    GONE = "gone"
    LEFT_OUT = "left_out"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The replica now holds `digest` (None: the primary names nothing, GONE), which answers the leased generation.

    With LEFT_OUT it is not to hold it: the policy leaves it out. With DELETED it holds nothing: the tag was deleted.
    `put` says that we put it, and did not find it there.
    `look_at` asks for a second look at that time (Unix seconds), the `looks`-th since the last change. `covered`
    are digests whose content arrived with this one: their own rows are dropped. `since` is for the caller's report
    of a look that found a difference; the store does not keep it. SUPERSEDED is no success: the row stays as it was,
    owed since the same moment and due at once.
    """

    result: Result
    digest: Digest | None
    look_at: float | None = None
    looks: int = 0
    covered: tuple[Digest, ...] = ()
    since: float | None = None
    put: bool = field(default=False, compare=False)

    @property
    def wrote(self) -> bool:
        """Whether the reference was put on the replica, or deleted there."""
        return self.result in {Result.COPIED, Result.DELETED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """It failed for `reason` and is due again `at` (Unix seconds).

    `wrote` says that a put of the reference may have reached the replica: its outcome is unknown, so the store
    keeps a second look for when it can no longer land. `put` is what was put, where that is known.
    """

    at: float
    reason: Reason
    message: str
    wrote: bool = False
    put: Digest | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """It cannot succeed as things stand: still owed, still lag, tried again `at` (Unix seconds).

    `wrote` and `put` as in Retry.
    """

    at: float
    reason: Reason
    message: str
    wrote: bool = False
    put: Digest | None = field(default=None, compare=False)


Outcome = Done | Retry | Parked
"""How a lease is settled."""
