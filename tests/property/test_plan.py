"""Guarantee G2 as an invariant: a copy that stops anywhere leaves no reference whose content is incomplete."""

import random

from hypothesis import given
from hypothesis import strategies as st

from replicator import manifest
from replicator.manifest import Closure, Manifest
from replicator.model import INDEX_TYPES, Digest, RawManifest, Reference, parse_tag
from replicator.plan import SMALL, BlobStep, Facts, ManifestStep, Others, Plan, Way, make_plan
from tests.support.content import Blob, Content, closure_of, make_blob, make_image, make_index

TAG = parse_tag("latest")
SHARED = tuple(make_blob(f"shared/{n}", n * 10) for n in range(4))

LAYER = st.one_of(st.sampled_from(SHARED), st.integers(0, 60))
IMAGES = st.builds(
    lambda seed, layers, docker: make_image(seed, layers, docker=docker),
    st.integers(0, 9),
    st.lists(LAYER, max_size=4),
    st.booleans(),
)


def indexes(children: st.SearchStrategy[Content]) -> st.SearchStrategy[Content]:
    return st.lists(children, max_size=4).map(make_index)


CONTENTS = st.recursive(IMAGES, indexes, max_leaves=8)


class CarelessReplica:
    """A registry that takes any manifest, whatever it holds; it notes what was sent that it had."""

    def __init__(self) -> None:
        self.blobs: set[Digest] = set()
        self.manifests: dict[Digest, Manifest] = {}
        self.tags: dict[Reference, Digest] = {}
        self.twice: list[Digest] = []

    def take(self, step: BlobStep | ManifestStep) -> None:
        if isinstance(step, BlobStep):
            if step.blob.digest in self.blobs:
                self.twice.append(step.blob.digest)
            self.blobs.add(step.blob.digest)
            return
        found = step.manifest
        if step.reference in self.manifests:
            self.twice.append(found.digest)
        self.manifests[found.digest] = manifest.parse(found, registry="replica")
        self.tags[step.reference] = found.digest

    def complete(self, digest: Digest) -> bool:
        found = self.manifests.get(digest)
        return (
            found is not None
            and all(blob.digest in self.blobs for blob in found.blobs)
            and all(self.complete(child.digest) for child in found.children)
        )

    def facts(self) -> Facts:
        return Facts(present=frozenset(self.blobs | self.manifests.keys()))


def closure(content: Content) -> Closure:
    parsed = {
        one.digest: manifest.parse(RawManifest(one.media_type, one.digest, one.body), registry="primary")
        for one in content.manifests()
    }
    return manifest.closure(parsed[content.digest], parsed)


def some_order(plan: Plan, rng: random.Random) -> list[BlobStep | ManifestStep]:
    """Return the steps in one of the orders that the plan allows."""
    steps: list[BlobStep | ManifestStep] = []
    steps += rng.sample(plan.blobs, len(plan.blobs))
    for wave in plan.waves:
        steps += rng.sample(wave, len(wave))
    return steps


@given(content=CONTENTS, older=CONTENTS, cuts=st.lists(st.integers(0, 40), max_size=4), seed=st.integers(0, 2**32))
def test_stopping_anywhere_leaves_no_incomplete_reference(
    content: Content, older: Content, cuts: list[int], seed: int
) -> None:
    """The replica held another image; the copy is cut again and again, planned anew each time, and then finished."""
    rng = random.Random(seed)
    replica, wanted = CarelessReplica(), closure(content)
    for step in some_order(make_plan(closure(older), TAG, replica.facts()), rng):
        replica.take(step)
    before = replica.tags[TAG]
    replica.twice.clear()
    for cut in cuts:
        for step in some_order(make_plan(wanted, TAG, replica.facts()), rng)[:cut]:
            replica.take(step)
            assert all(replica.complete(digest) for digest in replica.manifests)
            assert replica.tags[TAG] == before or step == make_plan(wanted, TAG, Facts()).top
        before = replica.tags[TAG]
    for step in some_order(make_plan(wanted, TAG, replica.facts()), rng):
        replica.take(step)
    assert replica.tags[TAG] == content.digest
    assert closure_of(content) <= replica.blobs | replica.manifests.keys()
    assert set(replica.twice) <= {content.digest}, "only the top may be put again, under its tag"
    assert all(replica.complete(digest) for digest in replica.manifests)


@given(content=CONTENTS, present=st.data())
def test_every_digest_is_in_exactly_one_place(content: Content, present: st.DataObject) -> None:
    everything = sorted(closure_of(content))
    there = frozenset(present.draw(st.sets(st.sampled_from(everything))))
    plan = make_plan(closure(content), TAG, Facts(present=there))
    brought = [step.blob.digest for step in plan.blobs]
    put = [step.manifest.digest for wave in plan.waves for step in wave]
    assert len(brought) == len(set(brought))
    assert put[-1] == content.digest
    assert len(put) == len(set(put))
    assert plan.waves[-1] == (plan.top,)
    assert all(plan.waves)
    needed = {*brought, *put, *(blob.digest for blob in plan.present)}
    skipped = {one.digest for one in content.manifests()} & there - {content.digest}
    assert needed | skipped == set(everything)
    assert not (set(brought) | set(put[:-1])) & there
    assert plan.bytes_to_bring == sum(sizes(content)[digest] for digest in brought)


@given(content=CONTENTS)
def test_a_wave_needs_only_the_waves_before_it(content: Content) -> None:
    done: set[Digest] = set()
    known = {one.raw.digest: one for one in closure(content).manifests}
    for wave in make_plan(closure(content), TAG, Facts()).waves:
        for step in wave:
            assert all(child.digest in done for child in known[step.manifest.digest].children)
        done |= {step.manifest.digest for step in wave}


@given(
    content=CONTENTS,
    drawn=st.data(),
    others=st.sampled_from(Others),
    checks=st.booleans(),
    careful=st.booleans(),
)
def test_nothing_is_taken_for_granted_that_nobody_checks(
    content: Content, drawn: st.DataObject, others: Others, checks: bool, careful: bool
) -> None:
    """Each blob is proven, asked for, brought, or named by a manifest that a registry which checks is given (G2)."""
    everything = sorted(closure_of(content))
    some = st.sets(st.sampled_from(everything)).map(frozenset)
    present, believed = drawn.draw(some), drawn.draw(some)
    facts = Facts(present=present, believed=believed, others=others, checks_manifests=checks, careful=careful)
    plan = make_plan(closure(content), TAG, facts)
    stepped = {step.blob.digest for step in plan.blobs}
    put = {step.manifest.digest for wave in plan.waves for step in wave}
    vouched = {
        blob.digest for one in closure(content).manifests if one.raw.digest in put and checks for blob in one.blobs
    }
    blobs = {blob.digest for blob in closure(content).blobs}
    assert blobs <= present | stepped | vouched
    assert not stepped & (present | plan.assumed)
    assert plan.assumed <= vouched & believed - present
    assert not (careful and plan.assumed)
    for step in plan.blobs:
        assert step.believed == (step.blob.digest in believed)
        assert step.way is Way.ASK or not (step.believed or careful)
        assert step.way is not Way.BRING or step.blob.size <= SMALL


def sizes(content: Content) -> dict[Digest, int]:
    blobs: tuple[Blob, ...] = content.blobs()
    return {blob.digest: blob.size for blob in blobs}


@given(content=CONTENTS)
def test_a_closure_is_what_the_content_is(content: Content) -> None:
    found = closure(content)
    assert {one.raw.digest for one in found.manifests} | {blob.digest for blob in found.blobs} == closure_of(content)
    assert found.top.raw.media_type in INDEX_TYPES or not found.top.children
