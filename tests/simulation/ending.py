"""What must hold when the weather has cleared and all is done: the invariants that are asked of the end of a run."""

from collections.abc import Iterator, Mapping

from replicator import referrers
from replicator.model import Digest, Repository, Tag
from replicator.store.rows import Row
from tests.simulation.content import TAGS
from tests.simulation.needing import needs_of
from tests.simulation.primary import Primary
from tests.unit.replication.rig import Rig
from tests.unit.replication.support import ModelRegistry

SOON = 1800.0
"""Seconds within which every look comes, but those at what was left though it was to be deleted."""


def differences(rig: Rig, primary: Primary, own: Mapping[tuple[str, Repository, Tag], Digest]) -> Iterator[str]:
    """Yield where a replica is not what the primary is; `own` are tags that somebody else put there."""
    for (name, repository, theirs), digest in own.items():
        replica = rig.replicas[name]
        if replica.tags.get((repository, theirs)) != digest or not replica.complete(repository, theirs):
            yield f"{name} {repository}:{theirs} was somebody else's and is not what it was"
    for replica in rig.replicas.values():
        yield from _lacking(rig, primary, replica)
        for digest in replica.corrupt:
            yield f"{replica.name} was offered wrong bytes of {digest}"


def _lacking(rig: Rig, primary: Primary, replica: ModelRegistry) -> Iterator[str]:
    """Yield what is not there, or not whole: tags, what was pushed by its digest, and referrers."""
    for (repository, tag), digest in rig.source.tags.items():
        if referrers.is_fallback_tag(tag):
            continue  # the replica's list is its own
        if replica.tags.get((repository, tag)) != digest or not replica.complete(repository, tag):
            yield f"{replica.name} {repository}:{tag} is {replica.tags.get((repository, tag))}, not {digest}"
    for repository, digest in sorted(primary.alone & rig.source.manifests.keys()):
        if not replica.complete(repository, digest):
            yield f"{replica.name} lacks {digest} of {repository}, or some of what it lists"
    for repository, one, subject in sorted(primary.referring):
        if not replica.complete(repository, one) or not _lists(replica, repository, subject, one):
            yield f"{replica.name} does not list {one} for {subject} in {repository}"


def _lists(replica: ModelRegistry, repository: Repository, subject: Digest, referrer: Digest) -> bool:
    """Say whether a registry that holds `referrer` lists it: by itself where it has the API."""
    held = replica.tags.get((repository, referrers.fallback_tag(subject)))
    listed = None if held is None else replica.manifests[repository, held]
    return replica.has_referrers_api or (listed is not None and str(referrer).encode() in listed.body)


async def left_behind(rig: Rig, primary: Primary) -> list[str]:
    """Return which manifests are still there that the primary lost, though they are ours and nothing needs them."""
    rows = await rig.store.rows(limit=1000)
    own = {(row.key.replica, row.key.repository, row.key.reference) for row in rows if is_remembered(row)}
    found = []
    for name, replica in rig.replicas.items():
        for repository, digest in sorted(primary.lost & replica.manifests.keys()):
            others = [
                one for where, there, one in own if (where, there) == (name, repository) and isinstance(one, Digest)
            ]
            # Of a repository without any tag a registry's list tells nothing.
            tagged = any(where == repository for where, _ in replica.tags)
            if digest in others and tagged and not needs_of(replica, repository, digest, others):
                found.append(f"{name} still has {digest} in {repository}, which nothing needs")
    return found


def is_remembered(row: Row) -> bool:
    """Say whether a row is kept of a manifest without a tag, which may have to be deleted some day."""
    return row.have == row.key.reference and not row.owed


def _is_looked_at(rig: Rig, row: Row) -> bool:
    """Say whether a look is still to come, but one that asks again why something is not to be deleted."""
    return row.verify_at is not None and row.verify_at <= rig.clock.now() + SOON


async def rows_left(rig: Rig, *, deletes: bool, signed: bool) -> list[str]:
    """Return which rows are too many: all but those of tags, and of manifests that may be deleted some day."""
    found = []
    for row in await rig.store.rows(limit=1000):
        reference = row.key.reference
        # One that was left is looked at a day later, and forgotten then if it is not there any more.
        known = is_remembered(row) or (row.verify_at is not None and not row.owed)
        kept = isinstance(reference, Digest) and deletes and known and not _is_looked_at(rig, row)
        named = reference in TAGS or (
            signed and not isinstance(reference, Digest) and reference.startswith("sha256-")
        )
        if not kept and not named:
            found.append(f"a row of {reference} is left")
    return found
