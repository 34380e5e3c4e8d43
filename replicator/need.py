"""Whether anything in a repository of a replica needs a manifest that is to be deleted there (G8). Pure.

A DELETE by digest takes the manifest along with every tag that names it, and no registry asks who needs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from replicator.model import Digest, Tag
from replicator.referrers import fallback_tag


@dataclass(frozen=True, slots=True)
class Names:
    """What a manifest names: its `children`, `indexes` among them, which may list more, and its `subject`."""

    children: frozenset[Digest] = frozenset()
    indexes: frozenset[Digest] = frozenset()
    subject: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """A repository of a replica, as far as it is known by now; what is found out later only adds to it.

    `tags` are all its tags and what they name (None: not asked yet), `rows` are manifests that the replica was given
    for their own sake, `names` tells of manifests what they name. `referrers` refer to the one that is to be
    deleted, as the registry itself says.
    """

    tags: Mapping[Tag, Digest | None]
    rows: frozenset[Digest] = frozenset()
    names: Mapping[Digest, Names]
    referrers: frozenset[Digest] = frozenset()


def is_needed(digest: Digest, around: Surroundings) -> bool:
    """Say whether a tag names `digest`, an index that is kept lists it, at any depth, or something refers to it.

    The list of referrers that names it as one does not need it: it is written anew before.
    """
    if around.referrers or any(named == digest for named in around.tags.values()):
        return True
    if any(names.subject == digest for other, names in around.names.items() if other != digest):
        return True
    if _is_subject_of_tags(digest, around):
        return True
    return digest in _below(_kept_indexes(digest, around), around.names)


def own_list(digest: Digest, names: Mapping[Digest, Names]) -> Tag | None:
    """Return the tag of the list that names `digest` as a referrer of its subject, None where it has none."""
    own = names.get(digest)
    return None if own is None or own.subject is None else fallback_tag(own.subject)


def _is_subject_of_tags(digest: Digest, around: Surroundings) -> bool:
    """Say whether a list of its referrers names any, or cosign keeps something of it under a tag."""
    listed = fallback_tag(digest)
    named = around.tags.get(listed)
    if named is not None and around.names.get(named, Names()).children:
        return True
    return any(tag.startswith(f"{listed}.") for tag in around.tags)


def _kept_indexes(digest: Digest, around: Surroundings) -> frozenset[Digest]:
    leaves_out = own_list(digest, around.names)
    tagged = {named for tag, named in around.tags.items() if named is not None and tag != leaves_out}
    return frozenset(tagged | around.rows) - {digest}


def _below(tops: frozenset[Digest], names: Mapping[Digest, Names]) -> set[Digest]:
    found: set[Digest] = set()
    level = set(tops)
    while level:
        children = {child for one in level for child in names.get(one, Names()).children}
        level = children - found
        found |= level
    return found
