"""Whether a tag or manifest that the primary does not have any more is deleted on a replica (G8). Pure.

Every doubt ends in a verdict that deletes nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from replicator.model import Digest, IntentKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """That a tag of a replica is to be deleted from `due_at` on (Unix seconds), or all its tags that name a digest.

    With a digest also the manifest, where it was put for its own sake. `found_at` is when that became known.
    """

    key: IntentKey
    found_at: float
    due_at: float


@dataclass(frozen=True, slots=True)
class Pace:
    """What a replica loses within an hour: deleted there already, due to be, and the `tags` that it still has.

    Manifests are deleted and due as tags are. What an operator has let go on counts nowhere.
    """

    done: int
    due: int
    tags: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many deletes within an hour are no accident: `count`, and `percent` of the replica's tags, rounded up."""

    count: int
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """A tag, or a manifest by its digest, that is to be deleted, and all that decides it. Times are Unix seconds.

    `at_primary` is whether the primary has it, None where its answer proves neither. `held` is what the replica's
    reference names (None: nothing), `have` what it named when last settled, `put` whether that was put by us.
    `propagates` and `protected` are what the configuration says today, `due_at` is the end of the grace period.
    `alone` is whether the replica is proven to remove a tag and leave its manifest; `needed` whether something there
    needs the manifest (None: not known), never so of a tag. `approved` says that an operator let this very delete go
    on, `stopped` that the replica's deletes wait for one.
    """

    now: float
    due_at: float
    at_primary: bool | None
    held: Digest | None
    have: Digest | None
    put: bool
    propagates: bool
    protected: bool
    alone: bool
    needed: bool | None
    approved: bool
    stopped: bool
    pace: Pace


class Verdict(StrEnum):
    """What becomes of it."""

    CANCEL = "cancel"  # it is not to be deleted any more: forget it
    WAIT = "wait"  # not yet, or nothing is known for sure
    ABSENT = "absent"  # the replica does not have it
    PROTECTED = "protected"
    NOT_OURS = "not_ours"
    UNSUPPORTED = "unsupported"
    NEEDED = "needed"  # something on the replica needs it
    NEED_UNKNOWN = "need_unknown"  # whether anything does could not be found out
    STOPPED = "stopped"  # an operator must look first
    TRIP = "trip"  # the same, from now on
    DELETE = "delete"


def decide(tag: Doomed, bounds: Bounds) -> Verdict:
    """Return what becomes of it: the first objection, in the order in which they are cheap to find out."""
    objections = (
        (tag.at_primary is True or not tag.propagates, Verdict.CANCEL),
        (tag.at_primary is None or tag.now < tag.due_at, Verdict.WAIT),
        (tag.protected, Verdict.PROTECTED),
        (tag.held is None, Verdict.ABSENT),
        (not tag.put or tag.held != tag.have, Verdict.NOT_OURS),
        (not tag.alone, Verdict.UNSUPPORTED),
        (tag.needed is True, Verdict.NEEDED),
        (tag.needed is None, Verdict.NEED_UNKNOWN),
        (tag.stopped, Verdict.STOPPED),
        (not tag.approved and not within(tag.pace, bounds), Verdict.TRIP),
    )
    return next((verdict for objects, verdict in objections if objects), Verdict.DELETE)


def within(pace: Pace, bounds: Bounds) -> bool:
    """Say whether so many deletes are no accident."""
    part = ceil((pace.tags + pace.done) * bounds.percent / 100)
    return pace.done + pace.due <= min(bounds.count, max(1, part))
