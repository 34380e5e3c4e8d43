"""Whether what a replica's tag names was put there by somebody else (G8). Pure."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from replicator.model import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOnReplica:
    """A tag of a replica: it names `held` (None: nothing) and is to name `wanted`.

    `have` is what it named when last settled, `doubtful` whether a put of ours may have landed since whose outcome
    is not known, `noted` what our last puts were about to put, as far as that was kept.
    """

    held: Digest | None
    wanted: Digest
    have: Digest | None
    doubtful: bool
    noted: AbstractSet[Digest] = frozenset()


def is_foreign(tag: TagOnReplica, *, every_put_noted: bool) -> bool:
    """Say whether somebody else put what the tag names, as far as that is certain.

    In doubt only what was noted tells: with `every_put_noted` all else is foreign, without it nothing is.
    """
    if tag.held is None or tag.held in {tag.wanted, tag.have}:
        return False
    return not tag.doubtful or (every_put_noted and tag.held not in tag.noted)
