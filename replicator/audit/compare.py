"""What the primary names and what a replica holds -> what differs. Pure."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from replicator.audit.findings import Drift, Fault, Finding, Lack
from replicator.model import Digest, Reference, Repository, Tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One reference as both ends have it: the digest `expected` at the primary, `held` on the replica (None: none).

    `lacks` is what is wrong on the replica with the closure of `held`.
    """

    expected: Digest | None
    held: Digest | None
    lacks: tuple[Lack, ...] = ()


def compare(replica: str, repository: Repository, reference: Reference, seen: Seen) -> Finding | None:
    """Return how the reference differs, None where it is equal.

    What the primary does not name any more is no difference: only of a whole list may be concluded that it is gone.
    """
    kind = _kind(seen)
    if kind is None:
        return None
    return Finding(
        kind=kind,
        replica=replica,
        repository=repository,
        reference=reference,
        expected=seen.expected,
        held=seen.held,
        lacks=seen.lacks if kind in {Drift.INCOMPLETE, Drift.DAMAGED} else (),
    )


def _kind(seen: Seen) -> Drift | None:
    if seen.expected is None:
        return None
    if seen.held is None:
        return Drift.MISSING
    if seen.held != seen.expected:
        return Drift.DIFFERENT
    if any(lack.fault is Fault.BYTES for lack in seen.lacks):
        return Drift.DAMAGED
    return Drift.INCOMPLETE if seen.lacks else None


def surplus(
    named: Collection[Tag], held: Collection[Tag], *, whole: bool, propagates: Callable[[Tag], bool]
) -> tuple[Tag, ...]:
    """Return the tags that a replica holds and the primary's list does not name, where deletes propagate.

    Of a list that is not `whole` nothing is concluded.
    """
    if not whole:
        return ()
    return tuple(sorted(tag for tag in held if tag not in named and propagates(tag)))
