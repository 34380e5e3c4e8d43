"""What on a replica needs a manifest, as the run sees it from outside: a delete by digest must not take that."""

from collections.abc import Collection, Iterator

from replicator import referrers
from replicator.manifest import parse
from replicator.model import Digest, Repository
from tests.unit.replication.support import ModelRegistry


def below(registry: ModelRegistry, repository: Repository, tops: Collection[Digest]) -> set[Digest]:
    """Return what these manifests list, at any depth."""
    found: set[Digest] = set()
    level = set(tops)
    while level:
        held = (registry.manifests.get((repository, one)) for one in level)
        children = {
            child.digest for raw in held if raw is not None for child in parse(raw, registry=registry.name).children
        }
        level = children - found
        found |= level
    return found


def needs_of(registry: ModelRegistry, repository: Repository, digest: Digest, own: Collection[Digest]) -> list[str]:
    """Return all that needs a manifest; `own` are manifests without a tag that the daemon put for their own sake."""
    tags = {tag: named for (where, tag), named in registry.tags.items() if where == repository}
    found = [f"the tag {tag}" for tag, named in tags.items() if named == digest]
    tops = {*tags.values(), *own} - {digest}
    if digest in below(registry, repository, tops):
        found.append("an index")
    return [*found, *_referring(registry, repository, digest)]


def _referring(registry: ModelRegistry, repository: Repository, digest: Digest) -> Iterator[str]:
    listed = referrers.fallback_tag(digest)
    named = registry.tags.get((repository, listed))
    if named is not None and below(registry, repository, {named}):
        yield "a list of referrers"
    for where, tag in registry.tags:
        if where == repository and str(tag).startswith(f"{listed}."):
            yield f"the tag {tag}"
    if registry.has_referrers_api:
        for (where, other), raw in registry.manifests.items():
            subject = parse(raw, registry=registry.name).subject
            if where == repository and subject is not None and subject.digest == digest:
                yield f"the referrer {other}"
