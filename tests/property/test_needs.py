"""What is found out on a replica suffices: what is removed there was needed by nothing there (G2, G8)."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import event, given
from hypothesis import strategies as st

from replicator import referrers
from replicator.clock import SystemClock
from replicator.manifest import parse
from replicator.model import Digest, IntentKey, RawManifest, Repository, Tag
from replicator.replication.needs import Needs
from replicator.replication.referrer_lists import ReferrerLists
from tests.support.content import Content, make_image, make_index
from tests.unit.replication.support import ModelRegistry, Op

REPO = Repository("team/app")
BASES = [make_image(f"base {number}", (10,)) for number in range(3)]
"""What manifests are about."""


@dataclass
class World:
    """A replica with what clients may have made of it, and the rows that the store has of it."""

    replica: ModelRegistry
    contents: list[Content] = field(default_factory=list)
    rows: list[Digest] = field(default_factory=list)

    async def digest_rows(self, replica: str, repository: Repository, limit: int) -> tuple[Digest, ...]:
        """Return the digests that have a row of their own."""
        assert (replica, repository) == ("eu", REPO)
        return tuple(self.rows[:limit])

    def hold(self, content: Content) -> None:
        """Hold it, and by the rules of the specification have it listed, as every client does."""
        self.replica.hold(REPO, content)
        self.contents += [one for one in content.manifests() if one not in self.contents]

    def list_referrer(self, subject: Content, referrer: Content) -> None:
        """Write the list under the fallback tag, as clients do where there is no API."""
        tag = referrers.fallback_tag(subject.digest)
        named = self.replica.tags.get((REPO, tag))
        held = None if named is None else self.replica.manifests[REPO, named]
        if held is not None and not referrers.is_list(held, subject.digest):
            return
        entry = referrers.entry_of(RawManifest(referrer.media_type, referrer.digest, referrer.body))
        merged = referrers.merge(held, [entry])
        if merged is not None:
            self.replica.manifests[REPO, merged.digest] = merged
            self.replica.tags[REPO, tag] = merged.digest

    def whole(self) -> dict[Tag, Digest]:
        """Return the tags that name something complete."""
        tags = {Tag(str(tag)): named for (_, tag), named in self.replica.tags.items()}
        return {tag: named for tag, named in tags.items() if self.replica.complete(REPO, tag)}


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a replica: images, indexes over them at any depth, referrers to any of these, tags, and rows."""
    world = World(ModelRegistry("eu", has_referrers_api=draw(st.booleans())))
    for base in BASES:
        world.hold(base)
    for number in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            world.hold(make_index(draw(st.lists(st.sampled_from(world.contents), min_size=1, max_size=2))))
        else:
            subject = draw(st.sampled_from(world.contents))
            entry = {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.body)}
            referrer = make_image(f"referrer {number}", (10,), extra={"subject": entry})
            world.hold(referrer)
            if not world.replica.has_referrers_api:
                world.list_referrer(subject, referrer)
    some = st.sampled_from(world.contents)
    for tag in draw(st.lists(st.sampled_from([Tag("v1"), Tag("v2"), Tag("v3")]), unique=True, min_size=1)):
        world.replica.tags[REPO, tag] = draw(some).digest
    if draw(st.booleans()):
        world.replica.tags[REPO, draw(st.sampled_from(referrers.cosign_tags(draw(some).digest)))] = draw(some).digest
    world.rows = [one.digest for one in draw(st.lists(some, unique_by=lambda one: str(one.digest), max_size=3))]
    return world


async def removed(world: World, digest: Digest, most: int) -> bool | None:
    """Ask, and remove what nothing needs as the daemon does: from its list first. Return what was answered."""
    needs = Needs(world.replica, world, most=most)
    needed = await needs.is_needed(IntentKey("eu", REPO, digest), REPO, digest)
    if needed is False:
        raw = world.replica.manifests[REPO, digest]
        for subject in subjects(world, [digest]):
            await ReferrerLists(world.replica, SystemClock(), random.Random(0)).remove(REPO, subject, raw.digest)
        await world.replica.delete_manifest(REPO, digest)
    return needed


def subjects(world: World, digests: Sequence[Digest]) -> list[Digest]:
    """Return what these refer to."""
    parsed = (parse(world.replica.manifests[REPO, one], registry="eu") for one in digests)
    return [one.subject.digest for one in parsed if one.subject is not None]


@given(worlds(), st.data(), st.sampled_from([2000, 2000, 2000, 6]))
def test_nothing_that_is_kept_loses_anything(world: World, data: st.DataObject, most: int) -> None:
    # What came last is more often needed by nothing.
    digest = data.draw(st.just(world.contents[-1]) | st.sampled_from(world.contents)).digest
    before, rows = world.whole(), {row for row in world.rows if row != digest}
    complete = {row for row in rows if world.replica.complete(REPO, row)}
    needed = asyncio.run(removed(world, digest, most))
    event(f"needed: {needed}")
    assert ((REPO, digest) in world.replica.manifests) is (needed is not False)
    after = world.whole()
    assert after.keys() == before.keys(), "every tag is there and complete"
    assert all(after[tag] == before[tag] for tag in before if not referrers.is_fallback_tag(tag))
    assert all(world.replica.complete(REPO, row) for row in complete)
    held = [one for where, one in world.replica.manifests if where == REPO]
    assert needed is not False or digest not in subjects(world, held), "no referrer lost its subject"
    asked = [call for call in world.replica.calls if call.op in {Op.STAT, Op.READ, Op.TAGS, Op.REFERRERS}]
    assert needed is False or len(asked) <= most
