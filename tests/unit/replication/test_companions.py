"""What belongs to an image arrives with it, before its tag, and never holds the tag back (DESIGN 3, R1-R7)."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from replicator import referrers
from replicator.errors import Reason, RegistryError
from replicator.manifest import parse
from replicator.model import Digest, RawManifest, Tag, parse_repository, parse_tag
from replicator.registry.capabilities import Capability
from replicator.replication.worker import LeaseLost
from replicator.store.outcome import Done, Parked, Result, Retry
from tests.support.content import Content, Image, make_image, make_index
from tests.unit.replication.rig import Bench, running_bench
from tests.unit.replication.steps import faults
from tests.unit.replication.support import Call, ModelRegistry, Op, network_error

REPO = parse_repository("team/app")
TAG = parse_tag("v1")
APP = make_image("app")
RULES = [{"referrers": True}]


def about(subject: Content, seed: str, **more: Any) -> Image:
    entry = {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.body)}
    return make_image(seed, (50,), extra={"subject": entry, "artifactType": f"application/x.{seed}", **more})


SIGNATURE, SBOM = about(APP, "signature"), about(APP, "sbom", annotations={"made": "by us"})
ON_SIGNATURE = about(SIGNATURE, "countersignature")


def attach(registry: ModelRegistry, subject: Content, *found: Image) -> None:
    """Push referrers as a client does: where there is no API it keeps the list under the fallback tag."""
    for one in found:
        registry.hold(REPO, one)
    if not registry.has_referrers_api:
        held = listed(registry, subject.digest)
        merged = referrers.merge(held, [referrers.entry_of(raw(one)) for one in found])
        assert merged is not None
        registry.manifests[REPO, merged.digest] = merged
        registry.tags[REPO, referrers.fallback_tag(subject.digest)] = merged.digest


def raw(content: Content) -> RawManifest:
    return RawManifest(content.media_type, content.digest, content.body)


def listed(registry: ModelRegistry, subject: Digest) -> RawManifest | None:
    digest = registry.tags.get((REPO, referrers.fallback_tag(subject)))
    return None if digest is None else registry.manifests[REPO, digest]


def entries(registry: ModelRegistry, subject: Content) -> Mapping[str, Mapping[str, Any]]:
    held = listed(registry, subject.digest)
    return {} if held is None else {one["digest"]: one for one in json.loads(held.body)["manifests"]}


def names(registry: ModelRegistry, subject: Content) -> set[str]:
    """Return the digests of what a registry lists for a subject."""
    if registry.has_referrers_api:
        parsed = [parse(one, registry=registry.name) for one in registry.manifests.values()]
        return {str(one.raw.digest) for one in parsed if one.subject and one.subject.digest == subject.digest}
    return set(entries(registry, subject))


@pytest.fixture(params=[(False, False), (True, False), (False, True), (True, True)], ids=["tt", "at", "ta", "aa"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """Set up a worker between registries with the API (a) or with fallback tags (t)."""
    async with running_bench(tmp_path, rules=RULES) as bench:
        bench.rig.source.has_referrers_api, bench.rig.replica.has_referrers_api = request.param
        yield bench


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[Bench]:
    """Set up a worker between registries without the API."""
    async with running_bench(tmp_path, rules=RULES) as bench:
        yield bench


async def test_all_that_refers_to_an_image_is_there_before_its_tag(bench: Bench) -> None:
    source, replica = bench.rig.source, bench.rig.replica
    attach(source, APP, SIGNATURE, SBOM)
    attach(source, SIGNATURE, ON_SIGNATURE)
    await bench.rig.push(REPO, TAG, APP)
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert outcome.result is Result.COPIED
    assert set(outcome.covered) == {one.digest for one in (APP, SIGNATURE, SBOM, ON_SIGNATURE)}
    assert names(replica, APP) == {str(SIGNATURE.digest), str(SBOM.digest)}
    assert names(replica, SIGNATURE) == {str(ON_SIGNATURE.digest)}
    for one in (APP, SIGNATURE, SBOM, ON_SIGNATURE):
        assert replica.complete(REPO, one.digest)
    written = [call.reference for call in replica.calls if call.op is Op.WRITE]
    assert written[0] == APP.digest, "a referrer of what is not there may be refused"
    assert written[-1] == TAG
    assert len(written) == len(set(written))
    assert (await bench.rig.owed()).owed == 0


async def test_stopping_anywhere_leaves_no_tag_without_what_belongs_to_it(bench: Bench) -> None:
    """G2: the copy is cut at each of its writes in turn, begun anew, and ends whole."""
    replica = bench.rig.replica
    attach(bench.rig.source, APP, SIGNATURE, SBOM)
    attach(bench.rig.source, SIGNATURE, ON_SIGNATURE)
    bench.rig.source.hold(REPO, APP, TAG)
    seen = last = 0

    async def cut(call: Call) -> None:
        nonlocal seen
        seen += call.op in {Op.SEND, Op.WRITE, Op.WROTE}
        if seen == last:
            raise network_error("eu")

    replica.hook = faults(cut)
    outcome = None
    while not isinstance(outcome, Done):
        last, seen = last + 1, 0
        await bench.rig.event(REPO, TAG, None)
        outcome = await bench.work()
        for _, digest in list(replica.manifests):
            assert replica.complete(REPO, digest) or digest == getattr(listed(replica, APP.digest), "digest", None)
        if (REPO, TAG) in replica.tags:
            assert names(replica, APP) == {str(SIGNATURE.digest), str(SBOM.digest)}
            assert names(replica, SIGNATURE) == {str(ON_SIGNATURE.digest)}
    assert last > 6
    assert replica.complete(REPO, TAG)


async def test_an_entry_of_the_list_says_what_the_referrer_is(plain: Bench) -> None:
    attach(plain.rig.source, APP, SBOM)
    await plain.rig.push(REPO, TAG, APP)
    await plain.work()
    assert entries(plain.rig.replica, APP)[str(SBOM.digest)] == {
        "mediaType": SBOM.media_type,
        "digest": str(SBOM.digest),
        "size": len(SBOM.body),
        "artifactType": "application/x.sbom",
        "annotations": {"made": "by us"},
    }


async def test_the_replicas_own_referrers_survive(bench: Bench) -> None:
    own = about(APP, "scanned at the replica")
    bench.rig.replica.hold(REPO, APP)
    attach(bench.rig.replica, APP, own)
    attach(bench.rig.source, APP, SIGNATURE)
    await bench.rig.push(REPO, TAG, APP)
    await bench.work()
    assert names(bench.rig.replica, APP) == {str(own.digest), str(SIGNATURE.digest)}


async def test_referrers_of_children_travel_and_attestations_are_copied_once(bench: Bench) -> None:
    child = make_image("child", platform="linux/arm64")
    attestation = about(child, "provenance")
    index = make_index([child, attestation])
    attach(bench.rig.source, child, attestation, about(child, "sbom of child"))
    await bench.rig.push(REPO, TAG, index)
    await bench.work()
    assert names(bench.rig.replica, child) == {str(attestation.digest), str(about(child, "sbom of child").digest)}
    assert bench.rig.replica.count(Op.WRITE, attestation.digest) == 1


async def test_what_was_attached_later_is_brought_although_the_image_is_there(bench: Bench) -> None:
    await bench.rig.push(REPO, TAG, APP)
    await bench.work()
    attach(bench.rig.source, APP, SIGNATURE)
    await bench.rig.event(REPO, TAG, None)
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert (outcome.result, outcome.covered) == (Result.COPIED, (SIGNATURE.digest,))
    assert names(bench.rig.replica, APP) == {str(SIGNATURE.digest)}
    before = len([call for call in bench.rig.replica.calls if call.op is Op.WRITE])
    await bench.rig.event(REPO, TAG, None)
    again = await bench.work()
    assert isinstance(again, Done)
    assert again.result is Result.ALREADY_PRESENT
    assert len([call for call in bench.rig.replica.calls if call.op is Op.WRITE]) == before


async def test_an_event_of_the_referrer_itself_brings_it_and_lists_it(bench: Bench) -> None:
    await bench.rig.push(REPO, TAG, APP)
    await bench.work()
    attach(bench.rig.source, APP, SIGNATURE)
    await bench.rig.event(REPO, SIGNATURE.digest, SIGNATURE.digest)
    await bench.work()
    assert names(bench.rig.replica, APP) == {str(SIGNATURE.digest)}
    assert bench.rig.replica.complete(REPO, SIGNATURE.digest)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_an_event_of_a_list_brings_what_it_names_and_not_the_list(plain: Bench, algorithm: str) -> None:
    """The subject itself is not brought: whether it is to be there is said by its own tags."""
    subject = Digest.of(APP.body, algorithm)
    entry = {"mediaType": APP.media_type, "digest": str(subject), "size": len(APP.body)}
    signature = make_image("signed", (9,), extra={"subject": entry})
    source, replica, tag = plain.rig.source, plain.rig.replica, referrers.fallback_tag(subject)
    source.hold(REPO, signature)
    held = referrers.merge(None, [referrers.entry_of(raw(signature))])
    assert held is not None
    source.manifests[REPO, held.digest] = held
    source.tags[REPO, tag] = held.digest
    await plain.rig.event(REPO, tag, held.digest)
    outcome = await plain.work()
    assert outcome == Done(result=Result.COPIED, digest=held.digest, covered=(signature.digest,))
    assert replica.complete(REPO, signature.digest)
    assert replica.tags == {(REPO, tag): replica.tags[REPO, tag]}
    assert (REPO, APP.digest) not in replica.manifests
    assert plain.rig.replica.count(Op.STAT, tag) == 0


async def test_a_look_at_a_list_compares_it_with_what_it_was(plain: Bench) -> None:
    """On the replica there is another list, so that must not be taken for a difference."""
    attach(plain.rig.source, APP, SIGNATURE)
    attach(plain.rig.replica, APP, about(APP, "own"))
    tag = referrers.fallback_tag(APP.digest)
    await plain.rig.event(REPO, tag, Digest.of(b"another"))
    first = await plain.work()
    assert isinstance(first, Done)
    assert first.look_at is not None
    plain.rig.clock.advance(1)
    looked = await plain.work()
    assert isinstance(looked, Done)
    assert (await plain.rig.owed()).owed == 0


async def test_tags_of_cosign_travel_and_are_looked_at_again(bench: Bench) -> None:
    tag = referrers.cosign_tags(APP.digest)[0]
    first, second = make_image("one signature"), make_image("two signatures")
    bench.rig.source.hold(REPO, first, tag)
    await bench.rig.push(REPO, TAG, APP)
    await bench.work()
    assert bench.rig.replica.tags[REPO, tag] == first.digest
    written = [call.reference for call in bench.rig.replica.calls if call.op is Op.WRITE]
    assert written == [APP.digest, tag, TAG]
    bench.rig.source.hold(REPO, second, tag)
    await bench.rig.event(REPO, TAG, None)
    await bench.work()
    assert bench.rig.replica.tags[REPO, tag] == second.digest
    assert bench.rig.replica.complete(REPO, tag)


async def test_a_tag_of_cosign_that_moves_on_while_its_image_is_copied_does_not_go_back(bench: Bench) -> None:
    """G4: what was read of it before the image was copied is not put over what its own event brought meanwhile."""
    tag = referrers.cosign_tags(APP.digest)[0]
    first, second = make_image("one signature"), make_image("two signatures")
    bench.rig.source.hold(REPO, first, tag)
    bench.rig.replica.hold(REPO, first, tag)
    await bench.rig.push(REPO, TAG, APP)

    async def arrive(call: Call) -> None:
        if (call.op, call.reference) == (Op.WROTE, APP.digest):
            bench.rig.source.hold(REPO, second, tag)
            bench.rig.replica.hold(REPO, second, tag)

    bench.rig.replica.hook = faults(arrive)
    assert isinstance(await bench.work(), Done)
    assert bench.rig.replica.tags[REPO, tag] == second.digest
    assert bench.rig.replica.count(Op.WRITE, tag) == 0


async def test_what_it_names_now_is_what_comes_with_the_image(bench: Bench) -> None:
    """The event of the newer state is still to come."""
    tag = referrers.cosign_tags(APP.digest)[0]
    second = make_image("two signatures")
    bench.rig.source.hold(REPO, make_image("one signature"), tag)
    await bench.rig.push(REPO, TAG, APP)

    async def move(call: Call) -> None:
        if (call.op, call.reference) == (Op.WROTE, APP.digest):
            bench.rig.source.hold(REPO, second, tag)

    bench.rig.replica.hook = faults(move)
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert second.digest in outcome.covered
    written = [call.reference for call in bench.rig.replica.calls if call.op is Op.WRITE]
    assert written == [APP.digest, tag, TAG]
    assert bench.rig.replica.complete(REPO, tag)
    assert bench.rig.replica.tags[REPO, tag] == second.digest


async def test_a_tag_of_cosign_that_went_back_all_the_same_is_found(bench: Bench) -> None:
    """A newer state arrives between our last look at the primary and our put: nothing is owed but a look."""
    tag = referrers.cosign_tags(APP.digest)[0]
    first, second = make_image("one signature"), make_image("two signatures")
    bench.rig.source.hold(REPO, first, tag)
    await bench.rig.push(REPO, TAG, APP)

    async def overtake(call: Call) -> None:
        if (call.op, call.reference) == (Op.WRITE, tag) and bench.rig.source.tags[REPO, tag] == first.digest:
            bench.rig.source.hold(REPO, second, tag)
            bench.rig.replica.hold(REPO, second, tag)

    bench.rig.replica.hook = faults(overtake)
    assert isinstance(await bench.work(), Done)
    assert bench.rig.replica.tags[REPO, tag] == first.digest, "it went back"
    bench.rig.clock.advance(1)
    await bench.work()
    assert (await bench.rig.row(REPO, tag)).owed, "the look found it"
    await bench.work()
    assert bench.rig.replica.tags[REPO, tag] == second.digest
    assert (await bench.rig.owed()).owed == 0


async def test_a_tag_of_cosign_is_not_put_without_a_lease_nor_if_it_is_gone(bench: Bench) -> None:
    tag = referrers.cosign_tags(APP.digest)[0]
    bench.rig.source.hold(REPO, make_image("one signature"), tag)
    await bench.rig.push(REPO, TAG, APP)

    async def lost() -> None:
        raise LeaseLost("the lease is about to end")

    assert isinstance(await bench.work(lost), Retry)
    assert bench.rig.replica.count(Op.WRITE, tag) == 0

    async def delete(call: Call) -> None:
        if (call.op, call.reference) == (Op.WROTE, APP.digest):
            bench.rig.source.tags.pop((REPO, tag), None)

    bench.rig.replica.hook = faults(delete)
    bench.rig.replica.lose(REPO, APP.digest)
    bench.rig.clock.advance(60)
    assert isinstance(await bench.work(), Done)
    assert bench.rig.replica.count(Op.WRITE, tag) == 0
    assert bench.rig.replica.complete(REPO, TAG)


@pytest.mark.parametrize("reference", [SIGNATURE.digest, referrers.cosign_tags(APP.digest)[1]], ids=["digest", "tag"])
async def test_what_a_replica_refuses_for_good_is_parked_by_itself(bench: Bench, reference: Digest | Tag) -> None:
    async def refuse(call: Call) -> None:
        if (call.op, call.reference) == (Op.WRITE, reference):
            raise RegistryError("eu: no artifacts here", registry="eu", reason=Reason.UNSUPPORTED, status=400)

    bench.rig.replica.hook = faults(refuse)
    if isinstance(reference, Digest):
        attach(bench.rig.source, APP, SIGNATURE, SBOM)
    else:
        bench.rig.source.hold(REPO, make_image("by cosign"), reference)
        attach(bench.rig.source, APP, SBOM)
    await bench.rig.push(REPO, TAG, APP)
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert reference not in outcome.covered
    assert bench.rig.replica.complete(REPO, TAG)
    assert names(bench.rig.replica, APP) == {str(SBOM.digest)}
    alone = await bench.work()
    assert isinstance(alone, Parked)
    row = await bench.rig.row(REPO, reference)
    assert (row.parked, row.reason) == (True, Reason.UNSUPPORTED)
    assert "no artifacts here" in row.message
    tries = bench.rig.replica.count(Op.WRITE, reference)
    await bench.rig.event(REPO, TAG, None)
    await bench.work()
    assert bench.rig.replica.count(Op.WRITE, reference) == tries, "it is in hands of its own"


async def test_trouble_that_may_pass_holds_an_image_for_two_tries_only(plain: Bench) -> None:
    async def trouble(call: Call) -> None:
        if (call.op, call.reference) == (Op.WRITE, SIGNATURE.digest):
            raise network_error("eu", Reason.SERVER_ERROR)

    plain.rig.replica.hook = faults(trouble)
    attach(plain.rig.source, APP, SIGNATURE)
    await plain.rig.push(REPO, TAG, APP)
    for _ in range(2):
        outcome = await plain.work()
        assert isinstance(outcome, Retry)
        assert not outcome.wrote
        assert (REPO, TAG) not in plain.rig.replica.tags
        plain.rig.clock.advance(3600)
    assert isinstance(await plain.work(), Done)
    assert plain.rig.replica.complete(REPO, TAG)
    assert (await plain.rig.row(REPO, SIGNATURE.digest)).owed


async def test_what_is_listed_and_not_there_is_passed_over(plain: Bench) -> None:
    attach(plain.rig.source, APP, SIGNATURE, SBOM)
    plain.rig.source.lose(REPO, SIGNATURE.digest)
    await plain.rig.push(REPO, TAG, APP)
    await plain.work()
    assert names(plain.rig.replica, APP) == {str(SBOM.digest)}


async def test_a_tag_that_only_looks_like_a_list_is_told_and_holds_nothing(plain: Bench) -> None:
    tag = referrers.fallback_tag(APP.digest)
    plain.rig.source.hold(REPO, make_image("an image"), tag)
    await plain.rig.push(REPO, TAG, APP)
    assert isinstance(await plain.work(), Done)
    alone = await plain.work()
    assert isinstance(alone, Parked)
    assert "no list of referrers" in alone.message
    assert alone.reason is Reason.UNSUPPORTED


async def test_a_replicas_tag_that_is_no_list_is_not_overwritten(plain: Bench) -> None:
    theirs = make_image("theirs")
    tag = referrers.fallback_tag(APP.digest)
    plain.rig.replica.hold(REPO, theirs, tag)
    attach(plain.rig.source, APP, SIGNATURE)
    await plain.rig.push(REPO, TAG, APP)
    assert isinstance(await plain.work(), Done)
    assert plain.rig.replica.tags[REPO, tag] == theirs.digest
    assert plain.rig.replica.tags[REPO, TAG] == APP.digest
    alone = await plain.work()
    assert isinstance(alone, Parked)
    assert "is not overwritten" in alone.message


async def test_an_update_that_was_lost_is_made_again(plain: Bench) -> None:
    """Somebody else writes the list between our read and our write, without having read ours."""
    own = about(APP, "own")
    replica, tag = plain.rig.replica, referrers.fallback_tag(APP.digest)
    other = referrers.merge(None, [referrers.entry_of(raw(own))])
    assert other is not None
    replica.hold(REPO, own)
    written = 0

    async def interfere(call: Call) -> None:
        nonlocal written
        if (call.op, call.reference) == (Op.WROTE, tag):
            written += 1
            if written == 1:
                replica.manifests[REPO, other.digest] = other
                replica.tags[REPO, tag] = other.digest

    replica.hook = faults(interfere)
    attach(plain.rig.source, APP, SIGNATURE)
    await plain.rig.push(REPO, TAG, APP)
    working = asyncio.create_task(plain.work())
    await plain.rig.until(working.done, what="the list was written again", step=1.0)
    await working
    assert names(replica, APP) == {str(own.digest), str(SIGNATURE.digest)}


async def test_entries_of_what_a_replica_deleted_do_not_stop_its_list(plain: Bench) -> None:
    gone = about(APP, "gone")
    plain.rig.replica.strict = True
    plain.rig.replica.hold(REPO, APP)
    attach(plain.rig.replica, APP, gone)
    plain.rig.replica.lose(REPO, gone.digest)
    attach(plain.rig.source, APP, SIGNATURE)
    await plain.rig.push(REPO, TAG, APP)
    await plain.work()
    assert names(plain.rig.replica, APP) == {str(SIGNATURE.digest)}


async def test_without_the_rule_nobody_is_asked(tmp_path: Path) -> None:
    async with running_bench(tmp_path) as bench:
        attach(bench.rig.source, APP, SIGNATURE)
        await bench.rig.push(REPO, TAG, APP)
        await bench.work()
        assert bench.rig.source.count(Op.REFERRERS) == bench.rig.source.count(Op.TAGS) == 0
        assert bench.rig.replica.count(Op.REFERRERS) == 0
        written = [call.reference for call in bench.rig.replica.calls if call.op is Op.WRITE]
        assert written == [TAG], "put once, under its tag"


async def test_an_image_that_nothing_belongs_to_costs_one_list_of_tags(plain: Bench) -> None:
    plain.rig.source.capabilities.learn(Capability.REFERRERS, holds=False)
    await plain.rig.push(REPO, TAG, make_index([APP, make_image("b", platform="linux/arm64")]))
    await plain.work()
    assert plain.rig.source.count(Op.TAGS) == 1
    tops = [call.reference for call in plain.rig.source.calls if call.op is Op.READ]
    assert len(tops) == 3
    written = [call.reference for call in plain.rig.replica.calls if call.op is Op.WRITE]
    assert written[-1] == TAG
    assert len(written) == 3


async def test_where_tags_are_too_many_each_is_asked_for(plain: Bench) -> None:
    for number in range(1100):
        plain.rig.source.tags[REPO, parse_tag(f"t{number}")] = APP.digest
    tag = referrers.cosign_tags(APP.digest)[0]
    plain.rig.source.hold(REPO, make_image("signed by cosign"), tag)
    attach(plain.rig.source, APP, SIGNATURE)
    await plain.rig.push(REPO, TAG, APP)
    await plain.work()
    assert names(plain.rig.replica, APP) == {str(SIGNATURE.digest)}
    assert (REPO, tag) in plain.rig.replica.tags
