"""A lane that heals: by one probe at a time, by itself, or at once when an operator says that it is mended."""

from replicator.errors import Reason, RegistryError
from replicator.model import IntentKey, Reference, parse_repository, parse_tag
from tests.support.content import make_image
from tests.unit.replication.rig import Rig
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import Call, Op, network_error

REPO = parse_repository("team/app")
IMAGES = [make_image(f"image {n}", [4_000 + n, 300]) for n in range(6)]
TAGS = [parse_tag(f"v{n}") for n in range(6)]
FULL = "no room"


def down(call: Call) -> None:
    raise network_error(call.registry)


def full(call: Call) -> None:
    if call.op is Op.WRITE:
        raise RegistryError(FULL, registry=call.registry, reason=Reason.QUOTA, status=507)


async def push_all(rig: Rig) -> None:
    for tag, image in zip(TAGS, IMAGES, strict=True):
        await rig.push(REPO, tag, image)


async def opened(rig: Rig) -> None:
    """Start over a replica that is down, and return when it is taken for down."""
    rig.replica.hook = faults(down)
    rig.start()
    await push_all(rig)
    await rig.until(lambda: rig.engine.lanes()["eu"].state == "open", what="the lane opened", step=0.1)
    await rig.until(lambda: rig.engine.lanes()["eu"].inflight == 0, what="nothing is under way")


async def test_an_open_lane_works_on_one_row_at_a_time(rig: Rig) -> None:
    """Half-open with one probe: five rows wait while the sixth is tried."""
    await opened(rig)
    most = 0

    def count(call: Call) -> None:
        nonlocal most
        most = max(most, rig.engine.lanes()["eu"].inflight)
        raise network_error(call.registry)

    rig.replica.hook = faults(count)
    start = rig.clock.now()
    await rig.until(lambda: rig.clock.now() - start > 300.0, what="five minutes of probes", step=2.0)
    assert most == 1


async def test_an_operator_need_not_wait_for_the_next_probe(rig: Rig) -> None:
    await opened(rig)
    start = rig.clock.now()
    await rig.until(lambda: rig.clock.now() - start > 200.0, what="probes are half a minute apart", step=2.0)
    rig.replica.hook = faults()
    now, asked = rig.clock.now(), len(rig.replica.calls)
    await rig.moment()
    assert len(rig.replica.calls) == asked, "the next probe is not due"
    await rig.store.make_due("eu")
    rig.engine.mended("eu")
    await rig.until(rig.is_quiet, what="all arrive")
    assert rig.clock.now() == now, "at once"
    assert rig.engine.lanes()["eu"].state == "running"


async def test_what_is_parked_is_tried_when_the_lane_heals(rig: Rig) -> None:
    """Not only within the hour: what was wrong with the replica may have been wrong for that row too."""
    rig.replica.hook = faults(full)
    rig.start()
    await rig.push(REPO, TAGS[0], IMAGES[0])
    await rig.until(lambda: rig.has_failed(REPO, TAGS[0]), what="it is parked")
    assert (await rig.owed()).parked == 1
    rig.replica.hook = faults(down)
    for tag, image in zip(TAGS[1:4], IMAGES[1:4], strict=True):
        await rig.push(REPO, tag, image)
    await rig.until(lambda: rig.engine.lanes()["eu"].state == "open", what="the lane opened", step=0.1)
    parked_until = (await rig.row(REPO, TAGS[0])).due_at
    rig.replica.hook = faults()
    await rig.until(rig.is_quiet, what="all arrive", step=1.0)
    assert parked_until is not None
    assert rig.clock.now() < parked_until - 3000.0


async def test_what_is_parked_is_tried_also_where_the_store_failed_as_the_lane_healed(rig: Rig) -> None:
    rig.replica.hook = faults(full)
    rig.start()
    await rig.push(REPO, TAGS[0], IMAGES[0])
    await rig.until(lambda: rig.has_failed(REPO, TAGS[0]), what="it is parked")
    rig.replica.hook = faults(down)
    for tag, image in zip(TAGS[1:4], IMAGES[1:4], strict=True):
        await rig.push(REPO, tag, image)
    await rig.until(lambda: rig.engine.lanes()["eu"].state == "open", what="the lane opened", step=0.1)
    rig.store.broken = frozenset({"make_due"})
    rig.replica.hook = faults()
    await rig.until(lambda: rig.engine.lanes()["eu"].state == "running", what="the lane healed", step=0.1)
    rig.store.broken = frozenset()
    healed = rig.clock.now()
    await rig.until(rig.is_quiet, what="all arrive", step=0.1)
    assert rig.clock.now() - healed < 5.0


async def test_what_is_parked_arrives_as_soon_as_it_is_retried_alone(rig: Rig) -> None:
    rig.replica.hook = faults(full)
    rig.start()
    await rig.push(REPO, TAGS[0], IMAGES[0])
    await rig.push(REPO, TAGS[1], IMAGES[1])
    await rig.until(lambda: rig.has_failed(REPO, TAGS[0]), what="one is parked")
    await rig.until(lambda: rig.has_failed(REPO, TAGS[1]), what="the other too")
    rig.replica.hook = faults()
    key = IntentKey("eu", REPO, TAGS[0])
    assert await rig.store.retry([key]) == (key,)
    assert await rig.store.retry([key]) == ()
    now = rig.clock.now()
    rig.engine.mended("eu")
    await rig.until(lambda: rig.replica.complete(REPO, TAGS[0]), what="it arrives")
    assert rig.clock.now() == now
    assert (await rig.owed()).parked == 1, "its neighbour waits as before"


async def test_a_long_upload_that_was_under_way_before_keeps_no_probe_back(rig: Rig) -> None:
    """It may take hours, and the replica was down for a moment."""
    long = Gate(Op.GOT, IMAGES[0].layers[0].digest)
    await rig.push_and_hold(long, REPO, TAGS[0], IMAGES[0])
    rig.replica.hook = faults(long, down)
    for tag, image in zip(TAGS[1:], IMAGES[1:], strict=True):
        await rig.push(REPO, tag, image)
    await rig.until(lambda: rig.engine.lanes()["eu"].state == "open", what="the lane opened", step=0.1)
    await rig.until(lambda: rig.engine.lanes()["eu"].inflight == 1, what="only the long one is under way")
    rig.replica.hook = faults(long)
    start = rig.clock.now()

    def arrived() -> bool:
        return all(rig.replica.complete(REPO, tag) for tag in TAGS[1:])

    await rig.until(arrived, what="the others arrive", step=1.0)
    assert rig.clock.now() - start < 60.0
    assert not rig.replica.complete(REPO, TAGS[0]), "all that time it was under way"
    long.opened.set()
    await rig.quiet()
    assert rig.replica.complete(REPO, TAGS[0])


async def test_a_probe_whose_bytes_are_taken_for_long_keeps_the_next_one_back_no_longer(rig: Rig) -> None:
    """It may be a large image: the replica is up, and all the others are small."""
    await opened(rig)
    long: list[Reference] = []

    async def hold_the_first(call: Call) -> None:
        if call.op is Op.GOT:
            long.append(call.reference)
            if call.reference == long[0]:
                await done.opened.wait()

    done = Gate(Op.GOT)
    rig.replica.hook = faults(hold_the_first)
    start = rig.clock.now()

    def arrived() -> int:
        return sum(rig.replica.complete(REPO, tag) for tag in TAGS)

    await rig.until(lambda: arrived() == len(TAGS) - 1, what="the others arrive", step=1.0)
    assert rig.clock.now() - start < 120.0
    done.opened.set()
    await rig.quiet()
    assert arrived() == len(TAGS)
