"""What the rules say of one reference on one replica, for those who carry it out. Pure."""

from dataclasses import dataclass

from replicator.model import Platform


@dataclass(frozen=True, slots=True)
class Policy:
    """What of an image a replica is to hold: these `platforms` of an index (None: all); `referrers` or not.

    `keeps_conflicts` says that a tag stays as it is which somebody else changed on the replica, `deletes` that one
    goes there which the primary lost.
    """

    platforms: tuple[Platform, ...] | None = None
    referrers: bool = False
    keeps_conflicts: bool = False
    deletes: bool = False
