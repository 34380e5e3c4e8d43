"""What of a reference one replica shows, and what of its content it lacks: what looking at it came to. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from replicator.model import Digest


class Part(StrEnum):
    """What a reference is made of."""

    MANIFEST = "manifest"
    BLOB = "blob"


@dataclass(frozen=True, slots=True)
class Absent:
    """One part that the replica does not hold; `size` in bytes."""

    part: Part
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a replica: what its reference names (`shown`), and what it lacks of what it should name.

    Of the parts that were `asked` for all that are not in `absent` are there; `unasked` ones were too many.
    `problem` says why no more was learned, empty when all was.
    """

    shown: Digest | None = None
    absent: tuple[Absent, ...] = ()
    asked: int = 0
    unasked: int = 0
    problem: str = ""

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is there."""
        return not self.problem and not self.absent and self.asked > 0
