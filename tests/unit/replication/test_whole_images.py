"""Platform subsets, layers from elsewhere and embedded content: what is copied, and what is refused with a reason."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from replicator.errors import Reason
from replicator.model import Digest, parse_repository, parse_tag
from replicator.registry.capabilities import Capability
from replicator.store.outcome import Done, Parked, Result
from tests.support.content import blob_of, make_image, make_index
from tests.unit.replication.rig import Bench, running_bench
from tests.unit.replication.support import Op

REPO = parse_repository("team/app")
TAG, NEXT = parse_tag("v1"), parse_tag("v2")
AMD, ARM = make_image("amd"), make_image("arm", platform="linux/arm64/v8")
S390 = make_image("s390", platform="linux/s390x")
APP = make_index([AMD, ARM, S390])


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Set up a worker whose rule names two platforms."""
    async with running_bench(tmp_path, rules=[{"platforms": ["linux/amd64", "linux/arm64"]}]) as bench:
        yield bench


async def test_only_the_chosen_children_are_read_and_copied(bench: Bench) -> None:
    replica = bench.rig.replica
    replica.takes_sparse_index = True
    await bench.rig.push(REPO, TAG, APP)
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert set(outcome.covered) == {APP.digest, AMD.digest, ARM.digest, S390.digest}, "left out: no row of its own"
    assert replica.manifests[REPO, APP.digest].body == APP.body
    assert {digest for _, digest in replica.manifests} == {APP.digest, AMD.digest, ARM.digest}
    assert bench.rig.source.count(Op.READ, S390.digest) == 0


async def test_a_refusal_is_remembered_and_nothing_is_sent_the_next_time(bench: Bench) -> None:
    replica = bench.rig.replica
    replica.strict = True
    await bench.rig.push(REPO, TAG, APP)
    first = await bench.work()
    assert isinstance(first, Parked)
    assert first.reason is Reason.UNSUPPORTED
    assert "takes no index of which children are missing" in first.message
    assert replica.capabilities.holds(Capability.SPARSE_INDEX) is False
    asked = len(replica.calls)
    await bench.rig.push(REPO, NEXT, make_index([make_image("another amd"), S390]))
    assert isinstance(await bench.work(), Parked)
    assert {call.op for call in replica.calls[asked:]} == {Op.STAT}
    replica.hold(REPO, S390)
    await bench.rig.event(REPO, NEXT, None)
    again = await bench.work()
    assert isinstance(again, Done), "what it holds of old is not missing"


async def test_an_index_without_a_chosen_platform_is_parked(bench: Bench) -> None:
    await bench.rig.push(REPO, TAG, make_index([S390]))
    outcome = await bench.work()
    assert isinstance(outcome, Parked)
    assert "only for linux/s390x" in outcome.message


async def test_an_image_with_a_tag_is_copied_whatever_its_platform_and_one_without_is_not(bench: Bench) -> None:
    await bench.rig.push(REPO, TAG, S390)
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert outcome.result is Result.COPIED
    for image, expected in ((make_image("s390 too", platform="linux/s390x"), Result.LEFT_OUT), (ARM, Result.COPIED)):
        bench.rig.source.hold(REPO, image)
        await bench.rig.event(REPO, image.digest, image.digest)
        outcome = await bench.work()
        assert isinstance(outcome, Done)
        assert outcome.result is expected
        assert ((REPO, image.digest) in bench.rig.replica.manifests) is (expected is Result.COPIED)


async def test_b8_foreign_layers_come_from_the_source_alone_and_only_where_a_replica_insists(tmp_path: Path) -> None:
    image = make_image("windows", (1_000,), foreign=(2_000,))
    (foreign,) = image.foreign
    async with running_bench(tmp_path) as bench:
        source, replica = bench.rig.source, bench.rig.replica
        await bench.rig.push(REPO, TAG, image)
        await bench.work()
        assert source.count(Op.OPEN, foreign.digest) == 0
        replica.strict = replica.wants_foreign_layers = True
        replica.lose(REPO, image.digest)
        replica.tags.clear()
        await bench.rig.event(REPO, TAG, None)
        refused = await bench.work()
        assert isinstance(refused, Parked)
        assert "served elsewhere" in refused.message
        source.hold_blob(REPO, foreign)
        await bench.rig.event(REPO, TAG, None)
        assert isinstance(await bench.work(), Done)
        assert (REPO, foreign.digest) in replica.links


async def test_b7_embedded_content_is_sent_and_not_fetched(tmp_path: Path) -> None:
    empty = blob_of(b"{}", "application/vnd.oci.empty.v1+json")
    entry = {"mediaType": empty.media_type, "digest": str(empty.digest), "size": 2, "data": "e30="}
    artifact = make_image("artifact", (100, empty), extra={"config": entry, "artifactType": "application/x"})
    async with running_bench(tmp_path) as bench:
        bench.rig.source.hold(REPO, artifact, TAG)
        await bench.rig.event(REPO, TAG, None)
        assert isinstance(await bench.work(), Done)
        assert bench.rig.replica.data[Digest.of(b"{}")] == b"{}"
        assert bench.rig.replica.complete(REPO, TAG)
        assert bench.rig.source.count(Op.OPEN, Digest.of(b"{}")) == 0
