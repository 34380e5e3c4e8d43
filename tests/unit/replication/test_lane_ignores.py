"""What somebody decided that a replica need not have: the lane lets go of it, and its neighbours go on."""

from replicator.errors import Reason, RegistryError
from replicator.model import IntentKey, parse_repository, parse_tag
from tests.support.content import make_image
from tests.unit.replication.rig import Rig
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import Call, Op

REPO = parse_repository("team/app")
TAG, OTHER = parse_tag("v1"), parse_tag("v2")
A, B, C = (make_image(f"image {n}", [40_000 + n, 300]) for n in range(3))
KEY = IntentKey("eu", REPO, TAG)


def refuses_a(call: Call) -> None:
    if call.op is Op.WRITE and call.reference in {TAG, A.digest}:
        raise RegistryError("never", registry=call.registry, reason=Reason.UNSUPPORTED, status=400)


async def test_one_bad_image_is_ignored_and_a_new_push_of_its_tag_arrives(rig: Rig) -> None:
    """One bad image is no more than itself: its neighbours come, it is lag alone, and then it is none."""
    rig.replica.hook = faults(refuses_a)
    rig.start()
    await rig.push(REPO, TAG, A)
    await rig.push(REPO, OTHER, B)
    await rig.until(lambda: rig.replica.complete(REPO, OTHER), what="its neighbour arrives")
    await rig.until(lambda: rig.has_failed(REPO, TAG), what="it is parked")
    assert await rig.store.ignore([KEY], A.digest) == (KEY,)
    tried = len(rig.replica.calls)
    start = rig.clock.now()
    await rig.until(lambda: rig.clock.now() - start > 7200.0, what="two hours passed", step=60.0)
    assert len(rig.replica.calls) == tried
    assert ((await rig.owed()).owed, (await rig.owed()).ignored) == (0, 1)
    await rig.event(REPO, TAG, A.digest)
    assert await rig.is_quiet(), "the same push told again changes nothing"
    rig.replica.hook = faults()
    await rig.push(REPO, TAG, C)
    await rig.quiet()
    assert rig.replica.tags[REPO, TAG] == C.digest
    assert (await rig.owed()).ignored == 0


async def test_a_copy_under_way_is_cut_short(rig: Rig) -> None:
    gate = Gate(Op.GOT, A.layers[0].digest)
    await rig.push_and_hold(gate, REPO, TAG, A)
    await rig.store.ignore([KEY], A.digest)
    await rig.until(lambda: rig.engine.lanes()["eu"].inflight == 0, what="nothing is under way")
    assert await rig.is_quiet()
    assert (REPO, TAG) not in rig.replica.tags
    rig.replica.hook = faults()
    await rig.store.heed([KEY])
    await rig.quiet()
    assert rig.replica.complete(REPO, TAG)


async def test_a_copy_under_way_is_cut_short_in_a_paused_lane_too(rig: Rig) -> None:
    gate = Gate(Op.GOT, A.layers[0].digest)
    await rig.push_and_hold(gate, REPO, TAG, A)
    await rig.store.pause("eu")
    await rig.engine.heed_pause("eu")
    await rig.store.ignore([KEY], A.digest)
    await rig.until(lambda: rig.engine.lanes()["eu"].inflight == 0, what="nothing is under way")
    assert (REPO, TAG) not in rig.replica.tags
