"""A manifest that is not needed can go, and all that is kept stays whole: whatever a repository holds (G8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import event, given
from hypothesis import strategies as st

from replicator.model import Digest, Tag
from replicator.need import Names, Surroundings, is_needed
from replicator.referrers import cosign_tags, fallback_tag

DIGESTS = [Digest.of(bytes([number])) for number in range(8)]
TAGS = [
    Tag("v1"),
    Tag("v2"),
    *(fallback_tag(one) for one in DIGESTS[:4]),
    *(cosign_tags(one)[0] for one in DIGESTS[:2]),
]
digests = st.sampled_from(DIGESTS)


@dataclass(frozen=True)
class World:
    """A repository: what its manifests name, what its tags name, and the manifests that are kept without a tag."""

    names: Mapping[Digest, Names]
    tags: Mapping[Tag, Digest]
    rows: frozenset[Digest]
    has_api: bool

    def around(self, digest: Digest) -> Surroundings:
        """Return what is found out before `digest` is deleted."""
        referring = {one for one, names in self.names.items() if names.subject == digest}
        return Surroundings(
            tags=self.tags, rows=self.rows, names=self.names, referrers=frozenset(referring if self.has_api else ())
        )

    def without(self, digest: Digest) -> "World":
        """Return what is left when a registry deletes `digest`, and before that its own list names it no more."""
        names = {one: named for one, named in self.names.items() if one != digest}
        tags = {tag: named for tag, named in self.tags.items() if named != digest}
        subject = self.names[digest].subject
        listed = None if subject is None else fallback_tag(subject)
        if listed in tags:
            former = names[tags[listed]]
            anew = Digest.of(f"{tags[listed]} anew".encode())
            names[anew] = Names(former.children - {digest}, former.indexes - {digest}, former.subject)
            tags[listed] = anew
        return World(names, tags, self.rows - {digest}, self.has_api)

    def needs(self) -> dict[object, set[Digest]]:
        """Return all that each tag and each row needs, itself included, and the subject of each referrer."""
        found: dict[object, set[Digest]] = {tag: self._below(named) for tag, named in self.tags.items()}
        found |= {row: self._below(row) for row in self.rows}
        return found | {("subject of", one): {names.subject} for one, names in self.names.items() if names.subject}

    def _below(self, top: Digest) -> set[Digest]:
        found, left = set[Digest](), [top]
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                left += self.names.get(one, Names()).children
        return found


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a repository in which manifests name only those of lower numbers, and subjects are any."""
    names = {}
    for number, digest in enumerate(DIGESTS):
        children = frozenset(draw(st.lists(st.sampled_from(DIGESTS[:number]), max_size=2)) if number else ())
        subject = draw(st.none() | st.none() | digests)
        names[digest] = Names(children, children, None if subject == digest else subject)
    tags = draw(st.dictionaries(st.sampled_from(TAGS), digests, max_size=4))
    return World(names, tags, draw(st.frozensets(digests, max_size=2)), draw(st.booleans()))


@given(worlds(), digests)
def test_what_is_not_needed_goes_and_nothing_that_is_kept_loses_anything(world: World, digest: Digest) -> None:
    needed = is_needed(digest, world.around(digest))
    event(f"needed: {needed}")
    if needed:
        return
    before, left = world.needs(), world.without(digest)
    after = left.needs()
    own = world.names[digest].subject
    for what, needs in before.items():
        if what in {digest, ("subject of", digest), own and fallback_tag(own)}:
            continue
        assert needs == after[what], what
        assert digest not in needs, what
    assert set(world.tags) == set(left.tags), "no tag went along"
    assert not any(digest in needs for what, needs in after.items() if what != digest)
    assert fallback_tag(digest) not in world.tags or not world.names[world.tags[fallback_tag(digest)]].children
    assert not set(cosign_tags(digest)) & set(world.tags)


@given(worlds(), digests, worlds())
def test_what_is_found_out_later_never_makes_it_needless(world: World, digest: Digest, more: World) -> None:
    """So an answer that says yes may end the search early."""
    around = world.around(digest)
    own = {digest: world.names[digest]}
    early = Surroundings(tags=around.tags, names={}, referrers=around.referrers)
    if is_needed(digest, early):
        assert is_needed(digest, around)
    wider = Surroundings(
        tags=around.tags, rows=around.rows | more.rows, names={**around.names, **own}, referrers=around.referrers
    )
    if is_needed(digest, around):
        assert is_needed(digest, wider)


def test_a_chain_of_indexes_is_followed_to_its_end() -> None:
    """Also where it goes in a circle, which no registry can hold."""
    names = {one: Names(frozenset({below})) for one, below in pairwise(DIGESTS)}
    names[DIGESTS[-1]] = Names(frozenset({DIGESTS[0]}))
    around = Surroundings(tags={Tag("v1"): DIGESTS[0]}, names=names)
    assert all(is_needed(one, around) for one in DIGESTS)
