"""Trouble at the source with what belongs to an image: the image arrives, and what is lacking is owed (R1-R7, S9)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from replicator import referrers
from replicator.errors import AccessDenied, ContentError, Reason, RegistryError
from replicator.model import Digest, RawManifest, Reference
from replicator.store.outcome import Done, Parked, Result, Retry
from tests.support.content import Content, Image, make_image, make_index
from tests.unit.replication.rig import Bench, running_bench
from tests.unit.replication.steps import faults
from tests.unit.replication.support import Call, Op, network_error
from tests.unit.replication.test_companions import (
    APP,
    ON_SIGNATURE,
    REPO,
    RULES,
    SBOM,
    SIGNATURE,
    TAG,
    about,
    attach,
    names,
)

LIST = referrers.fallback_tag(APP.digest)
DENIED = AccessDenied("primary: denied", registry="primary", reason=Reason.AUTH, status=403)
TOO_MANY = ContentError("primary: more than 1000 referrers", registry="primary", reason=Reason.UNSUPPORTED)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Set up a worker whose source has the referrers API."""
    async with running_bench(tmp_path, rules=RULES) as bench:
        bench.rig.source.has_referrers_api = True
        yield bench


def trouble(
    error: Exception, op: Op = Op.REFERRERS, reference: Reference | None = None
) -> Callable[[Call], Awaitable[None]]:
    """Return the fault of all such requests."""

    async def fault(call: Call) -> None:
        if call.op is op and reference in {None, call.reference}:
            raise error

    return fault


@pytest.mark.parametrize("error", [DENIED, TOO_MANY], ids=["denied", "too-many"])
async def test_what_the_source_refuses_to_tell_holds_no_image(
    bench: Bench, error: RegistryError | ContentError
) -> None:
    attach(bench.rig.source, APP, SIGNATURE, SBOM)
    bench.rig.source.hook = faults(trouble(error))
    await bench.rig.push(REPO, TAG, APP)
    assert isinstance(await bench.work(), Done)
    assert bench.rig.replica.complete(REPO, TAG)
    assert isinstance(await bench.work(), Parked)
    row = await bench.rig.row(REPO, LIST)
    assert (row.owed, row.parked, row.reason) == (True, True, error.reason)
    assert str(error) in row.message
    assert names(bench.rig.replica, APP) == set()


async def test_referrers_that_were_not_told_come_when_the_source_tells_again(bench: Bench) -> None:
    attach(bench.rig.source, APP, SIGNATURE)
    attach(bench.rig.source, SIGNATURE, ON_SIGNATURE)
    bench.rig.source.hook = faults(trouble(DENIED))
    await bench.rig.push(REPO, TAG, APP)
    await bench.work()
    bench.rig.source.hook = faults()
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert outcome.result is Result.COPIED
    assert set(outcome.covered) == {SIGNATURE.digest, ON_SIGNATURE.digest}
    assert names(bench.rig.replica, APP) == {str(SIGNATURE.digest)}
    assert names(bench.rig.replica, SIGNATURE) == {str(ON_SIGNATURE.digest)}
    assert (await bench.rig.owed()).owed == 0


async def test_trouble_that_may_pass_holds_an_image_for_two_tries_only(bench: Bench) -> None:
    attach(bench.rig.source, APP, SIGNATURE)
    bench.rig.source.hook = faults(trouble(network_error("primary", Reason.SERVER_ERROR)))
    await bench.rig.push(REPO, TAG, APP)
    for _ in range(2):
        assert isinstance(await bench.work(), Retry)
        assert (REPO, TAG) not in bench.rig.replica.tags
        bench.rig.clock.advance(3600)
    assert isinstance(await bench.work(), Done)
    assert bench.rig.replica.complete(REPO, TAG)
    for _ in range(4):
        assert isinstance(await bench.work(), Retry), "asked again by itself"
        bench.rig.clock.advance(3600)
    bench.rig.source.hook = faults()
    assert isinstance(await bench.work(), Done)
    assert names(bench.rig.replica, APP) == {str(SIGNATURE.digest)}


@pytest.mark.parametrize(
    ("op", "reference", "row"),
    [
        (Op.READ, SIGNATURE.digest, SIGNATURE.digest),
        (Op.READ, LIST, LIST),
        (Op.READ, referrers.cosign_tags(APP.digest)[0], referrers.cosign_tags(APP.digest)[0]),
    ],
    ids=["referrer", "list", "cosign"],
)
@pytest.mark.parametrize("error", [DENIED, network_error("primary", Reason.SERVER_ERROR)], ids=["denied", "500"])
async def test_one_that_cannot_be_read_holds_an_image_no_longer(
    tmp_path: Path, op: Op, reference: Reference, row: Reference, error: RegistryError
) -> None:
    async with running_bench(tmp_path, rules=RULES) as bench:
        attach(bench.rig.source, APP, SIGNATURE)
        bench.rig.source.hold(REPO, make_image("by cosign"), referrers.cosign_tags(APP.digest)[0])
        bench.rig.source.hook = faults(trouble(error, op, reference))
        await bench.rig.push(REPO, TAG, APP)
        outcome = await bench.work()
        for _ in range(2 if error.temporary else 0):
            assert isinstance(outcome, Retry)
            bench.rig.clock.advance(3600)
            outcome = await bench.work()
        assert isinstance(outcome, Done)
        assert bench.rig.replica.complete(REPO, TAG)
        assert (await bench.rig.row(REPO, row)).owed


async def test_tags_that_are_not_told_are_each_asked_for_in_the_end(tmp_path: Path) -> None:
    async with running_bench(tmp_path, rules=RULES) as bench:
        attach(bench.rig.source, APP, SIGNATURE)
        bench.rig.source.hook = faults(trouble(network_error("primary"), Op.TAGS))
        await bench.rig.push(REPO, TAG, APP)
        for _ in range(2):
            assert isinstance(await bench.work(), Retry)
            bench.rig.clock.advance(3600)
        assert isinstance(await bench.work(), Done)
        assert names(bench.rig.replica, APP) == {str(SIGNATURE.digest)}
        assert (await bench.rig.owed()).owed == 0


async def test_each_manifest_of_an_index_is_asked_about_again_by_itself(bench: Bench) -> None:
    child = make_image("child", platform="linux/arm64")
    index = make_index([APP, child])
    attach(bench.rig.source, child, about(child, "sbom of child"))
    attach(bench.rig.source, APP, SIGNATURE)
    bench.rig.source.hook = faults(trouble(DENIED, Op.REFERRERS, child.digest))
    await bench.rig.push(REPO, TAG, index)
    assert isinstance(await bench.work(), Done)
    assert names(bench.rig.replica, APP) == {str(SIGNATURE.digest)}
    assert (await bench.rig.owed()).owed == 1
    bench.rig.source.hook = faults()
    assert isinstance(await bench.work(), Done)
    assert names(bench.rig.replica, child) == {str(about(child, "sbom of child").digest)}


async def test_a_long_digest_which_no_tag_tells_is_asked_about_by_its_own(bench: Bench) -> None:
    digest = Digest.of(APP.body, "sha512")
    entry = {"mediaType": APP.media_type, "digest": str(digest), "size": len(APP.body)}
    signature = make_image("signed", (9,), extra={"subject": entry})
    held = bench.rig.source
    held.hold(REPO, APP)
    held.hold(REPO, signature)
    held.manifests[REPO, digest] = RawManifest(APP.media_type, digest, APP.body)
    held.tags[REPO, TAG] = digest
    held.hook = faults(trouble(DENIED))
    await bench.rig.event(REPO, TAG, digest)
    assert isinstance(await bench.work(), Done)
    assert bench.rig.replica.tags[REPO, TAG] == digest
    assert isinstance(await bench.work(), Parked), "its own row asks for nothing else"
    assert (await bench.rig.row(REPO, digest)).parked
    held.hook = faults()
    bench.rig.clock.advance(7200)
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert signature.digest in outcome.covered
    assert (await bench.rig.owed()).owed == 0


async def test_s9_referrers_of_referrers_end_somewhere(bench: Bench) -> None:
    chain: list[Content] = [APP]
    for depth in range(10):
        next_one: Image = about(chain[-1], f"level {depth}")
        attach(bench.rig.source, chain[-1], next_one)
        chain.append(next_one)
    await bench.rig.push(REPO, TAG, APP)
    assert isinstance(await bench.work(), Done)
    assert bench.rig.replica.complete(REPO, TAG)
    alone = await bench.work()
    assert isinstance(alone, Parked)
    assert "deeper than" in alone.message
    assert (await bench.rig.row(REPO, LIST)).parked
    there = [one.digest for one in chain if (REPO, one.digest) in bench.rig.replica.manifests]
    assert there == [one.digest for one in chain[: len(there)]]
    assert len(there) < len(chain)


async def test_a_list_of_which_nothing_is_there_any_more_is_gone(bench: Bench) -> None:
    await bench.rig.event(REPO, LIST, Digest.of(b"a list"))
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert outcome.result is Result.GONE
