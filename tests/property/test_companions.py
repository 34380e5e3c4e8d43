"""What belongs to an image: all of it is found, once each, in an order that can be stopped anywhere (R1-R7, G2)."""

import asyncio
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator import referrers
from replicator.manifest import MAX_DEPTH, Closure
from replicator.model import Digest, Repository, Tag
from replicator.plan import BlobStep, ManifestStep, make_plan
from replicator.replication import companions
from replicator.replication.companions import Found, find_companions
from replicator.replication.survey import ManifestCache
from tests.property.test_plan import CarelessReplica, closure, some_order
from tests.support.content import Content, Image, make_image, make_index
from tests.unit.replication.support import ModelRegistry

REPO = Repository("team/app")
TAG = Tag("latest")
BASES = st.one_of(
    st.integers(0, 3).map(make_image),
    st.lists(st.integers(0, 3).map(make_image), max_size=3).map(make_index),
)
GHOST = Digest.of(b"was deleted")


@dataclass(slots=True)
class World:
    """A source: an image, what refers to it or to that in turn, and lists that anybody may have written."""

    source: ModelRegistry
    base: Content
    companions: list[Content] = field(default_factory=list)
    referring: dict[Digest, set[Digest]] = field(default_factory=dict)
    signing: dict[Digest, set[Digest]] = field(default_factory=dict)
    lists: dict[Digest, tuple[Digest, ...]] = field(default_factory=dict)

    def add(self, companion: Content) -> None:
        """Push something that belongs to something else."""
        self.source.hold(REPO, companion)
        self.companions.append(companion)

    def refers(self, subject: Content, seed: str) -> Image:
        """Return an image that refers to `subject`."""
        entry = {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.body)}
        image = make_image(seed, (10,), extra={"subject": entry})
        self.referring.setdefault(subject.digest, set()).add(image.digest)
        return image

    def sign(self, subject: Content, seed: str, end: int) -> None:
        """Put an image under one of cosign's tags; the one that was there has it no more."""
        image, tag = make_image(seed, (10,)), referrers.cosign_tags(subject.digest)[end]
        former = self.source.tags.get((REPO, tag))
        self.source.tags[REPO, tag] = image.digest
        self.signing.setdefault(subject.digest, set()).add(image.digest)
        self.signing[subject.digest] -= {former}
        self.add(image)

    def everything(self) -> list[Content]:
        """Return all manifests."""
        return [one for each in (self.base, *self.companions) for one in each.manifests()]

    def list_under(self, subject: Digest, named: Iterable[Digest]) -> None:
        """Put a list under the fallback tag."""
        named = tuple(named)
        known = {one.digest: one for one in self.everything()}
        entries = [
            {"mediaType": known[one].media_type, "digest": str(one), "size": len(known[one].body)}
            if one in known
            else {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": str(one), "size": 9}
            for one in named
        ]
        listing = referrers.merge(None, entries)
        if listing is not None:
            self.source.manifests[REPO, listing.digest] = listing
            self.source.tags[REPO, referrers.fallback_tag(subject)] = listing.digest
            self.lists[subject] = named

    def names(self, subject: Digest) -> set[Digest]:
        """Return what belongs to `subject`, told without the code under test."""
        by_api = self.referring.get(subject, set()) if self.source.has_referrers_api else set()
        listed = by_api or set(self.lists.get(subject, ()))
        return (listed | self.signing.get(subject, set())) - {GHOST}

    def parts(self) -> dict[Digest, set[Digest]]:
        """Return the manifests of each manifest, its own included."""
        return {one.digest: {below.digest for below in one.manifests()} for one in self.everything()}

    def reached(self) -> set[Digest]:
        """Return all that is named, from the image on."""
        parts = self.parts()
        found: set[Digest] = set()
        ahead, seen = set(parts[self.base.digest]), set[Digest]()
        while ahead - seen:
            subject = min(ahead - seen)
            seen.add(subject)
            for named in self.names(subject):
                found.add(named)
                ahead |= parts[named]
        return found

    def find(self) -> Found:
        digests = [one.digest for one in self.base.manifests()]
        return asyncio.run(find_companions(self.source, REPO, digests, ManifestCache()))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World(ModelRegistry("primary"), draw(BASES))
    world.source.has_referrers_api = draw(st.booleans())
    world.source.hold(REPO, world.base, TAG)
    for number in range(draw(st.integers(0, 5))):
        subject = draw(st.sampled_from(world.everything()))
        match draw(st.sampled_from(("refers", "signs", "index"))):
            case "refers":
                world.add(world.refers(subject, f"refers {number}"))
            case "signs":
                world.sign(subject, f"signs {number}", draw(st.integers(0, 2)))
            case _:
                world.add(make_index([world.refers(subject, f"child {number}"), subject]))
    everything = [one.digest for one in world.everything()]
    for subject_digest in draw(st.lists(st.sampled_from(everything), max_size=4, unique=True)):
        # Whatever somebody wrote, circles and what is gone included.
        named = draw(st.lists(st.sampled_from([*everything, GHOST]), max_size=4, unique=True))
        world.list_under(subject_digest, named)
    return world


@given(world=worlds())
def test_all_that_is_named_is_found_and_nothing_else(world: World) -> None:
    found = world.find()
    assert {one.raw.digest for level in found.levels for one in level} == world.reached()
    assert all(found.levels), "no level is empty"
    assert found.unusable == {}


@given(world=worlds())
def test_a_companion_is_found_once_under_each_of_its_subjects(world: World) -> None:
    """Lists may name each other in a circle, and the image itself."""
    everybody = [(one.reference, one.subject) for level in world.find().levels for one in level]
    assert len(everybody) == len(set(everybody))


@given(world=worlds())
def test_what_a_companion_is_listed_under_comes_before_it(world: World) -> None:
    before = {one.digest for one in world.base.manifests()}
    for level in world.find().levels:
        assert all(one.subject is None or one.subject in before for one in level)
        before |= {part.raw.digest for one in level for part in one.closure.manifests}


@given(world=worlds(), cuts=st.lists(st.integers(0, 40), max_size=3), seed=st.integers(0, 2**32))
def test_stopping_anywhere_leaves_no_image_without_what_belongs_to_it(
    world: World, cuts: list[int], seed: int
) -> None:
    """The order of a delivery: level by level, each companion with a plan of its own, then the image."""
    rng, replica, found = random.Random(seed), CarelessReplica(), world.find()
    for cut in (*cuts, None):
        for step in islice(delivery(found, closure(world.base), replica, rng), cut):
            replica.take(step)
            assert all(replica.complete(digest) for digest in replica.manifests)
            if TAG in replica.tags:
                assert world.reached() <= replica.manifests.keys()
    assert replica.tags[TAG] == world.base.digest
    assert set(replica.twice) <= {one.digest for one in world.everything()}


def delivery(
    found: Found, base: Closure, replica: CarelessReplica, rng: random.Random
) -> Iterator[BlobStep | ManifestStep]:
    """Yield the steps, each plan made when its turn comes."""
    for level in found.levels:
        for one in rng.sample(level, len(level)):
            yield from some_order(make_plan(one.closure, one.reference, replica.facts()), rng)
    yield from some_order(make_plan(base, TAG, replica.facts()), rng)


@given(depth=st.integers(0, MAX_DEPTH + 3))
def test_s9_a_chain_of_referrers_is_followed_as_deep_as_is_safe(depth: int) -> None:
    world = World(ModelRegistry("primary"), make_image("app"))
    world.source.has_referrers_api = True
    world.source.hold(REPO, world.base, TAG)
    below: Content = world.base
    for number in range(depth):
        below = world.refers(below, f"link {number}")
        world.add(below)
    if depth <= MAX_DEPTH:
        assert [len(level) for level in world.find().levels] == [1] * depth
    else:
        found = world.find()
        assert len(found.levels) == MAX_DEPTH + 1
        (problem,) = found.unusable.items()
        assert problem[0] == referrers.fallback_tag(world.base.digest)
        assert "deeper than" in str(problem[1])


@given(world=worlds(), most=st.integers(1, 12))
def test_s9_no_more_manifests_are_followed_than_are_safe(world: World, most: int) -> None:
    parts = world.parts()
    followed = set[Digest]().union(*(parts[one] for one in (world.base.digest, *world.reached())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(companions, "MAX_MANIFESTS", most)
        unusable = world.find().unusable
    if len(followed) <= most:
        assert unusable == {}
    else:
        assert unusable.keys() <= {referrers.fallback_tag(one.digest) for one in world.base.manifests()}
        assert {"belong to one another" in str(error) for error in unusable.values()} == {True}
