"""What an audit finds of one reference on one replica: frozen values."""

from dataclasses import dataclass
from enum import StrEnum

from replicator.model import Digest, Reference, Repository


class Drift(StrEnum):
    """How a reference differs on a replica."""

    MISSING = "missing"  # the replica has no such tag
    DIFFERENT = "different"  # it names another digest there
    INCOMPLETE = "incomplete"  # something that it needs is not there, or has another size
    DAMAGED = "damaged"  # something that it needs has bytes that are not those of its digest
    EXTRA = "extra"  # the primary has no such tag, and the rule has deletes propagate
    UNREAD = "unread"  # a registry did not tell


OWED = frozenset({Drift.MISSING, Drift.DIFFERENT, Drift.INCOMPLETE, Drift.DAMAGED})
"""What is made owed; an extra tag is only told of: a delete has its own way, and its grace."""


class Part(StrEnum):
    """What an image consists of."""

    MANIFEST = "manifest"
    BLOB = "blob"
    REFERRER = "referrer"  # not part of the closure: it belongs to the image, and a rule has it travel along


class Fault(StrEnum):
    """What is wrong with one part of a closure on a replica."""

    ABSENT = "absent"
    SIZE = "size"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True, order=True)
class Lack:
    """One part of a closure that a replica does not serve as it should."""

    digest: Digest
    part: Part
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reference that differs; `reference` None stands for all of the repository.

    `expected` is what the primary names, `held` what the replica does. `problem` says what could not be read.
    """

    kind: Drift
    replica: str
    repository: Repository
    reference: Reference | None
    expected: Digest | None = None
    held: Digest | None = None
    lacks: tuple[Lack, ...] = ()
    problem: str = ""

    @property
    def damaged(self) -> tuple[Digest, ...]:
        """What the replica has and must be given anew."""
        return tuple(lack.digest for lack in self.lacks if lack.fault is not Fault.ABSENT)
